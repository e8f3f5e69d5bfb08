#include "common/bus.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/subject.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECONNECT_WAIT_MS   250
#define RECONNECT_JITTER_MS 250
#define CONNECT_TIMEOUT_MS  2000
#define PING_INTERVAL_MS    2000
#define PINGS_OUT_MAX       2
#define UNSUBSCRIBE_WAIT_MS 1000
#define HURRY_WAIT_MS       1
#define SERVERS_MAX         16

static enum yz_err set_servers(natsOptions *options, const char *urls)
{
    char copy[1024], *save = NULL;
    const char *servers[SERVERS_MAX];
    int count = 0;

    if (strlen(urls) >= sizeof copy) {
        yz_error("nats_url_too_long", "max=%zu", sizeof copy - 1);
        return YZ_INVALID_VALUE;
    }
    snprintf(copy, sizeof copy, "%s", urls);
    for (char *url = strtok_r(copy, ", ", &save); url && count < SERVERS_MAX;
         url = strtok_r(NULL, ", ", &save))
        servers[count++] = url;
    if (count == 0 || natsOptions_SetServers(options, servers, count) != NATS_OK) {
        yz_error("nats_url_malformed", "setting=nats_url");
        return YZ_INVALID_VALUE;
    }
    return YZ_OK;
}

enum yz_err yz_bus_password(const struct yz_conf *conf, char out[YZ_PASSWORD_MAX])
{
    FILE *file;
    bool found;

    *out = '\0';
    if (!*conf->nats_user)
        return YZ_OK;
    file = *conf->nats_password_file ? fopen(conf->nats_password_file, "re") : NULL;
    found = file && fgets(out, YZ_PASSWORD_MAX, file);
    if (!found)
        yz_error("nats_password_unreadable", "setting=nats_password_file reason=\"%s\"",
                 file ? "empty" : strerror(errno));
    if (file)
        fclose(file);
    out[strcspn(out, "\r\n")] = '\0';
    return found ? YZ_OK : YZ_INVALID_VALUE;
}

static enum yz_err set_credentials(natsOptions *options, const struct yz_conf *conf)
{
    char password[YZ_PASSWORD_MAX];
    enum yz_err err;

    if (!*conf->nats_user)
        return YZ_OK;
    if (!yz_id_valid(conf->nats_user)) {
        yz_error("nats_user_malformed", "setting=nats_user");
        return YZ_INVALID_VALUE;
    }
    if ((err = yz_bus_password(conf, password)))
        return err;
    return natsOptions_SetUserInfo(options, conf->nats_user, password) == NATS_OK ? YZ_OK
                                                                                  : YZ_INTERNAL;
}

static void inbox_prefix(const struct yz_conf *conf, char out[YZ_INBOX_MAX])
{
    snprintf(out, YZ_INBOX_MAX, "_INBOX%s%s", *conf->nats_user ? "_" : "", conf->nats_user);
}

enum yz_err yz_bus_inbox(const struct yz_conf *conf, char out[YZ_INBOX_MAX])
{
    char prefix[YZ_INBOX_MAX];
    natsInbox *inbox = NULL;

    /* The library makes them with its own prefix only. */
    if (natsInbox_Create(&inbox) != NATS_OK)
        return YZ_INTERNAL;
    inbox_prefix(conf, prefix);
    snprintf(out, YZ_INBOX_MAX, "%.*s%s", YZ_ID_MAX + 8, prefix, strchr(inbox, '.'));
    natsInbox_Destroy(inbox);
    return YZ_OK;
}

bool yz_bus_on_error(natsConnection *nc, natsStatus status)
{
    bool denied = status == NATS_NOT_PERMITTED;
    const char *text = NULL;

    (void)natsConnection_GetLastError(nc, &text);
    if (denied)
        yz_error_spaced("nats_denied", "reason=\"%s\" detail=\"%s\"", natsStatus_GetText(status),
                        text ? text : "");
    else
        yz_error_spaced("nats_error", "reason=\"%s\" detail=\"%s\"", natsStatus_GetText(status),
                        text ? text : "");
    return denied;
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *closure)
{
    (void)sub;
    (void)closure;
    (void)yz_bus_on_error(nc, status);
}

enum yz_err yz_bus_options(const struct yz_conf *conf, const char *name, natsOptions **options)
{
    natsOptions *o = NULL;
    char prefix[YZ_INBOX_MAX];
    enum yz_err err;

