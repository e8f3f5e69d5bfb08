/* fill_events [settings] KIND COUNT UNITS MEMBERS RUN PHASE
 *
 * Puts events into EVENTS as a gateway would, so that workers find a backlog: COUNT events of KIND
 * in the bus format, as fast as the broker stores them. Prints one line of JSON.
 *
 *   KIND     checkins, posts or reads; pushes-of-checkins or pushes-of-posts: no events, but the
 *            pushes that they would have, into CHANNELS or THREADS
 *   UNITS    meetings, threads or branches' receipts that are busy at the same time; an event is of
 *            a random one of them, so that they lie over the partitions as in reality
 *   MEMBERS  of each branch. Every meeting and receipt takes each of its members once; when it is
 *            full, the next one begins.
 *   RUN      a number: another run on the same streams has other meetings and other ids
 *   PHASE    "setup": what must be settled before (meetings convened and opened, notices
 *            published); "fill": the events themselves
 *
 * Settings are a worker's (bus, code secret). The same words give the same events, apart from ids.
 */
#include "common/bus.h"
#include "common/clock.h"
#include "common/envelope.h"
#include "schemas/contract.h"
#include "workers/code.h"
#include "workers/push.h"

#include <inttypes.h>
#include <meeting.pb-c.h>
#include <notice.pb-c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thread.pb-c.h>

#define TENANT      "bench"
#define BRANCHES    100
#define MEMBERS_MAX 5000
#define UNDER_WAY   4096
#define STALL_MS    60000
#define STRIDE      617 /* prime, so that it visits every member of a branch once */
#define CODE_PERIOD 30
#define PAYLOAD_MAX (256 * 1024)
#define TITLE       "Monthly branch meeting"
#define TEXT                                                                                       \
    "The branch reads chapter three on Thursday; bring questions and the notes of last week."

/* What happens in it: unit n is of branch n mod BRANCHES. */
struct unit {
    char org_path[YZ_ORG_PATH_MAX];
    char id[YZ_ID_MAX];
    uint8_t key[WK_CODE_KEY_BYTES];
    unsigned branch;
    unsigned used; /* members that had their turn */
};

struct fill {
    struct yz_conf conf;
    natsConnection *nc;
    jsCtx *js;
    uint8_t *secret;
    size_t secret_len;
    uint64_t run; /* in all ids */
    uint64_t random;
    unsigned members;
    uint8_t *payload;
    uint64_t published;
    atomic_ulong failed;
};

struct kind {
    const char *name;
    bool once; /* each member once in each unit */
    void (*prepare)(struct fill *fill, const struct unit *unit, unsigned number);
    void (*event)(struct fill *fill, const struct unit *unit, unsigned member);
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "fill_events: %s: %s\n", what, why);
    exit(1);
}

static void on_error(jsCtx *js, jsPubAckErr *error, void *arg)
{
    struct fill *fill = arg;

    (void)js;
    if (atomic_fetch_add(&fill->failed, 1) == 0)
        fprintf(stderr, "fill_events: publish: %s\n",
                error->ErrText ? error->ErrText : natsStatus_GetText(error->Err));
}

/* xorshift64 */
static uint64_t draw(struct fill *fill, uint64_t below)
{
    fill->random ^= fill->random << 13;
    fill->random ^= fill->random >> 7;
    fill->random ^= fill->random << 17;
    return fill->random % below;
}

static void connect_bus(struct fill *fill)
{
    natsOptions *options = NULL;
    jsOptions js;

    if (yz_bus_options(&fill->conf, "fill_events", &options) != YZ_OK ||
        yz_bus_connect(options, 10000, &fill->nc) != YZ_OK)
        fail("connect", "see the log");
    natsOptions_Destroy(options);
    jsOptions_Init(&js);
    js.PublishAsync.MaxPending = UNDER_WAY;
    js.PublishAsync.StallWait = STALL_MS;
    js.PublishAsync.ErrHandler = on_error;
    js.PublishAsync.ErrHandlerClosure = fill;
    if (natsConnection_JetStream(&fill->js, fill->nc, &js) != NATS_OK)
        fail("JetStream", "no context");
}

