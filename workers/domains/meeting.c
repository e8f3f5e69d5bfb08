/* Meetings (三会一课 · 主题党日) and checking in to them (签到): what events do to a meeting. Its
 * queries stand in meeting_query.c. */
#include "workers/domains/meeting.h"

#include "common/memory.h"
#include "workers/code.h"
#include "workers/document.h"

#include <stdlib.h>
#include <string.h>

/* All events of the domain begin with the meeting they are about (schemas/meeting.c asserts it). */
static const Yizhan__V1__MeetingOpened *ref_of(const struct wk_event *event)
{
    return (const Yizhan__V1__MeetingOpened *)event->payload;
}

static void meeting_id(const struct wk_event *event, char out[WK_ID_MAX])
{
    wk_id(out, event->env->actor.tenant, ref_of(event)->org_path, ref_of(event)->meeting_id, NULL);
}

static void meeting_channel(const struct wk_event *event, char out[YZ_CHANNEL_MAX])
{
    struct yz_channel channel = {.kind = YZ_CHANNEL_MEETING};

    snprintf(channel.org_path, sizeof channel.org_path, "%s", ref_of(event)->org_path);
    snprintf(channel.id, sizeof channel.id, "%s", ref_of(event)->meeting_id);
    yz_channel_name(&channel, out);
}

static void needs_meeting(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    meeting_id(event, id);
    wk_need_own(needs, WK_MEETINGS, id);
}

static void needs_roster(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    meeting_id(event, id);
    wk_need_own(needs, WK_MEETINGS, id);
    wk_need_own(needs, WK_ROSTERS, id);
}

static const bson_t *get_meeting(const struct wk_event *event, struct wk_fold *fold)
{
    char id[WK_ID_MAX];

    meeting_id(event, id);
    return wk_get(fold, WK_MEETINGS, id);
}

Yizhan__V1__MeetingState wk_meeting_state(const bson_t *meeting)
{
    return (Yizhan__V1__MeetingState)wk_document_enum(meeting, "state",
                                                      &yizhan__v1__meeting_state__descriptor);
}

static enum yz_err refuse_missing(struct yz_violation *v)
{
    return yz_violate(v, YZ_NOT_FOUND, "meetingId", "There is no such meeting.");
}

/* The value "attendance": how many of how many. */
static void send_attendance(const struct wk_event *event, struct wk_fold *fold, int64_t present,
                            int64_t should)
{
    Yizhan__V1__AttendanceCount count = YIZHAN__V1__ATTENDANCE_COUNT__INIT;
    char channel[YZ_CHANNEL_MAX];

    count.present = (uint32_t)present;
    count.should_attend = (uint32_t)should;
    meeting_channel(event, channel);
    wk_value(fold, channel, "attendance", "meeting.attendance_count", &count.base, NULL);
}

static enum yz_err judge_convened(const struct wk_event *event, struct wk_fold *fold,
                                  struct yz_violation *v)
{
    if (get_meeting(event, fold))
        return yz_violate(v, YZ_EXISTS, "meetingId", "A meeting with this id exists already.");
    return YZ_OK;
}

static bson_t *new_meeting(const struct wk_event *event, const Yizhan__V1__MeetingConvened *m)
{
    bson_t *meeting = bson_new();
    static const uint8_t nobody[WK_ROSTER_MAX / 8] = {0};

    BSON_APPEND_UTF8(meeting, "org_path", m->org_path);
    BSON_APPEND_UTF8(meeting, "meeting_id", m->meeting_id);
    BSON_APPEND_UTF8(meeting, "kind",
                     wk_document_enum_name(&yizhan__v1__meeting_kind__descriptor, (int)m->kind));
    BSON_APPEND_UTF8(meeting, "title", m->title);
    BSON_APPEND_UTF8(meeting, "place", m->place);
    BSON_APPEND_DATE_TIME(meeting, "starts_at", wk_timestamp_ms(m->starts_at));
    BSON_APPEND_DATE_TIME(meeting, "ends_at", wk_timestamp_ms(m->ends_at));
    BSON_APPEND_UTF8(meeting, "convener", event->env->actor.member);
    BSON_APPEND_INT32(meeting, "code_period_s",
                      m->code_period_s ? (int32_t)m->code_period_s : WK_CODE_PERIOD_S);
    BSON_APPEND_DATE_TIME(meeting, "convened_at", event->received_at_ms);
    BSON_APPEND_INT32(meeting, "should", (int32_t)m->n_roster);
    BSON_APPEND_UTF8(meeting, "state", "CONVENED");
    BSON_APPEND_BINARY(meeting, "present", BSON_SUBTYPE_BINARY, nobody,
                       (uint32_t)(m->n_roster + 7) / 8);
    BSON_APPEND_INT32(meeting, "present_count", 0);
    return meeting;
}