    if (natsOptions_Create(&o) != NATS_OK)
        return YZ_INTERNAL;
    if ((err = set_servers(o, conf->nats_url)) || (err = set_credentials(o, conf)))
        goto out;
    err = YZ_INTERNAL;
    inbox_prefix(conf, prefix);
    if (natsOptions_SetCustomInboxPrefix(o, prefix) != NATS_OK ||
        natsOptions_SetErrorHandler(o, on_error, NULL) != NATS_OK ||
        natsOptions_SetName(o, name) != NATS_OK ||
        natsOptions_UseGlobalMessageDelivery(o, true) != NATS_OK ||
        natsOptions_SetTimeout(o, CONNECT_TIMEOUT_MS) != NATS_OK ||
        natsOptions_SetMaxReconnect(o, -1) != NATS_OK ||
        natsOptions_SetReconnectWait(o, RECONNECT_WAIT_MS) != NATS_OK ||
        natsOptions_SetReconnectJitter(o, RECONNECT_JITTER_MS, RECONNECT_JITTER_MS) != NATS_OK ||
        natsOptions_SetReconnectBufSize(o, 0) != NATS_OK ||
        natsOptions_SetFailRequestsOnDisconnect(o, true) != NATS_OK ||
        natsOptions_SetPingInterval(o, PING_INTERVAL_MS) != NATS_OK ||
        natsOptions_SetMaxPingsOut(o, PINGS_OUT_MAX) != NATS_OK)
        goto out;
    err = YZ_OK;
out:
    if (err)
        natsOptions_Destroy(o);
    else
        *options = o;
    return err;
}

enum yz_err yz_bus_connect(natsOptions *options, int64_t deadline_ms, natsConnection **nc)
{
    int64_t until = yz_clock_mono_ms() + deadline_ms;

    for (;;) {
        natsStatus s = natsConnection_Connect(nc, options);

        if (s == NATS_OK)
            return YZ_OK;
        yz_warn_spaced("nats_connect_failed", "reason=\"%s\"", natsStatus_GetText(s));
        if (yz_clock_mono_ms() >= until)
            return YZ_BUS_UNAVAILABLE;
        nats_Sleep(RECONNECT_WAIT_MS);
    }
}

natsStatus yz_bus_header_set(natsMsg **msg, const char *key, const char *value)
{
    natsStatus s = natsMsgHeader_Set(*msg, key, value);

    if (s == NATS_NO_MEMORY)
        *msg = NULL;
    return s;
}

/* An ended subscription that the reading thread of its connection may still be at. */
struct ended {
    natsConnection *nc;
    natsSubscription *sub;
    struct ended *next;
};
static pthread_mutex_t ended_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct ended *ended_first;

static void put_ended(struct ended *ended)
{
    pthread_mutex_lock(&ended_mutex);
    ended->next = ended_first;
    ended_first = ended;
    pthread_mutex_unlock(&ended_mutex);
}

/* NULL: none of that connection. */
static struct ended *take_ended(natsConnection *nc)
{
    struct ended **at = &ended_first, *ended;

    pthread_mutex_lock(&ended_mutex);
    while (*at && (*at)->nc != nc)
        at = &(*at)->next;
    ended = *at;
    if (ended)
        *at = ended->next;
    pthread_mutex_unlock(&ended_mutex);
    return ended;
}

void yz_bus_unsubscribe(natsConnection *nc, natsSubscription *sub)
{
    struct ended *ended, *taken = NULL, *next;
    bool answered;

    if (!sub)
        return;
    natsSubscription_Unsubscribe(sub);
    ended = yz_malloc(sizeof *ended);
    *ended = (struct ended){.nc = nc, .sub = sub};
    put_ended(ended);
    while ((ended = take_ended(nc))) {
        ended->next = taken;
        taken = ended;
    }
    answered = natsConnection_IsClosed(nc) ||
               natsConnection_FlushTimeout(nc, UNSUBSCRIBE_WAIT_MS) == NATS_OK;
    for (ended = taken; ended; ended = next) {
        next = ended->next;
        if (!answered) {
            put_ended(ended);
            continue;
        }
        natsSubscription_Destroy(ended->sub);
        free(ended);
    }
}

/* The one call that writes the buffer in place. Its PONG is not needed, so a late one is no error.
 */
void yz_bus_hurry(natsConnection *nc)
{
    if (natsConnection_Buffered(nc) > 0)
        (void)natsConnection_FlushTimeout(nc, HURRY_WAIT_MS);
}

bool yz_bus_headers_ready(natsMsg **msg)
{
    const char *value;

    if (natsMsgHeader_Get(*msg, "Status", &value) != NATS_NO_MEMORY)
        return true;
    *msg = NULL;
    return false;
}

uint64_t yz_bus_header_u64(natsMsg *msg, const char *key, uint64_t fallback)
{
    const char *value = NULL;
    unsigned long long number;
    char *end;

    if (natsMsgHeader_Get(msg, key, &value) != NATS_OK || *value < '0' || *value > '9')
        return fallback;
    errno = 0;
    number = strtoull(value, &end, 10);
    return *end == '\0' && errno == 0 ? number : fallback;
}

int64_t yz_bus_time_us(const char *text)
{
    int64_t seconds;
    int32_t nanos;

    if (!yz_clock_parse(text, strlen(text), &seconds, &nanos))
        return 0;
    return seconds * 1000000 + nanos / 1000;
}

int64_t yz_bus_stored_us(natsMsg *msg)
{
    const char *text = NULL;

    return natsMsgHeader_Get(msg, "Nats-Time-Stamp", &text) == NATS_OK ? yz_bus_time_us(text) : 0;
}
