#include "workers/publisher.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "workers/stream.h"

#include "common/table.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW            256
#define PUBACK_TIMEOUT_MS 5000
#define RETRY_MIN_MS      50
#define RETRY_MAX_MS      2000
#define NONE              SIZE_MAX

struct wk_publisher {
    const struct yz_conf *conf;
    struct wk_metrics *metrics;
    char name[64];
    natsConnection *nc;
    char inbox[YZ_INBOX_MAX];
    natsSubscription *sub;
    unsigned round; /* of the connection and try; stands in the reply subject */
    size_t under_way;
    int64_t until_mono_ms;
    int logged_code; /* of the last refusal, so that a long trouble is one line */
};

struct last_of_key {
    const char *key;
    size_t index;
    UT_hash_handle hh;
};

static void disconnect(struct wk_publisher *pub)
{
    natsConnection_Close(pub->nc); /* ends its reading thread, see yz_bus_unsubscribe */
    natsSubscription_Destroy(pub->sub);
    natsConnection_Destroy(pub->nc);
    pub->sub = NULL;
    pub->nc = NULL;
}

static bool connect_anew(struct wk_publisher *pub)
{
    natsOptions *options = NULL;
    char wildcard[YZ_INBOX_MAX + 8];
    bool good = false;

    disconnect(pub);
    if (yz_bus_options(pub->conf, pub->name, &options) != YZ_OK)
        return false;
    good = natsOptions_SetAllowReconnect(options, false) == NATS_OK &&
           natsConnection_Connect(&pub->nc, options) == NATS_OK &&
           yz_bus_inbox(pub->conf, pub->inbox) == YZ_OK;
    if (good) {
        snprintf(wildcard, sizeof wildcard, "%s.*.*", pub->inbox);
        good = natsConnection_SubscribeSync(&pub->sub, pub->nc, wildcard) == NATS_OK;
    }
    natsOptions_Destroy(options);
    if (!good)
        disconnect(pub);
    return good;
}

enum yz_err wk_publisher_new(const struct yz_conf *conf, const char *name,
                             struct wk_metrics *metrics, struct wk_publisher **pub)
{
    struct wk_publisher *p = yz_calloc(1, sizeof *p);

    if (!p)
        return YZ_INTERNAL;
    p->conf = conf;
    p->metrics = metrics;
    snprintf(p->name, sizeof p->name, "%s", name);
    *pub = p;
    return YZ_OK;
}

void wk_publisher_free(struct wk_publisher *pub)
{
    if (!pub)
        return;
    disconnect(pub);
    free(pub);
}

natsConnection *wk_publisher_connection(struct wk_publisher *pub)
{
    if (!pub->nc || natsConnection_IsClosed(pub->nc))
        connect_anew(pub);
    return pub->nc;
}

static bool is_final(const struct wk_letter *letter)
{
    return letter->state != WK_LETTER_WAITING && letter->state != WK_LETTER_UNDER_WAY;
}

static void chain(struct wk_letter *letters, size_t count)
{
    struct last_of_key *lasts = yz_calloc(count + 1, sizeof *lasts), *table = NULL, *last;

    for (size_t i = 0; i < count; i++) {
        const char *key = letters[i].key ? letters[i].key : natsMsg_GetSubject(letters[i].msg);

        letters[i].before = letters[i].after = NONE;
        HASH_FIND_STR(table, key, last);
        if (last) {
            letters[i].before = last->index;
            letters[last->index].after = i;
            last->index = i;
        } else {
            lasts[i].key = key;
            lasts[i].index = i;
            HASH_ADD_KEYPTR(hh, table, lasts[i].key, strlen(key), &lasts[i]);
        }
    }
    HASH_CLEAR(hh, table);
    free(lasts);
}

static void write_reply(const struct wk_publisher *pub, unsigned round, size_t index,
                        char out[WK_REPLY_MAX])
{
    snprintf(out, WK_REPLY_MAX, "%s.%u.%zu", pub->inbox, round, index);
}

void wk_publisher_reply(const struct wk_publisher *pub, size_t index, char out[WK_REPLY_MAX])
{
    write_reply(pub, pub->round + 1, index, out);
}

