#include "gateway/revocation.h"

#include "common/bus.h"
#include "common/log.h"
#include "common/table.h"
#include "gateway/audit.h"
#include "schemas/field.h"
#include "schemas/json.h"

#include <auth.pb-c.h>
#include <envelope.pb-c.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILTER  "state.*.auth.revoked.>"
#define LIVE    "live." FILTER
#define KEY_MAX (2 * YZ_ID_MAX + 1)

#define LEADER_TIMEOUT_MS 2000

struct token_void {
    char *org_path, *token_id; /* token_id "": all tokens */
    int64_t not_before_ms;
};

/* One member of one tenant. */
struct entry {
    UT_hash_handle hh;
    uint64_t seq; /* in STATE: what is older is stale */
    struct token_void *voids;
    size_t count;
    bool unheld;       /* its voids found no room: every token of the member counts as void */
    char key[KEY_MAX]; /* "<tenant>.<member>" */
};

struct gw_revocations {
    struct gw_link *link;
    struct gw_metrics *metrics;
    struct gw_audit *audit;
    struct gw_tap *tap;
    struct gw_barrier barrier;
    struct gw_watch watch;
    bool watching, loaded, changed;
    /* What the looks must reach before they count: the stream's last sequence when they began, or
     * else the last revocation of all that the leader has. */
    uint64_t needed;
    uint64_t met; /* the last revocation that a look has met */
    bool behind;  /* a look was answered that did not reach it */
    bool asking;  /* the leader */
    uint64_t request;
    unsigned resets; /* of the stream that is read */
    struct entry *entries;
    size_t count, max; /* of voids */
    bool overflown;    /* one could not be held */
};

static const struct gw_stream *state_of(const struct gw_revocations *r)
{
    return gw_streams_get(gw_link_streams(r->link), GW_STATE);
}

static void clear(struct gw_revocations *r, struct entry *entry)
{
    for (size_t i = 0; i < entry->count; i++) {
        free(entry->voids[i].org_path);
        free(entry->voids[i].token_id);
    }
    r->count -= entry->count;
    free(entry->voids);
    entry->voids = NULL;
    entry->count = 0;
    entry->unheld = false;
}

/* One that is no time at all makes the tokens void for good. */
static int64_t not_before_ms(const Google__Protobuf__Timestamp *time)
{
    if (!time || !yz_field_timestamp_valid(time->seconds, time->nanos))
        return INT64_MAX;
    return time->seconds * 1000 + time->nanos / 1000000;
}

/* false: out of memory. */
static bool add(struct gw_revocations *r, struct entry *entry, const Yizhan__V1__AuthVoid *from)
{
    struct token_void *to = &entry->voids[entry->count];

    to->org_path = strdup(from->org_path);
    to->token_id = strdup(from->token_id);
    to->not_before_ms = not_before_ms(from->not_before);
    if (!to->org_path || !to->token_id) {
        free(to->org_path);
        free(to->token_id);
        return false;
    }
    entry->count++;
    r->count++;
    return true;
}

static void overflow(struct gw_revocations *r)
{
    if (!r->overflown)
        yz_error("revocations_full", "max=%zu", r->max);
    r->overflown = true;
}

/* Which tokens are void cannot be told any more, so all are: nobody is let in anyhow, and a session
 * that should end does. */
static void make_all_void(struct gw_revocations *r, struct entry *entry)
{
    clear(r, entry);
    entry->unheld = true;
    overflow(r);
}

static void fill(struct gw_revocations *r, struct entry *entry,
                 const Yizhan__V1__AuthRevocation *value)
{
    if (value->n_voids == 0)
        return;
    if (value->n_voids > r->max - r->count) {
        make_all_void(r, entry);
        return;
    }
    entry->voids = calloc(value->n_voids, sizeof *entry->voids);
    for (size_t i = 0; i < value->n_voids; i++) {
        if (!entry->voids || !add(r, entry, value->voids[i])) {
            make_all_void(r, entry);
            return;
        }
    }
}

static struct entry *obtain(struct gw_revocations *r, const char *key)
{
    struct entry *entry;

    HASH_FIND_STR(r->entries, key, entry);
    if (entry || !(entry = calloc(1, sizeof *entry)))
        return entry;
    snprintf(entry->key, sizeof entry->key, "%s", key);
    HASH_ADD_STR(r->entries, key, entry);
    if (YZ_TABLE_ADDED(entry))
        return entry;
    free(entry);
    return NULL;
}

/* value NULL: there was no memory to read it. */
static void take(struct gw_revocations *r, const char *key, uint64_t seq,
                 const Yizhan__V1__AuthRevocation *value)
{
    struct entry *entry = obtain(r, key);

    if (!entry) {
        overflow(r);
        return;
    }
    if (seq <= entry->seq)
        return;
    clear(r, entry);
    if (value)
        fill(r, entry, value);
    else
        make_all_void(r, entry);
    entry->seq = seq;
    r->changed = true;
    atomic_store(&r->metrics->revocations, (int64_t)r->count);
    yz_info("revocation_taken", "of=%s voids=%zu seq=%" PRIu64, key, value ? value->n_voids : 0,
            seq);
}