static void publish(struct fill *fill, const struct unit *unit, const char *member,
                    const char *roles, const char *type, const ProtobufCMessage *message)
{
    const struct yz_domain_schema *domain = NULL;
    const struct yz_event_type *contract = yz_event_type_find(type, &domain);
    struct yz_envelope env = {.occurred_at_ms = yz_clock_wall_ms()};
    size_t len = protobuf_c_message_get_packed_size(message);
    natsMsg *msg = NULL;
    natsStatus s;

    if (len > PAYLOAD_MAX)
        fail(type, "payload is too large");
    protobuf_c_message_pack(message, fill->payload);
    snprintf(env.actor.tenant, sizeof env.actor.tenant, TENANT);
    snprintf(env.actor.member, sizeof env.actor.member, "%s", member);
    snprintf(env.actor.org_path, sizeof env.actor.org_path, "%s", unit->org_path);
    snprintf(env.actor.roles, sizeof env.actor.roles, "%s", roles);
    snprintf(env.type, sizeof env.type, "%s", type);
    snprintf(env.event_id, sizeof env.event_id, "e%" PRIx64 "-%" PRIu64, fill->run,
             fill->published);
    contract->aggregate(message, &env.actor, env.aggregate);
    if (yz_envelope_write(&env, domain->name, fill->payload, len, &msg) != YZ_OK)
        fail(type, "no memory");
    s = js_PublishMsgAsync(fill->js, &msg, NULL);
    if (s != NATS_OK)
        fail(type, natsStatus_GetText(s));
    fill->published++;
}

/* A worker's push with the message that a worker makes of it. */
static void publish_push(struct fill *fill, const char *channel, const char *type,
                         const ProtobufCMessage *message)
{
    struct wk_fold_push push = {.sequence = (fill->run << 40) + fill->published,
                                .time_ms = yz_clock_wall_ms(),
                                .tenant = TENANT,
                                .channel = channel,
                                .type = type,
                                .payload = fill->payload};
    natsMsg *msg = NULL;
    natsStatus s;

    push.payload_len = protobuf_c_message_pack(message, fill->payload);
    wk_push_message(&push, NULL, &msg);
    s = js_PublishMsgAsync(fill->js, &msg, NULL);
    if (s != NATS_OK)
        fail(type, natsStatus_GetText(s));
    fill->published++;
}

static void drain(struct fill *fill)
{
    jsPubOptions options;

    jsPubOptions_Init(&options);
    options.MaxWait = STALL_MS;
    if (js_PublishAsyncComplete(fill->js, &options) != NATS_OK)
        fail("publish", "the broker did not answer in time");
    if (atomic_load(&fill->failed) > 0)
        fail("publish", "the broker refused events");
}

static void member_name(const struct unit *unit, unsigned member, char out[YZ_ID_MAX])
{
    snprintf(out, YZ_ID_MAX, "m%02u-%04u", unit->branch, member);
}

static void convene(struct fill *fill, const struct unit *unit, unsigned number)
{
    Yizhan__V1__MeetingConvened convened = YIZHAN__V1__MEETING_CONVENED__INIT;
    Yizhan__V1__MeetingOpened opened = YIZHAN__V1__MEETING_OPENED__INIT;
    Google__Protobuf__Timestamp starts = GOOGLE__PROTOBUF__TIMESTAMP__INIT, ends = starts;
    char(*names)[YZ_ID_MAX] = calloc(fill->members, YZ_ID_MAX);
    char **roster = calloc(fill->members, sizeof *roster), roles[YZ_ORG_PATH_MAX + 32];

    (void)number;
    if (!names || !roster)
        fail("roster", "no memory");
    for (unsigned m = 0; m < fill->members; m++) {
        member_name(unit, m, names[m]);
        roster[m] = names[m];
    }
    snprintf(roles, sizeof roles, "member,secretary@%s", unit->org_path);
    starts.seconds = yz_clock_wall_ms() / 1000;
    ends.seconds = starts.seconds + 7200;
    convened.org_path = opened.org_path = (char *)(uintptr_t)unit->org_path;
    convened.meeting_id = opened.meeting_id = (char *)(uintptr_t)unit->id;
    convened.kind = YIZHAN__V1__MEETING_KIND__ASSEMBLY;
    convened.title = (char *)(uintptr_t)TITLE;
    convened.starts_at = &starts;
    convened.ends_at = &ends;
    convened.roster = roster;
    convened.n_roster = fill->members;
    convened.code_period_s = CODE_PERIOD;
    publish(fill, unit, "sec", roles, "meeting.convened", &convened.base);
    publish(fill, unit, "sec", roles, "meeting.opened", &opened.base);
    free(roster);
    free(names);
}

