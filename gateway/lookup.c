#include "gateway/lookup.h"

#include "common/bus.h"
#include "common/log.h"
#include "schemas/codec.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKUP_BATCH      1024 /* the server's maximum of results */
#define LOOKUP_WILD_BATCH 32   /* filters with a wildcard, each with several results */
#define LOOKUP_FLIGHTS    4
#define LOOKUP_PAGE       512
#define LOOKUP_MAX_BYTES  (4 * 1024 * 1024) /* of one answer; the rest is asked for after it */
#define LOOKUP_TIMEOUT_MS 3000
#define LOOKUP_TRIES      3
#define REQUEST_MAX       (1024 * 1024)

TAILQ_HEAD(entry_list, gw_lookup_entry);

struct gw_flight {
    TAILQ_ENTRY(gw_flight) entry;
    struct gw_lookup *lookup;
    uint64_t request;
    struct gw_lookup_entry *entries; /* by the filter without ".>" */
    struct gw_lookup_entry *starred; /* the one of them whose filter has a '*', or NULL */
    bool alone;                      /* one wildcard, in pages */
    bool broken;                     /* a part of this answer did not come */
    uint64_t page_last;              /* last sequence of this answer */
    unsigned tries;
    uint64_t from, last; /* of the pages: where this one begins, last sequence read */
    uint64_t upto;       /* how far the last page's replica was */
    bool untold;         /* the pages do not tell how far all that was looked at */
};

TAILQ_HEAD(flight_list, gw_flight);

struct gw_lookup {
    struct gw_link *link;
    enum gw_stream_id stream;
    char subject[64]; /* of the direct get */
    struct entry_list waiting;
    struct flight_list flights;
    size_t flight_count;
    bool launching;
};

static void launch(struct gw_lookup *lookup);

enum yz_err gw_lookup_new(struct gw_link *link, enum gw_stream_id stream, struct gw_lookup **lookup)
{
    struct gw_lookup *l = calloc(1, sizeof *l);

    if (!l)
        return YZ_INTERNAL;
    l->link = link;
    l->stream = stream;
    snprintf(l->subject, sizeof l->subject, "$JS.API.DIRECT.GET.%s",
             gw_streams_get(gw_link_streams(link), stream)->name);
    TAILQ_INIT(&l->waiting);
    TAILQ_INIT(&l->flights);
    *lookup = l;
    return YZ_OK;
}

static void end_flight(struct gw_flight *flight)
{
    struct gw_lookup *lookup = flight->lookup;

    assert(!flight->entries);
    TAILQ_REMOVE(&lookup->flights, flight, entry);
    lookup->flight_count--;
    free(flight);
}

void gw_lookup_free(struct gw_lookup *lookup)
{
    struct gw_flight *flight;

    if (!lookup)
        return;
    assert(TAILQ_EMPTY(&lookup->waiting));
    while ((flight = TAILQ_FIRST(&lookup->flights))) {
        gw_link_cancel(lookup->link, flight->request);
        end_flight(flight);
    }
    free(lookup);
}

static void append(struct yz_buf *buf, const char *text)
{
    yz_buf_append(buf, text, strlen(text));
}

/* Subjects hold no character that JSON would escape. */
static void write_multi(const struct gw_flight *flight, struct yz_buf *buf)
{
    const struct gw_lookup_entry *e;
    char text[128];

    append(buf, "{\"multi_last\":[");
    for (e = flight->entries; e; e = e->hh.next) {
        append(buf, e == flight->entries ? "\"" : ",\"");
        append(buf, e->filter);
        append(buf, "\"");
    }
    snprintf(text, sizeof text, "],\"seq\":%" PRIu64 ",\"max_bytes\":%d}", flight->from,
             LOOKUP_MAX_BYTES);
    append(buf, text);
}

static void write_page(const struct gw_flight *flight, struct yz_buf *buf)
{
    char text[128];

    snprintf(text, sizeof text, "{\"seq\":%" PRIu64 ",\"batch\":%d,\"max_bytes\":%d,",
             flight->from ? flight->from : 1, LOOKUP_PAGE, LOOKUP_MAX_BYTES);
    append(buf, text);
    append(buf, "\"next_by_subj\":\"");
    append(buf, flight->entries->filter);
    append(buf, "\"}");
}

static bool on_answer(void *arg, natsMsg *msg, enum yz_err err);

static enum yz_err send_flight(struct gw_flight *flight)
{
    struct yz_buf buf;
    enum yz_err err = YZ_INTERNAL;