static int compare_members(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, for a member's place in the list is its bit in `present`. */
static bson_t *new_roster(const Yizhan__V1__MeetingConvened *m)
{
    char **members = yz_calloc(m->n_roster + 1, sizeof *members);
    bson_t *roster = bson_new(), list;

    memcpy(members, m->roster, m->n_roster * sizeof *members);
    qsort(members, m->n_roster, sizeof *members, compare_members);
    BSON_APPEND_UTF8(roster, "org_path", m->org_path);
    BSON_APPEND_UTF8(roster, "meeting_id", m->meeting_id);
    BSON_APPEND_ARRAY_BEGIN(roster, "members", &list);
    for (size_t i = 0; i < m->n_roster; i++) {
        char buffer[16];
        const char *key;
        size_t len = bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);

        bson_append_utf8(&list, key, (int)len, members[i], -1);
    }
    bson_append_array_end(roster, &list);
    free(members);
    return roster;
}

static void push_announced(const struct wk_event *event, struct wk_fold *fold,
                           const Yizhan__V1__MeetingConvened *m)
{
    Yizhan__V1__MeetingAnnounced announced = YIZHAN__V1__MEETING_ANNOUNCED__INIT;
    struct yz_channel channel = {.kind = YZ_CHANNEL_ORG};
    char name[YZ_CHANNEL_MAX];

    snprintf(channel.org_path, sizeof channel.org_path, "%s", m->org_path);
    yz_channel_name(&channel, name);
    announced.org_path = m->org_path;
    announced.meeting_id = m->meeting_id;
    announced.kind = m->kind;
    announced.title = m->title;
    announced.place = m->place;
    announced.starts_at = m->starts_at;
    announced.ends_at = m->ends_at;
    announced.convener = (char *)(uintptr_t)event->env->actor.member;
    announced.roster_count = (uint32_t)m->n_roster;
    wk_push(fold, name, "meeting.announced", &announced.base, NULL);
}

static void apply_convened(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MeetingConvened *m = (const Yizhan__V1__MeetingConvened *)event->payload;
    char id[WK_ID_MAX];

    meeting_id(event, id);
    wk_put(fold, WK_MEETINGS, id, new_meeting(event, m));
    wk_put(fold, WK_ROSTERS, id, new_roster(m));
    push_announced(event, fold, m);
}

static enum yz_err judge_opened(const struct wk_event *event, struct wk_fold *fold,
                                struct yz_violation *v)
{
    const bson_t *meeting = get_meeting(event, fold);

    if (!meeting)
        return refuse_missing(v);
    switch (wk_meeting_state(meeting)) {
    case YIZHAN__V1__MEETING_STATE__OPEN:
        return yz_violate(v, YZ_MEETING_OPEN_ALREADY, "meetingId", NULL);
    case YIZHAN__V1__MEETING_STATE__CLOSED:
        return yz_violate(v, YZ_MEETING_CLOSED, "meetingId", NULL);
    default:
        return YZ_OK;
    }
}

static enum yz_err judge_closed(const struct wk_event *event, struct wk_fold *fold,
                                struct yz_violation *v)
{
    const bson_t *meeting = get_meeting(event, fold);

    if (!meeting)
        return refuse_missing(v);
    switch (wk_meeting_state(meeting)) {
    case YIZHAN__V1__MEETING_STATE__OPEN:
        return YZ_OK;
    case YIZHAN__V1__MEETING_STATE__CLOSED:
        return yz_violate(v, YZ_MEETING_CLOSED, "meetingId", NULL);
    default:
        return yz_violate(v, YZ_MEETING_NOT_OPEN, "meetingId", NULL);
    }
}

static void push_state(const struct wk_event *event, struct wk_fold *fold,
                       Yizhan__V1__MeetingState state, int64_t present)
{
    Yizhan__V1__MeetingStateChanged changed = YIZHAN__V1__MEETING_STATE_CHANGED__INIT;
    char channel[YZ_CHANNEL_MAX];

    changed.org_path = ref_of(event)->org_path;
    changed.meeting_id = ref_of(event)->meeting_id;
    changed.state = state;
    changed.present = (uint32_t)present;
    meeting_channel(event, channel);
    wk_push(fold, channel, "meeting.state_changed", &changed.base, NULL);
}