static void check_in(struct fill *fill, const struct unit *unit, unsigned member)
{
    Yizhan__V1__CheckinRecorded checkin = YIZHAN__V1__CHECKIN_RECORDED__INIT;
    const struct wk_code_meeting meeting = {TENANT, unit->org_path, unit->id};
    char name[YZ_ID_MAX], code[WK_CODE_LEN + 1];
    uint8_t nonce[WK_CODE_NONCE_BYTES] = {0};

    wk_code_make(unit->key, &meeting, (uint32_t)(yz_clock_wall_ms() / 1000 / CODE_PERIOD), nonce,
                 code);
    checkin.org_path = (char *)(uintptr_t)unit->org_path;
    checkin.meeting_id = (char *)(uintptr_t)unit->id;
    checkin.method = YIZHAN__V1__CHECKIN_METHOD__CODE;
    checkin.code = code;
    member_name(unit, member, name);
    publish(fill, unit, name, "member", "checkin.recorded", &checkin.base);
}

static void post(struct fill *fill, const struct unit *unit, unsigned member)
{
    Yizhan__V1__ThreadPosted posted = YIZHAN__V1__THREAD_POSTED__INIT;
    char name[YZ_ID_MAX], id[YZ_ID_MAX];

    snprintf(id, sizeof id, "p%" PRIx64 "-%" PRIu64, fill->run, fill->published);
    posted.org_path = (char *)(uintptr_t)unit->org_path;
    posted.thread_id = (char *)(uintptr_t)unit->id;
    posted.message_id = id;
    posted.text = (char *)(uintptr_t)TEXT;
    member_name(unit, member, name);
    publish(fill, unit, name, "member", "thread.posted", &posted.base);
}

/* One notice for all branches: the first of them publishes it. */
static void publish_notice(struct fill *fill, const struct unit *unit, unsigned number)
{
    Yizhan__V1__NoticePublished notice = YIZHAN__V1__NOTICE_PUBLISHED__INIT;

    if (number % BRANCHES != 0)
        return;
    notice.notice_id = (char *)(uintptr_t)unit->id;
    notice.org_path = (char *)(uintptr_t) "g1";
    notice.notice_class = YIZHAN__V1__NOTICE_CLASS__INFO;
    notice.title = (char *)(uintptr_t)TITLE;
    notice.body = (char *)(uintptr_t)TEXT;
    publish(fill, unit, "sec", "member,secretary@g1", "notice.published", &notice.base);
}

static void read_notice(struct fill *fill, const struct unit *unit, unsigned member)
{
    Yizhan__V1__NoticeRead read = YIZHAN__V1__NOTICE_READ__INIT;
    char name[YZ_ID_MAX];

    read.notice_id = (char *)(uintptr_t)unit->id;
    member_name(unit, member, name);
    publish(fill, unit, name, "member", "notice.read", &read.base);
}

static void push_confirmed(struct fill *fill, const struct unit *unit, unsigned member)
{
    Yizhan__V1__CheckinConfirmed confirmed = YIZHAN__V1__CHECKIN_CONFIRMED__INIT;
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    char name[YZ_ID_MAX], channel[YZ_CHANNEL_MAX];

    at.seconds = yz_clock_wall_ms() / 1000;
    confirmed.org_path = (char *)(uintptr_t)unit->org_path;
    confirmed.meeting_id = (char *)(uintptr_t)unit->id;
    confirmed.method = YIZHAN__V1__CHECKIN_METHOD__CODE;
    confirmed.checked_in_at = &at;
    member_name(unit, member, name);
    snprintf(channel, sizeof channel, "member.%s", name);
    publish_push(fill, channel, "checkin.confirmed", &confirmed.base);
}

static void push_post(struct fill *fill, const struct unit *unit, unsigned member)
{
    Yizhan__V1__ThreadPost posted = YIZHAN__V1__THREAD_POST__INIT;
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    char name[YZ_ID_MAX], id[YZ_ID_MAX], channel[YZ_CHANNEL_MAX];

    at.seconds = yz_clock_wall_ms() / 1000;
    snprintf(id, sizeof id, "p%" PRIx64 "-%" PRIu64, fill->run, fill->published);
    posted.org_path = (char *)(uintptr_t)unit->org_path;
    posted.thread_id = (char *)(uintptr_t)unit->id;
    posted.message_id = id;
    posted.text = (char *)(uintptr_t)TEXT;
    member_name(unit, member, name);
    posted.author = name;
    posted.sequence = UINT64_C(1) << 40;
    posted.posted_at = &at;
    snprintf(channel, sizeof channel, "thread.%s.%s", unit->org_path, unit->id);
    publish_push(fill, channel, "thread.post", &posted.base);
}