static natsStatus copy_headers(natsMsg *from, natsMsg **to)
{
    const char **keys = NULL;
    int key_count = 0;
    natsStatus s = natsMsgHeader_Keys(from, &keys, &key_count);

    if (s == NATS_NOT_FOUND) {
        s = NATS_OK;
        key_count = 0;
    }
    for (int i = 0; s == NATS_OK && i < key_count; i++) {
        const char *value = NULL;

        s = natsMsgHeader_Get(from, keys[i], &value);
        if (s == NATS_OK)
            s = yz_bus_header_set(to, keys[i], value);
    }
    free((void *)keys);
    return s;
}

/* nats.c fixes a message's reply subject at creation, and each try has one of its own: where the
 * letter's is another one, a copy goes out. */
static natsStatus publish(struct wk_publisher *pub, struct wk_letter *letter, size_t index)
{
    const char *made_with = natsMsg_GetReply(letter->msg);
    char reply[WK_REPLY_MAX], expected[24];
    natsMsg *msg = NULL;
    natsStatus s;

    write_reply(pub, pub->round, index, reply);
    if (made_with && !letter->expects && strcmp(made_with, reply) == 0)
        return natsConnection_PublishMsg(pub->nc, letter->msg);
    s = natsMsg_Create(&msg, natsMsg_GetSubject(letter->msg), reply, natsMsg_GetData(letter->msg),
                       natsMsg_GetDataLength(letter->msg));
    if (s == NATS_OK)
        s = copy_headers(letter->msg, &msg);
    if (s == NATS_OK && letter->expects) {
        snprintf(expected, sizeof expected, "%" PRIu64, letter->expected);
        s = yz_bus_header_set(&msg, "Nats-Expected-Last-Subject-Sequence", expected);
    }
    if (s == NATS_OK)
        s = natsConnection_PublishMsg(pub->nc, msg);
    natsMsg_Destroy(msg);
    return s;
}

/* The one before it of its key was not stored, and is not overtaken: what comes of it comes later.
 */
static bool is_held_back(const struct wk_letter *letters, size_t i)
{
    size_t before = letters[i].before;

    return letters[i].key && before != NONE && is_final(&letters[before]) &&
           letters[before].state != WK_LETTER_STORED;
}

/* No letter before it on its subject may still be stored. A final one between, such as a replayed
 * push that was found stored, says nothing about those before that. */
static bool is_next(struct wk_letter *letters, size_t i)
{
    size_t before = letters[i].before;

    while (before != NONE && is_final(&letters[before]))
        before = letters[before].before;
    letters[i].before = before;
    return before == NONE;
}

/* Send the letter unless one before it on its subject is not final yet. */
static bool try_letter(struct wk_publisher *pub, struct wk_letter *letters, size_t i)
{
    struct wk_letter *letter = &letters[i];
    natsStatus s;

    if (letter->state == WK_LETTER_WAITING && is_held_back(letters, i))
        letter->state = WK_LETTER_DROPPED;
    if (letter->state != WK_LETTER_WAITING || pub->under_way >= WINDOW || !is_next(letters, i))
        return true;
    if (pub->until_mono_ms && yz_clock_mono_ms() >= pub->until_mono_ms)
        return false;
    s = publish(pub, letter, i);
    if (s == NATS_MAX_PAYLOAD && letter->may_refuse) {
        letter->state = WK_LETTER_REFUSED;
        return true;
    }
    if (s != NATS_OK)
        return false;
    letter->state = WK_LETTER_UNDER_WAY;
    pub->under_way++;
    return true;
}

static void log_refusal(struct wk_publisher *pub, const char *subject, int code)
{
    if (code == pub->logged_code)
        return;
    pub->logged_code = code;
    yz_warn_spaced("publish_refused", "stream_of=%.4s err_code=%d", subject, code);
}