/* A copy without the fields that are about to be written, and without those that the frame sets. */
#define COPY_WITHOUT(meeting, copy, ...)                                                           \
    bson_copy_to_excluding_noinit(meeting, copy, "_id", "tenant", "evt_seq", "evt_first",          \
                                  __VA_ARGS__, NULL)

static void apply_opened(const struct wk_event *event, struct wk_fold *fold)
{
    const bson_t *meeting = get_meeting(event, fold);
    char id[WK_ID_MAX];
    bson_t *changed;

    if (!meeting)
        return;
    push_state(event, fold, YIZHAN__V1__MEETING_STATE__OPEN, 0);
    send_attendance(event, fold, wk_document_number(meeting, "present_count"),
                    wk_document_number(meeting, "should"));
    changed = bson_new();
    COPY_WITHOUT(meeting, changed, "state", "opened_at");
    BSON_APPEND_UTF8(changed, "state", "OPEN");
    BSON_APPEND_DATE_TIME(changed, "opened_at", event->received_at_ms);
    meeting_id(event, id);
    wk_put(fold, WK_MEETINGS, id, changed);
}

/* The count of the push is the one at the closing: late offline check-ins move present_count on, so
 * a replay takes it from the document that the first run left. */
static void apply_closed(const struct wk_event *event, struct wk_fold *fold)
{
    const bson_t *meeting = get_meeting(event, fold);
    int64_t present, at_close;
    char id[WK_ID_MAX];
    bson_t *changed;

    if (!meeting)
        return;
    present = wk_document_number(meeting, "present_count");
    at_close = wk_meeting_state(meeting) == YIZHAN__V1__MEETING_STATE__CLOSED
                   ? wk_document_number(meeting, "present_at_close")
                   : present;
    push_state(event, fold, YIZHAN__V1__MEETING_STATE__CLOSED, at_close);
    send_attendance(event, fold, present, wk_document_number(meeting, "should"));
    changed = bson_new();
    COPY_WITHOUT(meeting, changed, "state", "closed_at", "present_at_close");
    BSON_APPEND_UTF8(changed, "state", "CLOSED");
    BSON_APPEND_DATE_TIME(changed, "closed_at", event->received_at_ms);
    BSON_APPEND_INT32(changed, "present_at_close", (int32_t)at_close);
    meeting_id(event, id);
    wk_put(fold, WK_MEETINGS, id, changed);
}

/* A roster's members, for binary search. Borrowed from its document. */
struct members {
    size_t count;
    const char *names[];
};