static const struct kind kinds[] = {
    {"checkins", true, convene, check_in},
    {"posts", false, NULL, post},
    {"reads", true, publish_notice, read_notice},
    {"pushes-of-checkins", true, NULL, push_confirmed},
    {"pushes-of-posts", false, NULL, push_post},
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    fail(name, "no such kind");
    return NULL;
}

static void begin_unit(struct fill *fill, const struct kind *kind, unsigned number,
                       struct unit *unit)
{
    memset(unit, 0, sizeof *unit);
    unit->branch = number % BRANCHES;
    snprintf(unit->org_path, sizeof unit->org_path, "g1/c%u/b%u", unit->branch / 10, unit->branch);
    /* A notice is the same in all branches. */
    snprintf(unit->id, sizeof unit->id, "u%" PRIx64 "-%u", fill->run,
             kind->event == read_notice ? number / BRANCHES : number);
    if (kind->event == check_in) {
        const struct wk_code_meeting meeting = {TENANT, unit->org_path, unit->id};

        wk_code_key(fill->secret, fill->secret_len, &meeting, unit->key);
    }
}

/* `busy` units at a time; one that all members have been in makes room for the next. */
static void fill_in(struct fill *fill, const struct kind *kind, uint64_t count, unsigned busy)
{
    struct unit *units = calloc(busy, sizeof *units);
    unsigned next = 0;

    if (!units)
        fail("units", "no memory");
    for (; next < busy; next++)
        begin_unit(fill, kind, next, &units[next]);
    while (count-- > 0) {
        struct unit *unit = &units[draw(fill, busy)];

        kind->event(fill, unit, (unsigned)((uint64_t)unit->used * STRIDE % fill->members));
        if (++unit->used == fill->members && kind->once)
            begin_unit(fill, kind, next++, unit);
    }
    free(units);
}

static void prepare(struct fill *fill, const struct kind *kind, uint64_t count, unsigned busy)
{
    /* Filling draws at random, so that some units are full before others: a few more are begun. */
    uint64_t units = kind->once ? count / fill->members + 2 * busy : 0;
    struct unit unit;

    for (unsigned n = 0; kind->prepare && n < units; n++) {
        begin_unit(fill, kind, n, &unit);
        kind->prepare(fill, &unit, n);
    }
}

static uint64_t number(const char *text, uint64_t max)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (*end || value == 0 || value > max)
        fail(text, "it is no number, or out of range");
    return value;
}

int main(int argc, char **argv)
{
    static struct fill fill = {.random = 88172645463325252};
    const struct kind *kind;
    uint64_t count, before;
    unsigned busy;
    int64_t began_us;
    int at;

    if (!yz_conf_parse(&fill.conf, YZ_CONF_WORKER, argc, argv,
                       "fill_events KIND COUNT UNITS MEMBERS RUN setup|fill", &at) ||
        argc - at != 6)
        return 2;
    kind = find_kind(argv[at]);
    count = number(argv[at + 1], 100000000);
    busy = (unsigned)number(argv[at + 2], 100000);
    fill.members = (unsigned)number(argv[at + 3], MEMBERS_MAX);
    fill.run = number(argv[at + 4], 1000000);
    /* The ids of both phases must differ. */
    before = fill.published = strcmp(argv[at + 5], "fill") == 0 ? UINT32_MAX : 0;
    fill.payload = malloc(PAYLOAD_MAX);
    if (!fill.payload || fill.members % STRIDE == 0 ||
        wk_code_secret_read(fill.conf.code_secret_file, &fill.secret, &fill.secret_len) != YZ_OK)
        return 2;
    connect_bus(&fill);
    began_us = yz_clock_mono_us();
    if (before)
        fill_in(&fill, kind, count, busy);
    else
        prepare(&fill, kind, count, busy);
    drain(&fill);
    printf("{\"events\": %" PRIu64 ", \"seconds\": %.6f}\n", fill.published - before,
           (double)(yz_clock_mono_us() - began_us) / 1e6);
    jsCtx_Destroy(fill.js);
    natsConnection_Destroy(fill.nc);
    free(fill.secret);
    free(fill.payload);
    nats_Close();
    return 0;
}