/* One PubAck. false: try again from here on a new connection. */
static bool settle(struct wk_publisher *pub, struct wk_letter *letters, size_t count, natsMsg *ack)
{
    const char *at = natsMsg_GetSubject(ack) + strlen(pub->inbox);
    struct wk_letter *letter;
    unsigned long round;
    size_t index;
    int code = 0;
    char *end;

    round = strtoul(at + 1, &end, 10);
    if (*end != '.' || round != pub->round)
        return true; /* of an earlier try */
    index = strtoul(end + 1, NULL, 10);
    if (index >= count)
        return true;
    letter = &letters[index];
    if (letter->state != WK_LETTER_UNDER_WAY)
        return true;
    pub->under_way--;
    if (wk_stream_ack(natsMsg_GetData(ack), (size_t)natsMsg_GetDataLength(ack), &letter->sequence,
                      &code) == YZ_OK) {
        letter->state = WK_LETTER_STORED;
        pub->logged_code = 0;
    } else if (code == WK_STREAM_WRONG_LAST) {
        letter->state = WK_LETTER_STALE;
    } else if (letter->may_refuse) {
        letter->state = WK_LETTER_REFUSED;
    } else {
        letter->state = WK_LETTER_WAITING;
        log_refusal(pub, natsMsg_GetSubject(letter->msg), code);
        return false;
    }
    for (index = letter->after; index != NONE && is_final(&letters[index]);)
        index = letters[index].after;
    return index == NONE || try_letter(pub, letters, index);
}

/* The message is sent again before the broker could offer its event to somebody else. */
static int64_t puback_wait_ms(const struct yz_conf *conf)
{
    int64_t half_ms = conf->ack_wait_ms / 2;

    return half_ms < PUBACK_TIMEOUT_MS ? half_ms : PUBACK_TIMEOUT_MS;
}

static natsStatus next_ack(struct wk_publisher *pub, natsMsg **ack)
{
    uint64_t there = 0;

    if (natsSubscription_QueuedMsgs(pub->sub, &there) != NATS_OK || there == 0)
        yz_bus_hurry(pub->nc);
    return natsSubscription_NextMsg(ack, pub->sub, puback_wait_ms(pub->conf));
}

/* One try of everything that is not final. */
static bool try_all(struct wk_publisher *pub, struct wk_letter *letters, size_t count)
{
    size_t next = 0, final;

    pub->round++;
    pub->under_way = 0;
    for (size_t i = 0; i < count; i++) {
        if (letters[i].state == WK_LETTER_UNDER_WAY)
            letters[i].state = WK_LETTER_WAITING;
    }
    for (;;) {
        natsMsg *ack = NULL;
        bool good;

        while (next < count && pub->under_way < WINDOW) {
            if (!try_letter(pub, letters, next++))
                return false;
        }
        if (pub->under_way == 0) {
            for (final = 0; final < count && is_final(&letters[final]);)
                final++;
            if (final == count)
                return true;
            next = final;
            continue;
        }
        if (next_ack(pub, &ack) != NATS_OK) {
            disconnect(pub);
            return false;
        }
        good = settle(pub, letters, count, ack);
        natsMsg_Destroy(ack);
        if (!good)
            return false;
    }
}

void wk_publisher_until(struct wk_publisher *pub, int64_t mono_ms)
{
    pub->until_mono_ms = mono_ms;
}

enum yz_err wk_publisher_send(struct wk_publisher *pub, struct wk_letter *letters, size_t count,
                              wk_publisher_retry_fn *on_retry, void *arg)
{
    int64_t wait_ms = RETRY_MIN_MS, waits = 0;
    bool sent = false;

    if (count == 0)
        return YZ_OK;
    chain(letters, count);
    while (!on_retry || on_retry(arg, letters, count)) {
        sent = wk_publisher_connection(pub) && try_all(pub, letters, count);
        if (sent)
            break;
        yz_count(&pub->metrics->pushes_retried, 1);
        if (!waits) {
            waits = 1;
            atomic_fetch_add(&pub->metrics->batches_waiting, 1);
        }
        /* What an answered error leaves under way must not be stored behind what is sent again. */
        disconnect(pub);
        nats_Sleep(wait_ms);
        wait_ms = wait_ms * 2 < RETRY_MAX_MS ? wait_ms * 2 : RETRY_MAX_MS;
    }
    atomic_fetch_sub(&pub->metrics->batches_waiting, waits);
    return sent ? YZ_OK : YZ_BUS_UNAVAILABLE;
}