    flight->broken = false;
    flight->page_last = 0;
    yz_buf_init(&buf, REQUEST_MAX);
    if (flight->alone)
        write_page(flight, &buf);
    else
        write_multi(flight, &buf);
    if (!buf.failed)
        err = gw_link_request(flight->lookup->link, flight->lookup->subject, buf.data, buf.len,
                              LOOKUP_TIMEOUT_MS, on_answer, flight, &flight->request);
    yz_buf_deinit(&buf);
    return err;
}

/* Take the entries out one by one: a callback may cancel others. */
static void finish(struct gw_flight *flight, uint64_t upto, enum yz_err err)
{
    struct gw_lookup *lookup = flight->lookup;
    struct gw_lookup_entry *e;

    while ((e = flight->entries)) {
        HASH_DEL(flight->entries, e);
        e->flight = NULL;
        if (flight->starred == e)
            flight->starred = NULL;
        e->on_done(e, upto, err);
    }
    end_flight(flight);
    launch(lookup);
}

/* Too many results: each filter is read by itself, now and later. */
static void scatter(struct gw_flight *flight)
{
    struct gw_lookup *lookup = flight->lookup;
    struct gw_lookup_entry *e;

    while ((e = flight->entries)) {
        HASH_DEL(flight->entries, e);
        e->flight = NULL;
        e->alone = e->waiting = true;
        TAILQ_INSERT_HEAD(&lookup->waiting, e, entry);
    }
    end_flight(flight);
    launch(lookup);
}

static bool go_on(struct gw_flight *flight)
{
    enum yz_err err;

    if (flight->last >= flight->from)
        flight->from = flight->last + 1;
    if ((err = send_flight(flight)))
        finish(flight, 0, err);
    return false;
}

/* The entry whose filter fits the subject: the filter itself, one of the subjects it begins with,
 * or else the one with a '*', whatever it stands for. */
static struct gw_lookup_entry *entry_of(struct gw_flight *flight, const char *subject)
{
    struct gw_lookup_entry *e = NULL;
    size_t len = strlen(subject);

    while (len > 0) {
        HASH_FIND(hh, flight->entries, subject, len, e);
        if (e)
            return e;
        while (len > 0 && subject[--len] != '.')
            ;
    }
    return flight->starred;
}

/* Each message of an answer names the one before it, and the end the last one: our own queue may
 * have dropped some. */
static void on_found(struct gw_flight *flight, natsMsg *msg)
{
    uint64_t seq = yz_bus_header_u64(msg, "Nats-Sequence", 0);
    struct gw_lookup_entry *e;
    const char *subject;

    if (yz_bus_header_u64(msg, "Nats-Last-Sequence", 0) != flight->page_last)
        flight->broken = true;
    if (flight->broken || seq == 0 || natsMsgHeader_Get(msg, "Nats-Subject", &subject) != NATS_OK)
        return;
    flight->last = flight->page_last = seq;
    e = entry_of(flight, subject);
    if (e)
        e->on_found(e, msg, seq);
}

/* A message was found and removed before it was read, so the answer broke off; "No Results" and the
 * "Message Not Found" of an empty page are no such thing. */
static bool vanished(const struct gw_flight *flight, natsMsg *msg, const char *status)
{
    const char *text;

    return !flight->alone && strcmp(status, "404") == 0 &&
           natsMsgHeader_Get(msg, "Description", &text) == NATS_OK &&
           strcmp(text, "Message Not Found") == 0;
}

/* Each page may come from another replica. A page leaves a subject out whose last message is due on
 * a later one; a replica that ends before that message has an older one at most, which lies before
 * its page. So the pages tell how far they looked only when none ends before an earlier one. The
 * request names no bound (up_to_seq): a replica that has not got there would give it back as its
 * own end. */
static void note_end(struct gw_flight *flight, natsMsg *msg)
{
    uint64_t upto = yz_bus_header_u64(msg, "Nats-UpTo-Sequence", 0);

    flight->untold |= upto == 0 || upto < flight->upto;
    flight->upto = upto;
}

/* The message that ends an answer has a status and no sequence. */
static bool on_end(struct gw_flight *flight, natsMsg *msg, const char *status)
{
    bool ended = strcmp(status, "204") == 0;

    note_end(flight, msg);
    if (ended && yz_bus_header_u64(msg, "Nats-Last-Sequence", 0) != flight->page_last)
        flight->broken = true;
    if (flight->broken || vanished(flight, msg, status)) {
        if (flight->tries++ < LOOKUP_TRIES)
            return go_on(flight);
        finish(flight, 0, YZ_TIMED_OUT);
        return false;
    }
    if (ended && yz_bus_header_u64(msg, "Nats-Num-Pending", 0) > 0 && flight->last >= flight->from)
        return go_on(flight);
    if (ended || strcmp(status, "404") == 0)
        finish(flight, flight->untold ? 0 : flight->upto, YZ_OK);
    else if (strcmp(status, "413") == 0)
        scatter(flight);
    else
        finish(flight, 0, YZ_BUS_UNAVAILABLE);
    return false;
}