/* "state.<tenant>.auth.revoked.<member>" to "<tenant>.<member>"; false when it has another form. */
static bool key_of(const char *subject, char key[KEY_MAX])
{
    static const char before[] = "state.", between[] = ".auth.revoked.";
    const char *tenant = subject + sizeof before - 1;
    const char *middle = strstr(subject, between);
    int len;

    if (strncmp(subject, before, sizeof before - 1) != 0 || !middle || middle <= tenant)
        return false;
    len = snprintf(key, KEY_MAX, "%.*s.%s", (int)(middle - tenant), tenant,
                   middle + sizeof between - 1);
    return len > 0 && len < KEY_MAX;
}

static void *allocate(void *arg, size_t size)
{
    (void)arg;
    return yz_malloc(size);
}

static void release(void *arg, void *piece)
{
    (void)arg;
    free(piece);
}

/* So that want of memory is told from what cannot be read. */
static ProtobufCAllocator counted = {.alloc = allocate, .free = release};

/* Unknown fields are let through: a newer worker may say more. */
static Yizhan__V1__AuthRevocation *unpack(natsMsg *msg)
{
    Yizhan__V1__AuthRevocation *value = NULL;
    Yizhan__V1__Push *push = yizhan__v1__push__unpack(&counted, (size_t)natsMsg_GetDataLength(msg),
                                                      (const uint8_t *)natsMsg_GetData(msg));

    if (push && strcmp(push->type, "auth.revocation") == 0)
        value =
            yizhan__v1__auth_revocation__unpack(&counted, push->payload.len, push->payload.data);
    if (push)
        yizhan__v1__push__free_unpacked(push, &counted);
    return value;
}

static void on_value(void *arg, natsMsg *msg, uint64_t seq)
{
    struct gw_revocations *r = arg;
    Yizhan__V1__AuthRevocation *value = NULL;
    unsigned refusals = yz_memory_refusals();
    const char *subject = "";
    char key[KEY_MAX];

    if (seq == 0 || natsMsgHeader_Get(msg, "Nats-Subject", &subject) != NATS_OK ||
        !key_of(subject, key) || (!(value = unpack(msg)) && yz_memory_refusals() == refusals)) {
        yz_error("revocation_malformed", "subject=%s seq=%" PRIu64, subject, seq);
        return;
    }
    take(r, key, seq, value);
    if (value)
        yizhan__v1__auth_revocation__free_unpacked(value, &counted);
}

static void on_live(void *arg, natsMsg *msg)
{
    on_value(arg, msg, yz_bus_header_u64(msg, "Nats-Sequence", 0));
}

static void on_found(void *arg, natsMsg *msg, uint64_t seq)
{
    struct gw_revocations *r = arg;

    if (seq > r->met)
        r->met = seq;
    on_value(r, msg, seq);
}

static void end_loading(struct gw_revocations *r)
{
    r->loaded = true;
    yz_info("revocations_loaded", "count=%zu", r->count);
}

static void look_again(struct gw_revocations *r)
{
    yz_warn_spaced("revocations_behind", "needed=%" PRIu64 " upto=%" PRIu64, r->needed,
                   r->watch.upto);
    r->behind = true;
    gw_watch_soon(&r->watch);
}

static bool on_leader(void *arg, natsMsg *msg, enum yz_err err)
{
    struct gw_revocations *r = arg;
    json_t *root = NULL;
    json_int_t seq = 0, code = 0;

    r->asking = false;
    if (!err)
        root = yz_json_load(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), 0, NULL);
    if (root && json_unpack(root, "{s:{s:I}}", "message", "seq", &seq) != 0)
        (void)json_unpack(root, "{s:{s:I}}", "error", "code", &code);
    if ((seq > 0 && (uint64_t)seq <= r->met) || code == 404)
        end_loading(r);
    else
        look_again(r);
    json_decref(root);
    return false;
}

/* A follower that is behind answered, or, as one does that has nothing new or answers in pages, it
 * did not say how far it has come: then only the leader knows whether there is more. */
static void ask_leader(struct gw_revocations *r)
{
    static const char text[] = "{\"last_by_subj\":\"" FILTER "\"}";
    char subject[64];

    snprintf(subject, sizeof subject, "$JS.API.STREAM.MSG.GET.%s", state_of(r)->name);
    r->asking = true;
    if (gw_link_request(r->link, subject, text, sizeof text - 1, LEADER_TIMEOUT_MS, on_leader, r,
                        &r->request) == YZ_OK)
        return;
    r->asking = false;
    look_again(r);
}