static void *list_members(const bson_t *roster)
{
    struct members *members = yz_malloc(sizeof *members + WK_ROSTER_MAX * sizeof(char *));
    bson_iter_t entry;

    members->count = 0;
    if (!wk_document_array(roster, "members", &entry))
        return members;
    while (members->count < WK_ROSTER_MAX && bson_iter_next(&entry)) {
        const char *name = bson_iter_utf8(&entry, NULL);

        if (name)
            members->names[members->count++] = name;
    }
    return members;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

/* The member's place on the roster, -1: none. */
static int64_t find_member(struct wk_fold *fold, const char *roster, const char *member)
{
    const struct members *members = wk_get_derived(fold, WK_ROSTERS, roster, list_members);
    const char *const *found = members ? bsearch(member, members->names, members->count,
                                                 sizeof members->names[0], compare_names)
                                       : NULL;

    return found ? found - members->names : -1;
}

static const uint8_t *present_bits(const bson_t *meeting, uint32_t *len)
{
    const uint8_t *bits = NULL;
    bson_iter_t iter;

    *len = 0;
    if (bson_iter_init_find(&iter, meeting, "present") && BSON_ITER_HOLDS_BINARY(&iter))
        bson_iter_binary(&iter, NULL, len, &bits);
    return bits;
}

static bool is_present(const bson_t *meeting, int64_t place)
{
    uint32_t len;
    const uint8_t *bits = present_bits(meeting, &len);

    return place / 8 < (int64_t)len && (bits[place / 8] >> (place % 8) & 1);
}

/* A code on the screen, sent now: only the broker's time counts. */
static enum yz_err judge_now(const struct wk_event *event, const struct yz_conf *conf,
                             const bson_t *meeting, int64_t slot_ms, int64_t period_ms,
                             struct yz_violation *v)
{
    switch (wk_meeting_state(meeting)) {
    case YIZHAN__V1__MEETING_STATE__OPEN:
        break;
    case YIZHAN__V1__MEETING_STATE__CLOSED:
        return yz_violate(v, YZ_MEETING_CLOSED, "meetingId", NULL);
    default:
        return yz_violate(v, YZ_MEETING_NOT_OPEN, "meetingId", NULL);
    }
    if (event->received_at_ms < slot_ms - conf->code_grace_ms)
        return yz_violate(v, YZ_CODE_EARLY, "code", NULL);
    if (event->received_at_ms > slot_ms + period_ms + conf->code_grace_ms)
        return yz_violate(v, YZ_CODE_EXPIRED, "code", NULL);
    return YZ_OK;
}

/* A code scanned without a network: its slot must have been on the screen while the meeting was
 * open, and it must come in time. A screen's clock may be ahead by the grace, as above. */
static enum yz_err judge_offline(const struct wk_event *event, const struct yz_conf *conf,
                                 const bson_t *meeting, int64_t slot_ms, int64_t period_ms,
                                 struct yz_violation *v)
{
    int64_t opened_at_ms = wk_document_time_ms(meeting, "opened_at");
    int64_t closed_at_ms = wk_document_time_ms(meeting, "closed_at");

    if (opened_at_ms == 0)
        return yz_violate(v, YZ_MEETING_NOT_OPEN, "meetingId", NULL);
    if (slot_ms > event->received_at_ms + conf->code_grace_ms)
        return yz_violate(v, YZ_CODE_EARLY, "code", NULL);
    if (event->received_at_ms > slot_ms + period_ms + conf->offline_max_ms)
        return yz_violate(v, YZ_CODE_EXPIRED, "code", "The code was scanned too long ago.");
    if (slot_ms < opened_at_ms - period_ms)
        return yz_violate(v, YZ_MEETING_NOT_OPEN, "code",
                          "The code was shown before the meeting was opened.");
    if (closed_at_ms != 0 && slot_ms > closed_at_ms)
        return yz_violate(v, YZ_MEETING_CLOSED, "code",
                          "The code was shown after the meeting was closed.");
    return YZ_OK;
}

static bool verify_code(const struct wk_event *event, struct wk_fold *fold,
                        const struct wk_code *code)
{
    const struct wk_code_meeting meeting = {event->env->actor.tenant, ref_of(event)->org_path,
                                            ref_of(event)->meeting_id};
    uint8_t key[WK_CODE_KEY_BYTES];
    const struct wk_context *context = wk_fold_context(fold);

    wk_code_key(context->code_secret, context->code_secret_len, &meeting, key);
    return wk_code_verify(key, &meeting, code);
}

static enum yz_err judge_code(const struct wk_event *event, struct wk_fold *fold,
                              const bson_t *meeting, struct yz_violation *v)
{
    const Yizhan__V1__CheckinRecorded *checkin =
        (const Yizhan__V1__CheckinRecorded *)event->payload;
    int64_t period_ms = wk_document_number(meeting, "code_period_s") * 1000, slot_ms;
    struct wk_code code;

    if (!wk_code_parse(checkin->code, &code))
        return yz_violate(v, YZ_CODE_MALFORMED, "code", NULL);
    if (!verify_code(event, fold, &code))
        return yz_violate(v, YZ_CODE_WRONG, "code", NULL);
    slot_ms = code.slot * period_ms;
    return checkin->method == YIZHAN__V1__CHECKIN_METHOD__OFFLINE
               ? judge_offline(event, wk_fold_context(fold)->conf, meeting, slot_ms, period_ms, v)
               : judge_now(event, wk_fold_context(fold)->conf, meeting, slot_ms, period_ms, v);
}

static enum yz_err judge_recorded(const struct wk_event *event, struct wk_fold *fold,
                                  struct yz_violation *v)
{
    const bson_t *meeting = get_meeting(event, fold);
    char id[WK_ID_MAX];
    int64_t place;

    if (!meeting)
        return refuse_missing(v);
    meeting_id(event, id);
    place = find_member(fold, id, event->env->actor.member);
    if (place < 0)
        return yz_violate(v, YZ_NOT_ON_ROSTER, "meetingId", NULL);
    if (is_present(meeting, place))
        return yz_violate(v, YZ_ALREADY_CHECKED_IN, "meetingId", NULL);
    return judge_code(event, fold, meeting, v);
}

/* The meeting with the member's bit set. */
static bson_t *mark_present(const bson_t *meeting, int64_t place)
{
    bson_t *changed = bson_new();
    uint8_t copy[WK_ROSTER_MAX / 8 + 1] = {0};
    uint32_t len;
    const uint8_t *bits = present_bits(meeting, &len);

    len = len < sizeof copy ? len : (uint32_t)sizeof copy;
    if (bits)
        memcpy(copy, bits, len);
    if (place / 8 < (int64_t)len)
        copy[place / 8] |= (uint8_t)(1U << (place % 8));
    COPY_WITHOUT(meeting, changed, "present", "present_count");
    BSON_APPEND_BINARY(changed, "present", BSON_SUBTYPE_BINARY, copy, len);
    BSON_APPEND_INT32(changed, "present_count",
                      (int32_t)wk_document_number(meeting, "present_count") + 1);
    return changed;
}

static void insert_checkin(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__CheckinRecorded *checkin =
        (const Yizhan__V1__CheckinRecorded *)event->payload;
    struct wk_code code = {0};
    bson_t *document = bson_new();
    char id[WK_ID_MAX];

    (void)wk_code_parse(checkin->code, &code);
    BSON_APPEND_UTF8(document, "org_path", checkin->org_path);
    BSON_APPEND_UTF8(document, "meeting_id", checkin->meeting_id);
    BSON_APPEND_UTF8(document, "member", event->env->actor.member);
    BSON_APPEND_UTF8(
        document, "method",
        wk_document_enum_name(&yizhan__v1__checkin_method__descriptor, (int)checkin->method));
    BSON_APPEND_INT64(document, "slot", code.slot);
    BSON_APPEND_DATE_TIME(document, "checked_in_at", event->received_at_ms);
    if (event->env->occurred_at_ms)
        BSON_APPEND_DATE_TIME(document, "occurred_at", event->env->occurred_at_ms);
    wk_id(id, event->env->actor.tenant, checkin->org_path, checkin->meeting_id,
          event->env->actor.member, NULL);
    wk_insert(fold, WK_CHECKINS, id, document, YZ_ALREADY_CHECKED_IN);
}

static void push_confirmed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__CheckinRecorded *checkin =
        (const Yizhan__V1__CheckinRecorded *)event->payload;
    Yizhan__V1__CheckinConfirmed confirmed = YIZHAN__V1__CHECKIN_CONFIRMED__INIT;
    Google__Protobuf__Timestamp checked_in_at = wk_timestamp(event->received_at_ms);
    char channel[YZ_CHANNEL_MAX];

    snprintf(channel, sizeof channel, "member.%s", event->env->actor.member);
    confirmed.org_path = checkin->org_path;
    confirmed.meeting_id = checkin->meeting_id;
    confirmed.method = checkin->method;
    confirmed.checked_in_at = &checked_in_at;
    wk_push(fold, channel, "checkin.confirmed", &confirmed.base, NULL);
}

