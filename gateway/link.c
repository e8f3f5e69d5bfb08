#include "gateway/link.h"

#include "common/log.h"
#include "gateway/inbound.h"
#include "gateway/metrics.h"
#include "gateway/pending.h"
#include "gateway/sender.h"
#include "gateway/stream.h"

#include "common/table.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages handled in one wake-up; sessions get their turn between two. */
#define LINK_WORK_MAX 512
#define REOPEN_MS     1000
#define FAILURES_MAX  256 /* taken at once */

struct gw_tap {
    uint64_t id;
    struct gw_subscription *subscription;
    gw_message_fn *on_message;
    void *arg;
    UT_hash_handle hh;
};

/* libuv gives handles back later than the link is freed. */
struct handles {
    uv_async_t async;
    uv_timer_t tick, reopen;
    uv_prepare_t turn;
    int open;
};

struct gw_link {
    struct gw_metrics *metrics;
    struct handles *handles;
    struct gw_inbound *inbound;
    struct gw_pending *pending;
    struct gw_streams *streams;
    struct gw_sender *sender;
    bool connected, was_connected;
    uint64_t connection;             /* the last one that was connected */
    char inbox[GW_INBOX_PREFIX_MAX]; /* yz_bus_inbox and "." */
    size_t inbox_len;
    uint64_t last_tap;
    struct gw_tap *taps; /* by id */
    struct {
        gw_resync_fn *fn;
        void *arg;
    } listeners[LINK_LISTENERS_MAX];
    size_t listener_count;
};

/* nats.c gives up for good when a server refuses the credentials twice: begin anew until it takes
 * them. */
static void on_reopen(uv_timer_t *timer)
{
    struct gw_link *link = timer->data;

    gw_sender_reopen(link->sender);
}

static void set_connected(struct gw_link *link, bool connected)
{
    link->connected = connected;
    atomic_store_explicit(&link->metrics->bus_connected, connected, memory_order_relaxed);
    if (connected && link->was_connected)
        yz_count(&link->metrics->bus_reconnects, 1);
    link->was_connected |= connected;
    yz_info(connected ? "bus_connected" : "bus_disconnected", "reconnects=%" PRIu64,
            atomic_load_explicit(&link->metrics->bus_reconnects, memory_order_relaxed));
}

static void call_listeners(struct gw_link *link)
{
    for (size_t i = 0; i < link->listener_count; i++)
        link->listeners[i].fn(link->listeners[i].arg);
}

/* Publishes that could not be sent. */
static void fail_unsent(struct gw_link *link)
{
    struct gw_failure failures[FAILURES_MAX];
    size_t count;

    while ((count = gw_sender_failed(link->sender, failures, FAILURES_MAX)) > 0) {
        for (size_t i = 0; i < count; i++)
            gw_pending_fail_one(link->pending, failures[i].request, failures[i].err);
    }
}

static void on_news(struct gw_link *link)
{
    struct gw_inbound_news news = gw_inbound_news(link->inbound);

    if (news.disconnected) {
        set_connected(link, false);
        gw_pending_fail(link->pending, YZ_BUS_UNAVAILABLE);
    }
    if (news.closed) {
        yz_error_spaced("bus_closed", "retry_ms=%d", REOPEN_MS);
        uv_timer_start(&link->handles->reopen, on_reopen, REOPEN_MS, 0);
    }
    if (news.dropped)
        yz_warn_spaced("inbound_dropped", "total=%" PRIu64,
                       atomic_load_explicit(&link->metrics->inbound_dropped, memory_order_relaxed));
    if (news.failed)
        fail_unsent(link);
    if (news.connected) {
        link->connection = news.connection;
        set_connected(link, true);
    }
    if (link->connected && (news.connected || news.dropped))
        call_listeners(link);
}

/* "<inbox>.<id in hex>" */
static void on_inbox(struct gw_link *link, natsMsg *msg)
{
    const char *subject = natsMsg_GetSubject(msg);

    if (strlen(subject) > link->inbox_len)
        gw_pending_reply(link->pending, strtoull(subject + link->inbox_len, NULL, 16), msg);
}

static void on_item(struct gw_link *link, const struct gw_inbound_item *item)
{
    struct gw_tap *tap;

    if (item->tap == SENDER_TAP_INBOX) {
        on_inbox(link, item->msg);
        return;
    }
    HASH_FIND(hh, link->taps, &item->tap, sizeof item->tap, tap);
    if (tap) /* else unsubscribed while it was under way */
        tap->on_message(tap->arg, item->msg);
}