static void on_looked(void *arg, enum yz_err err)
{
    struct gw_revocations *r = arg;

    if (err || r->loaded || r->asking)
        return;
    if (r->watch.upto >= r->needed)
        end_loading(r);
    else
        ask_leader(r);
}

static void watch(struct gw_revocations *r)
{
    r->resets = state_of(r)->resets;
    r->needed = state_of(r)->last_seq;
    r->met = 0;
    r->watch = (struct gw_watch){
        .stream = GW_STATE, .filter = FILTER, .on_found = on_found, .on_done = on_looked, .arg = r};
    r->watching = true;
    gw_watch_start(r->audit, &r->watch);
}

static void end_watch(struct gw_revocations *r)
{
    if (r->asking)
        gw_link_cancel(r->link, r->request);
    r->asking = false;
    gw_watch_stop(&r->watch);
}

static void on_info(void *arg, const struct gw_stream *stream, enum yz_err err)
{
    struct gw_revocations *r = arg;

    (void)stream;
    if (err)
        gw_streams_barrier(gw_link_streams(r->link), GW_STATE, &r->barrier);
    else
        watch(r);
}

static void on_resync(void *arg)
{
    struct gw_revocations *r = arg;

    if (r->watching)
        gw_watch_again(&r->watch);
}

/* The stream was made anew and counts from the beginning, or it has lost its tail (a broker without
 * power) and gives its sequences once more: then what is new would be taken for stale. Read it all.
 * What it has lost still counts here. */
static void follow_resets(struct gw_revocations *r)
{
    const struct gw_stream *state = state_of(r);

    if (!r->watching || !state->known || state->resets == r->resets)
        return;
    yz_warn("revocations_reread", "epoch=%s last_seq=%" PRIu64, state->epoch, state->last_seq);
    for (struct entry *entry = r->entries; entry; entry = entry->hh.next)
        entry->seq = 0;
    end_watch(r);
    watch(r);
}

bool gw_revocations_changed(struct gw_revocations *r)
{
    bool changed = r->changed;

    r->changed = false;
    follow_resets(r);
    return changed;
}

enum yz_err gw_revocations_new(const struct yz_conf *conf, uv_loop_t *loop, struct gw_link *link,
                               struct gw_metrics *metrics, struct gw_revocations **out)
{
    struct gw_revocations *r = calloc(1, sizeof *r);
    enum yz_err err = YZ_INTERNAL;

    if (!r)
        return err;
    r->link = link;
    r->metrics = metrics;
    r->max = (size_t)conf->revocations_max;
    if ((err = gw_audit_new(conf, loop, link, &r->audit)) ||
        (err = gw_link_subscribe(link, LIVE, on_live, r, &r->tap))) {
        gw_revocations_free(r);
        return err;
    }
    r->barrier.on_info = on_info;
    r->barrier.arg = r;
    gw_streams_barrier(gw_link_streams(link), GW_STATE, &r->barrier);
    gw_link_on_resync(link, on_resync, r);
    *out = r;
    return YZ_OK;
}

void gw_revocations_free(struct gw_revocations *r)
{
    struct entry *entry, *next;

    if (!r)
        return;
    gw_link_off_resync(r->link, r);
    gw_barrier_cancel(&r->barrier);
    if (r->watching)
        end_watch(r);
    if (r->tap)
        gw_link_unsubscribe(r->link, r->tap);
    gw_audit_free(r->audit);
    HASH_ITER(hh, r->entries, entry, next)
    {
        HASH_DEL(r->entries, entry);
        clear(r, entry);
        free(entry);
    }
    free(r);
}

bool gw_revocations_ready(const struct gw_revocations *r, const char **reason)
{
    *reason = r->overflown ? "there are more revocations than revocations_max"
              : r->loaded  ? ""
              : r->behind  ? "the revocations have not been read yet: a follower of STATE is behind"
                           : "the revocations have not been read yet";
    return r->loaded && !r->overflown;
}

static bool is_void(const struct entry *entry, const struct gw_identity *identity)
{
    if (entry->unheld)
        return true;
    for (size_t i = 0; i < entry->count; i++) {
        const struct token_void *each = &entry->voids[i];

        if (identity->issued_at_ms < each->not_before_ms &&
            yz_org_covers(each->org_path, identity->actor.org_path) &&
            (*each->token_id == '\0' || strcmp(each->token_id, identity->token_id) == 0))
            return true;
    }
    return false;
}

enum yz_err gw_revocations_judge(const struct gw_revocations *r, const struct gw_identity *identity)
{
    struct entry *entry;
    char key[KEY_MAX];

    snprintf(key, sizeof key, "%s.%s", identity->actor.tenant, identity->actor.member);
    HASH_FIND_STR(r->entries, key, entry);
    if (entry && is_void(entry, identity))
        return YZ_TOKEN_REVOKED;
    if (r->overflown)
        return YZ_BUSY;
    return r->loaded ? YZ_OK : YZ_BUS_UNAVAILABLE;
}