static void apply_recorded(const struct wk_event *event, struct wk_fold *fold)
{
    const bson_t *meeting = get_meeting(event, fold);
    int64_t place, present, should;
    char id[WK_ID_MAX];

    if (!meeting)
        return;
    meeting_id(event, id);
    place = find_member(fold, id, event->env->actor.member);
    if (place < 0)
        return;
    present = wk_document_number(meeting, "present_count");
    should = wk_document_number(meeting, "should");
    insert_checkin(event, fold);
    /* On a replay the bit may be set: by this event. */
    if (!is_present(meeting, place)) {
        wk_put(fold, WK_MEETINGS, id, mark_present(meeting, place));
        present++;
    }
    push_confirmed(event, fold);
    send_attendance(event, fold, present, should);
}

static const struct wk_event_handler events[] = {
    {"meeting.convened", needs_roster, judge_convened, apply_convened},
    {"meeting.opened", needs_meeting, judge_opened, apply_opened},
    {"meeting.closed", needs_meeting, judge_closed, apply_closed},
    {"checkin.recorded", needs_roster, judge_recorded, apply_recorded},
    {0},
};

/* All are found by _id, checkins by a range of it: "<tenant>|<org>|<meeting>|<member>". */
static const struct wk_collection collections[] = {
    {WK_MEETINGS, NULL},
    {WK_ROSTERS, NULL},
    {WK_CHECKINS, NULL},
    {0},
};

const struct wk_domain wk_domain_meeting = {"meeting", events, wk_meeting_queries, collections};