static void on_wake(uv_async_t *async)
{
    struct gw_link *link = async->data;
    struct gw_inbound_item items[LINK_WORK_MAX];
    bool more;
    size_t count = gw_inbound_take(link->inbound, items, LINK_WORK_MAX, &more);

    for (size_t i = 0; i < count; i++)
        on_item(link, &items[i]);
    /* Together: nats.c has them freed by a thread of its own, which each of them would wake. */
    for (size_t i = 0; i < count; i++)
        natsMsg_Destroy(items[i].msg);
    if (!more)
        on_news(link);
}

static void on_tick(uv_timer_t *timer)
{
    struct gw_link *link = timer->data;

    gw_pending_tick(link->pending);
    if (gw_pending_count(link->pending) == 0)
        uv_timer_stop(timer);
}

/* The end of the loop's turn. */
static void on_turn(uv_prepare_t *turn)
{
    struct gw_link *link = turn->data;

    if (link->sender) /* not yet, or no more */
        gw_sender_flush(link->sender);
}

static enum yz_err init_handles(struct gw_link *link, uv_loop_t *loop)
{
    struct handles *h = calloc(1, sizeof *h);

    if (!h)
        return YZ_INTERNAL;
    if (uv_async_init(loop, &h->async, on_wake) != 0) {
        free(h);
        return YZ_INTERNAL;
    }
    uv_timer_init(loop, &h->tick);
    uv_timer_init(loop, &h->reopen);
    uv_prepare_init(loop, &h->turn);
    uv_prepare_start(&h->turn, on_turn);
    h->open = 4;
    h->async.data = h->tick.data = h->reopen.data = h->turn.data = link;
    link->handles = h;
    return YZ_OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct handles *h = handle->data;

    if (--h->open == 0)
        free(h);
}

static void close_handles(struct handles *h)
{
    h->async.data = h->tick.data = h->reopen.data = h->turn.data = h;
    uv_close((uv_handle_t *)&h->async, on_handle_closed);
    uv_close((uv_handle_t *)&h->tick, on_handle_closed);
    uv_close((uv_handle_t *)&h->reopen, on_handle_closed);
    uv_close((uv_handle_t *)&h->turn, on_handle_closed);
}

static enum yz_err make_inbox(struct gw_link *link, const struct yz_conf *conf)
{
    char inbox[YZ_INBOX_MAX];
    enum yz_err err = yz_bus_inbox(conf, inbox);

    link->inbox_len = err ? 0 : (size_t)snprintf(link->inbox, sizeof link->inbox, "%s.", inbox);
    return err;
}

enum yz_err gw_link_new(const struct yz_conf *conf, uv_loop_t *loop, struct gw_metrics *metrics,
                        struct gw_link **link)
{
    struct gw_link *l = calloc(1, sizeof *l);
    char subject[GW_INBOX_MAX + 2];
    enum yz_err err;

    if (!l)
        return YZ_INTERNAL;
    l->metrics = metrics;
    l->last_tap = SENDER_TAP_INBOX;
    if ((err = make_inbox(l, conf)) || (err = gw_pending_new(&l->pending)) ||
        (err = init_handles(l, loop)) ||
        (err = gw_inbound_new((size_t)conf->inbound_queue_max, &l->handles->async, metrics,
                              &l->inbound)) ||
        (err = gw_streams_new(l, loop, &l->streams)))
        goto out;
    snprintf(subject, sizeof subject, "%s*", l->inbox);
    err = gw_sender_new(conf, subject, l->inbound, metrics, &l->sender);
out:
    if (err)
        gw_link_free(l);
    else
        *link = l;
    return err;
}

void gw_link_free(struct gw_link *link)
{
    if (!link)
        return;
    if (link->streams)
        gw_streams_free(link->streams);
    assert(!link->taps);
    gw_sender_free(link->sender);
    if (link->inbound) {
        gw_inbound_close(link->inbound);
        gw_inbound_unref(link->inbound);
    }
    if (link->handles)
        close_handles(link->handles);
    if (link->pending)
        gw_pending_free(link->pending);
    free(link);
}

bool gw_link_connected(const struct gw_link *link)
{
    return link->connected;
}

bool gw_link_ready(const struct gw_link *link, const char **reason)
{
    if (!link->connected) {
        *reason = "not connected to NATS";
        return false;
    }
    /* It may be deaf to a channel, and would not know. */
    if (atomic_load_explicit(&link->metrics->bus_denied, memory_order_relaxed) > 0) {
        *reason = YZ_BUS_DENIED_TEXT;
        return false;
    }
    return gw_streams_ready(link->streams, reason);
}