static bool on_answer(void *arg, natsMsg *msg, enum yz_err err)
{
    struct gw_flight *flight = arg;
    const char *status;

    if (err) {
        finish(flight, 0, err);
        return false;
    }
    if (natsMsgHeader_Get(msg, "Status", &status) == NATS_OK)
        return on_end(flight, msg, status);
    on_found(flight, msg);
    return true;
}

static void board(struct gw_flight *flight, struct gw_lookup_entry *e)
{
    HASH_ADD_KEYPTR(hh, flight->entries, e->filter, e->key_len, e);
    if (!YZ_TABLE_ADDED(e))
        return; /* it waits for the next flight */
    TAILQ_REMOVE(&flight->lookup->waiting, e, entry);
    e->waiting = false;
    e->flight = flight;
    if (e->starred)
        flight->starred = e;
    if (flight->from == 0 || e->from < flight->from)
        flight->from = e->from;
}

/* Fill the flight from the entries that wait: one that must be alone, or as many others as fit.
 * Entries that ask for everything do not fly with those that ask for what is new, whose answers
 * would grow by it. */
static void fill(struct gw_flight *flight)
{
    struct gw_lookup *lookup = flight->lookup;
    struct gw_lookup_entry *first = TAILQ_FIRST(&lookup->waiting), *e, *next;
    bool whole = first->from == 0;
    size_t max = lookup->stream == GW_STATE ? LOOKUP_WILD_BATCH : LOOKUP_BATCH, count = 0;

    flight->alone = first->alone;
    if (flight->alone) {
        board(flight, first);
        return;
    }
    for (e = first; e && count < max; e = next) {
        struct gw_lookup_entry *twin;

        next = TAILQ_NEXT(e, entry);
        HASH_FIND(hh, flight->entries, e->filter, e->key_len, twin);
        if (e->alone || twin || (e->from == 0) != whole || (e->starred && flight->starred))
            continue;
        board(flight, e);
        count++;
    }
}

/* No memory for a flight: whoever asked is told, and asks again. */
static void turn_away(struct gw_lookup *lookup)
{
    struct gw_lookup_entry *first = TAILQ_FIRST(&lookup->waiting);

    TAILQ_REMOVE(&lookup->waiting, first, entry);
    first->waiting = false;
    first->on_done(first, 0, YZ_INTERNAL);
}

static void launch(struct gw_lookup *lookup)
{
    if (lookup->launching) /* a callback of a launch that failed asked again */
        return;
    lookup->launching = true;
    while (!TAILQ_EMPTY(&lookup->waiting) && lookup->flight_count < LOOKUP_FLIGHTS) {
        struct gw_flight *flight = calloc(1, sizeof *flight);

        if (!flight) {
            turn_away(lookup);
            continue;
        }
        flight->lookup = lookup;
        TAILQ_INSERT_TAIL(&lookup->flights, flight, entry);
        lookup->flight_count++;
        fill(flight);
        if (!flight->entries) {
            end_flight(flight);
            turn_away(lookup);
        } else if (send_flight(flight)) {
            finish(flight, 0, YZ_BUS_UNAVAILABLE);
        }
    }
    lookup->launching = false;
}

void gw_lookup_ask(struct gw_lookup *lookup, struct gw_lookup_entry *entry)
{
    size_t len = strlen(entry->filter);

    if (entry->waiting || entry->flight)
        return;
    entry->key_len = len > 2 && strcmp(entry->filter + len - 2, ".>") == 0 ? len - 2 : len;
    entry->starred = strchr(entry->filter, '*') != NULL;
    entry->waiting = true;
    TAILQ_INSERT_TAIL(&lookup->waiting, entry, entry);
    launch(lookup);
}

void gw_lookup_cancel(struct gw_lookup *lookup, struct gw_lookup_entry *entry)
{
    if (entry->waiting)
        TAILQ_REMOVE(&lookup->waiting, entry, entry);
    if (entry->flight) {
        HASH_DEL(entry->flight->entries, entry);
        if (entry->flight->starred == entry)
            entry->flight->starred = NULL;
    }
    entry->waiting = false;
    entry->flight = NULL;
}
