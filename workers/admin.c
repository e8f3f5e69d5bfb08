#include "workers/admin.h"

#include "common/log.h"
#include "common/memory.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 65536

struct wk_admin {
    struct wk_metrics *metrics;
    wk_ready_fn *is_ready;
    void *arg;
    struct lws_context *context;
    pthread_t thread;
    atomic_bool ended;
};

struct page {
    int status;
    const char *type;
    struct yz_buf body; /* LWS_PRE bytes, then the text */
};

static void put(struct page *page, int status, const char *text)
{
    page->status = status;
    page->type = "text/plain; charset=utf-8";
    yz_buf_append(&page->body, text, strlen(text));
    yz_buf_append(&page->body, "\n", 1);
}

static void make_page(struct wk_admin *admin, const char *path, struct page *page)
{
    const char *reason = NULL;

    if (strcmp(path, "/healthz") == 0) {
        put(page, 200, "alive");
    } else if (strcmp(path, "/readyz") == 0) {
        if (admin->is_ready(admin->arg, &reason))
            put(page, 200, "ready");
        else
            put(page, 503, reason);
    } else if (strcmp(path, "/metrics") == 0) {
        page->status = 200;
        page->type = "text/plain; version=0.0.4; charset=utf-8";
        wk_metrics_write(admin->metrics, &page->body);
    } else {
        put(page, 404, "There is /healthz, /readyz and /metrics.");
    }
}

static int send_headers(struct lws *wsi, const struct page *page)
{
    uint8_t space[LWS_PRE + 1024], *at = space + LWS_PRE, *start = at;
    uint8_t *end = space + sizeof space - 1;

    if (lws_add_http_common_headers(wsi, (unsigned)page->status, page->type,
                                    page->body.len - LWS_PRE, &at, end))
        return 1;
    return lws_finalize_write_http_header(wsi, start, &at, end);
}

/* The page waits in the session for the one write that it takes. */
static int on_request(struct lws *wsi, struct page *page, const char *path)
{
    static const uint8_t before[LWS_PRE];
    struct wk_admin *admin = lws_context_user(lws_get_context(wsi));

    yz_buf_init(&page->body, BODY_MAX);
    yz_buf_append(&page->body, before, sizeof before);
    make_page(admin, path, page);
    if (page->body.failed || send_headers(wsi, page))
        return 1;
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_writable(struct lws *wsi, struct page *page)
{
    size_t len = page->body.len > LWS_PRE ? page->body.len - LWS_PRE : 0;
    int written;

    if (len == 0)
        return 0;
    written = lws_write(wsi, page->body.data + LWS_PRE, len, LWS_WRITE_HTTP_FINAL);
    yz_buf_deinit(&page->body);
    return written < 0 || lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    (void)len;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return on_request(wsi, user, in);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_writable(wsi, user);
    case LWS_CALLBACK_CLOSED_HTTP:
        if (user)
            yz_buf_deinit(&((struct page *)user)->body);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "admin", .callback = on_event, .per_session_data_size = sizeof(struct page)},
    {0},
};

static void *run(void *arg)
{
    struct wk_admin *admin = arg;

    while (!atomic_load(&admin->ended) && lws_service(admin->context, 0) >= 0)
        ;
    return NULL;
}

enum yz_err wk_admin_start(const struct yz_conf *conf, struct wk_metrics *metrics,
                           wk_ready_fn *is_ready, void *arg, struct wk_admin **admin)
{
    struct lws_context_creation_info info = {0};
    struct wk_admin *a;

    *admin = NULL;
    if (conf->admin_port == 0)
        return YZ_OK;
    a = yz_calloc(1, sizeof *a);
    if (!a)
        return YZ_INTERNAL;
    a->metrics = metrics;
    a->is_ready = is_ready;
    a->arg = arg;
    lws_set_log_level(LLL_ERR, NULL);
    info.port = (int)conf->admin_port;
    info.iface = conf->admin_address;
    info.protocols = protocols;
    info.user = a;
    info.vhost_name = "admin";
    a->context = lws_create_context(&info);
    if (!a->context || pthread_create(&a->thread, NULL, run, a) != 0) {
        yz_error("admin_port_failed", "address=%s port=%lld", conf->admin_address,
                 (long long)conf->admin_port);
        lws_context_destroy(a->context);
        free(a);
        return YZ_INTERNAL;
    }
    *admin = a;
    return YZ_OK;
}

void wk_admin_stop(struct wk_admin *admin)
{
    if (!admin)
        return;
    atomic_store(&admin->ended, true);
    lws_cancel_service(admin->context);
    pthread_join(admin->thread, NULL);
    lws_context_destroy(admin->context);
    free(admin);
}