struct gw_streams *gw_link_streams(const struct gw_link *link)
{
    return link->streams;
}

enum yz_err gw_link_expect(struct gw_link *link, int64_t timeout_ms, gw_reply_fn *on_reply,
                           void *arg, char inbox[GW_INBOX_MAX], uint64_t *id)
{
    enum yz_err err;

    if (!link->connected)
        return YZ_BUS_UNAVAILABLE;
    if ((err = gw_pending_add(link->pending, timeout_ms, on_reply, arg, id)))
        return err;
    snprintf(inbox, GW_INBOX_MAX, "%s%" PRIx64, link->inbox, *id);
    if (!uv_is_active((uv_handle_t *)&link->handles->tick))
        uv_timer_start(&link->handles->tick, on_tick, PENDING_TICK_MS, PENDING_TICK_MS);
    return YZ_OK;
}

enum yz_err gw_link_send(struct gw_link *link, natsMsg *msg, uint64_t id)
{
    enum yz_err err = gw_sender_publish(link->sender, msg, link->connection, id);

    if (err)
        gw_pending_cancel(link->pending, id);
    return err;
}

void gw_link_publish(struct gw_link *link, natsMsg *msg)
{
    if (!link->connected)
        natsMsg_Destroy(msg);
    else if (gw_sender_publish(link->sender, msg, link->connection, 0) != YZ_OK)
        yz_debug("answer_lost", "connection=%" PRIu64, link->connection);
}

enum yz_err gw_link_publish_spare(struct gw_link *link, natsMsg *msg)
{
    enum yz_err err = !link->connected                    ? YZ_BUS_UNAVAILABLE
                      : gw_sender_half_full(link->sender) ? YZ_BUSY
                                                          : YZ_OK;

    if (err == YZ_OK)
        return gw_sender_publish(link->sender, msg, link->connection, 0);
    natsMsg_Destroy(msg);
    return err;
}

enum yz_err gw_link_request(struct gw_link *link, const char *subject, const void *data, size_t len,
                            int64_t timeout_ms, gw_reply_fn *on_reply, void *arg, uint64_t *id)
{
    char inbox[GW_INBOX_MAX];
    natsMsg *msg = NULL;
    uint64_t own;
    enum yz_err err = gw_link_expect(link, timeout_ms, on_reply, arg, inbox, &own);

    if (err)
        return err;
    if (natsMsg_Create(&msg, subject, inbox, data, (int)len) != NATS_OK) {
        gw_pending_cancel(link->pending, own);
        return YZ_INTERNAL;
    }
    if (id)
        *id = own;
    return gw_link_send(link, msg, own);
}

void gw_link_cancel(struct gw_link *link, uint64_t id)
{
    gw_pending_cancel(link->pending, id);
}

enum yz_err gw_link_subscribe(struct gw_link *link, const char *subject, gw_message_fn *on_message,
                              void *arg, struct gw_tap **tap)
{
    struct gw_tap *t = calloc(1, sizeof *t);
    enum yz_err err;

    if (!t)
        return YZ_INTERNAL;
    t->id = ++link->last_tap;
    t->on_message = on_message;
    t->arg = arg;
    err = gw_sender_subscribe(link->sender, t->id, subject, &t->subscription);
    if (err) {
        free(t);
        return err;
    }
    HASH_ADD(hh, link->taps, id, sizeof t->id, t);
    if (!YZ_TABLE_ADDED(t)) {
        gw_sender_unsubscribe(link->sender, t->subscription);
        free(t);
        return YZ_INTERNAL;
    }
    *tap = t;
    return YZ_OK;
}

void gw_link_unsubscribe(struct gw_link *link, struct gw_tap *tap)
{
    HASH_DELETE(hh, link->taps, tap);
    gw_sender_unsubscribe(link->sender, tap->subscription);
    free(tap);
}

void gw_link_on_resync(struct gw_link *link, gw_resync_fn *on_resync, void *arg)
{
    assert(link->listener_count < LINK_LISTENERS_MAX);
    link->listeners[link->listener_count].fn = on_resync;
    link->listeners[link->listener_count++].arg = arg;
}

void gw_link_off_resync(struct gw_link *link, void *arg)
{
    size_t kept = 0;

    for (size_t i = 0; i < link->listener_count; i++) {
        if (link->listeners[i].arg != arg)
            link->listeners[kept++] = link->listeners[i];
    }
    link->listener_count = kept;
}
