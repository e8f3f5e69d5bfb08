/* Meetings (三会一课 · 主题党日): from convening to closing. */
#include "workers/domains/meeting.h"

#include "workers/code.h"
#include "workers/roster.h"

#include <stdlib.h>
#include <string.h>

const Yizhan__V1__MeetingOpened *wk_meeting_ref(const struct wk_event *event)
{
    return (const Yizhan__V1__MeetingOpened *)event->payload;
}

void wk_meeting_id(const struct wk_event *event, char out[WK_ID_MAX])
{
    wk_id(out, event->env->actor.tenant, wk_meeting_ref(event)->org_path,
          wk_meeting_ref(event)->meeting_id, NULL);
}

void wk_meeting_part(const struct wk_event *event, const char *part, char out[WK_ID_MAX])
{
    wk_id(out, event->env->actor.tenant, wk_meeting_ref(event)->org_path,
          wk_meeting_ref(event)->meeting_id, part, NULL);
}

void wk_meeting_channel(const struct wk_event *event, char out[YZ_CHANNEL_MAX])
{
    struct yz_channel channel = {.kind = YZ_CHANNEL_MEETING};

    snprintf(channel.org_path, sizeof channel.org_path, "%s", wk_meeting_ref(event)->org_path);
    snprintf(channel.id, sizeof channel.id, "%s", wk_meeting_ref(event)->meeting_id);
    yz_channel_name(&channel, out);
}

static void org_channel(const struct wk_event *event, char out[YZ_CHANNEL_MAX])
{
    struct yz_channel channel = {.kind = YZ_CHANNEL_ORG};

    snprintf(channel.org_path, sizeof channel.org_path, "%s", wk_meeting_ref(event)->org_path);
    yz_channel_name(&channel, out);
}

void wk_meeting_needs(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    wk_meeting_id(event, id);
    wk_need_own(needs, WK_MEETINGS, id);
}

void wk_meeting_needs_roster(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    wk_meeting_id(event, id);
    wk_need_own(needs, WK_MEETINGS, id);
    wk_need_own(needs, WK_ROSTERS, id);
}

static void needs_convened(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    wk_meeting_needs_roster(event, needs);
    wk_branch_id(id, event->env->actor.tenant, wk_meeting_ref(event)->org_path);
    wk_need(needs, WK_BRANCHES, id);
}

const bson_t *wk_meeting_get(const struct wk_event *event, struct wk_fold *fold)
{
    char id[WK_ID_MAX];

    wk_meeting_id(event, id);
    return wk_get(fold, WK_MEETINGS, id);
}

Yizhan__V1__MeetingState wk_meeting_state(const bson_t *meeting)
{
    return (Yizhan__V1__MeetingState)wk_document_enum(meeting, "state",
                                                      &yizhan__v1__meeting_state__descriptor);
}

enum yz_err wk_meeting_missing(struct yz_violation *v)
{
    return yz_violate(v, YZ_NOT_FOUND, "meetingId", "There is no such meeting.");
}

enum yz_err wk_meeting_expect(const bson_t *meeting, Yizhan__V1__MeetingState wanted,
                              struct yz_violation *v)
{
    Yizhan__V1__MeetingState state = wk_meeting_state(meeting);

    if (state == wanted)
        return YZ_OK;
    switch (state) {
    case YIZHAN__V1__MEETING_STATE__CANCELLED:
        return yz_violate(v, YZ_MEETING_CANCELLED, "meetingId", NULL);
    case YIZHAN__V1__MEETING_STATE__CLOSED:
        return yz_violate(v, YZ_MEETING_CLOSED, "meetingId", NULL);
    case YIZHAN__V1__MEETING_STATE__OPEN:
        return yz_violate(v,
                          wanted == YIZHAN__V1__MEETING_STATE__CLOSED ? YZ_MEETING_NOT_CLOSED
                                                                      : YZ_MEETING_OPEN_ALREADY,
                          "meetingId", NULL);
    default:
        return yz_violate(v,
                          wanted == YIZHAN__V1__MEETING_STATE__CLOSED ? YZ_MEETING_NOT_CLOSED
                                                                      : YZ_MEETING_NOT_OPEN,
                          "meetingId", NULL);
    }
}

void wk_meeting_send_attendance(const struct wk_event *event, struct wk_fold *fold, int64_t present,
                                int64_t should)
{
    Yizhan__V1__AttendanceCount count = YIZHAN__V1__ATTENDANCE_COUNT__INIT;
    char channel[YZ_CHANNEL_MAX];

    count.present = (uint32_t)present;
    count.should_attend = (uint32_t)should;
    wk_meeting_channel(event, channel);
    wk_value(fold, channel, "attendance", "meeting.attendance_count", &count.base, NULL);
}

static enum yz_err judge_convened(const struct wk_event *event, struct wk_fold *fold,
                                  struct yz_violation *v)
{
    struct wk_snapshot *snapshot;

    if (wk_meeting_get(event, fold))
        return yz_violate(v, YZ_EXISTS, "meetingId", "A meeting with this id exists already.");
    snapshot = wk_snapshot_take(event, fold, v);
    if (!snapshot)
        return v->err;
    free(snapshot);
    return YZ_OK;
}

/* Place of the meeting in its org's list: times first, the id so that each place is one meeting's.
 */
static void append_listed(bson_t *meeting, const Google__Protobuf__Timestamp *starts,
                          const char *meeting_id)
{
    char listed[96];

    snprintf(listed, sizeof listed, "%015lld|%s", (long long)wk_timestamp_ms(starts), meeting_id);
    BSON_APPEND_UTF8(meeting, "listed", listed);
}

/* Place of the meeting among those that its members have before them. */
static void append_until(bson_t *roster, const Google__Protobuf__Timestamp *ends,
                         const struct wk_event *event)
{
    char until[YZ_ORG_PATH_MAX + 96];

    snprintf(until, sizeof until, "%015lld|%s|%s", (long long)wk_timestamp_ms(ends),
             wk_meeting_ref(event)->org_path, wk_meeting_ref(event)->meeting_id);
    BSON_APPEND_UTF8(roster, "until", until);
}

static int32_t method_mask(const Yizhan__V1__MeetingConvened *m)
{
    int32_t mask = 0;

    for (size_t i = 0; i < m->n_methods; i++)
        mask |= 1 << (int)m->methods[i];
    return mask;
}

static bson_t *new_meeting(const struct wk_event *event, const Yizhan__V1__MeetingConvened *m,
                           const struct wk_snapshot *snapshot)
{
    struct wk_bits nobody = {.len = snapshot->voters.len};
    bson_t *meeting = bson_new();

    BSON_APPEND_UTF8(meeting, "org_path", m->org_path);
    BSON_APPEND_UTF8(meeting, "meeting_id", m->meeting_id);
    BSON_APPEND_UTF8(meeting, "kind",
                     wk_document_enum_name(&yizhan__v1__meeting_kind__descriptor, (int)m->kind));
    BSON_APPEND_UTF8(meeting, "title", m->title);
    BSON_APPEND_UTF8(meeting, "place", m->place);
    BSON_APPEND_DATE_TIME(meeting, "starts_at", wk_timestamp_ms(m->starts_at));
    BSON_APPEND_DATE_TIME(meeting, "ends_at", wk_timestamp_ms(m->ends_at));
    append_listed(meeting, m->starts_at, m->meeting_id);
    BSON_APPEND_UTF8(meeting, "convener", event->env->actor.member);
    BSON_APPEND_INT32(meeting, "code_period_s",
                      m->code_period_s ? (int32_t)m->code_period_s : WK_CODE_PERIOD_S);
    if (m->n_methods > 0)
        BSON_APPEND_INT32(meeting, "methods", method_mask(m));
    BSON_APPEND_DATE_TIME(meeting, "convened_at", event->received_at_ms);
    BSON_APPEND_INT32(meeting, "should", (int32_t)snapshot->count);
    BSON_APPEND_INT32(meeting, "voting", (int32_t)wk_bits_count(&snapshot->voters));
    BSON_APPEND_UTF8(meeting, "state", "CONVENED");
    wk_bits_append(meeting, "present", &nobody);
    BSON_APPEND_INT32(meeting, "present_count", 0);
    return meeting;
}

/* Sorted, for a member's place in the list is its bit in every set. */
static bson_t *new_roster(const struct wk_event *event, const Yizhan__V1__MeetingConvened *m,
                          const struct wk_snapshot *snapshot)
{
    bson_t *roster = bson_new(), list;

    BSON_APPEND_UTF8(roster, "org_path", m->org_path);
    BSON_APPEND_UTF8(roster, "meeting_id", m->meeting_id);
    append_until(roster, m->ends_at, event);
    wk_bits_append(roster, "voters", &snapshot->voters);
    BSON_APPEND_ARRAY_BEGIN(roster, "members", &list);
    for (size_t i = 0; i < snapshot->count; i++) {
        char buffer[16];
        const char *key;
        size_t len = bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);

        bson_append_utf8(&list, key, (int)len, snapshot->names[i], -1);
    }
    bson_append_array_end(roster, &list);
    return roster;
}

static void push_announced(const struct wk_event *event, struct wk_fold *fold,
                           const Yizhan__V1__MeetingConvened *m, size_t count)
{
    Yizhan__V1__MeetingAnnounced announced = YIZHAN__V1__MEETING_ANNOUNCED__INIT;
    char channel[YZ_CHANNEL_MAX];

    announced.org_path = m->org_path;
    announced.meeting_id = m->meeting_id;
    announced.kind = m->kind;
    announced.title = m->title;
    announced.place = m->place;
    announced.starts_at = m->starts_at;
    announced.ends_at = m->ends_at;
    announced.convener = (char *)(uintptr_t)event->env->actor.member;
    announced.roster_count = (uint32_t)count;
    org_channel(event, channel);
    wk_push(fold, channel, "meeting.announced", &announced.base, NULL);
}

/* The timer of this revision; whoever changes or cancels the meeting leaves it to find that out. */
static void set_reminder(const struct wk_event *event, struct wk_fold *fold,
                         const Google__Protobuf__Timestamp *starts, uint32_t revision)
{
    Yizhan__V1__MeetingReminderDue due = YIZHAN__V1__MEETING_REMINDER_DUE__INIT;
    int64_t due_ms = wk_meeting_remind_ms(wk_fold_context(fold)->rules, event->received_at_ms,
                                          wk_timestamp_ms(starts));

    if (due_ms == 0)
        return;
    due.org_path = wk_meeting_ref(event)->org_path;
    due.meeting_id = wk_meeting_ref(event)->meeting_id;
    due.revision = revision;
    wk_later(fold, 0, due_ms, "meeting.reminder_due", &due.base);
}

/* The roster is an insert and is written before the meeting: where there is a meeting, a replay
 * finds the roster that it was made for. */
static void apply_convened(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MeetingConvened *m = (const Yizhan__V1__MeetingConvened *)event->payload;
    struct yz_violation v = {0};
    struct wk_snapshot *snapshot = wk_snapshot_take(event, fold, &v);
    char id[WK_ID_MAX];

    if (!snapshot)
        return;
    wk_meeting_id(event, id);
    wk_insert(fold, WK_ROSTERS, id, new_roster(event, m, snapshot), YZ_EXISTS, "meetingId");
    wk_put(fold, WK_MEETINGS, id, new_meeting(event, m, snapshot));
    push_announced(event, fold, m, snapshot->count);
    set_reminder(event, fold, m->starts_at, 0);
    free(snapshot);
}

static enum yz_err judge_changed(const struct wk_event *event, struct wk_fold *fold,
                                 struct yz_violation *v)
{
    const Yizhan__V1__MeetingChanged *m = (const Yizhan__V1__MeetingChanged *)event->payload;
    const bson_t *meeting = wk_meeting_get(event, fold);
    enum yz_err err;

    if (!meeting)
        return wk_meeting_missing(v);
    if ((err = wk_meeting_expect(meeting, YIZHAN__V1__MEETING_STATE__CONVENED, v)))
        return err;
    if (m->revision != wk_document_number(meeting, "revision") + 1)
        return yz_violate(v, YZ_STALE_REVISION, "revision", NULL);
    return YZ_OK;
}

static void push_updated(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MeetingChanged *m = (const Yizhan__V1__MeetingChanged *)event->payload;
    Yizhan__V1__MeetingUpdated updated = YIZHAN__V1__MEETING_UPDATED__INIT;
    char channel[YZ_CHANNEL_MAX];

    updated.org_path = m->org_path;
    updated.meeting_id = m->meeting_id;
    updated.revision = m->revision;
    updated.title = m->title;
    updated.place = m->place;
    updated.starts_at = m->starts_at;
    updated.ends_at = m->ends_at;
    updated.reason = m->reason;
    org_channel(event, channel);
    wk_push(fold, channel, "meeting.updated", &updated.base, NULL);
    wk_meeting_channel(event, channel);
    wk_push(fold, channel, "meeting.updated", &updated.base, NULL);
}

static void apply_changed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MeetingChanged *m = (const Yizhan__V1__MeetingChanged *)event->payload;
    const bson_t *meeting, *roster;
    bson_t *changed;
    char id[WK_ID_MAX];

    wk_meeting_id(event, id);
    meeting = wk_get(fold, WK_MEETINGS, id);
    roster = wk_get(fold, WK_ROSTERS, id);
    if (!meeting || !roster)
        return;
    push_updated(event, fold);
    set_reminder(event, fold, m->starts_at, m->revision);
    changed = bson_new();
    WK_COPY_WITHOUT(roster, changed, "until");
    append_until(changed, m->ends_at, event);
    wk_put(fold, WK_ROSTERS, id, changed);
    changed = bson_new();
    WK_COPY_WITHOUT(meeting, changed, "title", "place", "starts_at", "ends_at", "listed",
                    "revision", "changed_by", "changed_at", "change_reason");
    BSON_APPEND_UTF8(changed, "title", m->title);
    BSON_APPEND_UTF8(changed, "place", m->place);
    BSON_APPEND_DATE_TIME(changed, "starts_at", wk_timestamp_ms(m->starts_at));
    BSON_APPEND_DATE_TIME(changed, "ends_at", wk_timestamp_ms(m->ends_at));
    append_listed(changed, m->starts_at, m->meeting_id);
    BSON_APPEND_INT32(changed, "revision", (int32_t)m->revision);
    BSON_APPEND_UTF8(changed, "changed_by", event->env->actor.member);
    BSON_APPEND_DATE_TIME(changed, "changed_at", event->received_at_ms);
    BSON_APPEND_UTF8(changed, "change_reason", m->reason);
    wk_put(fold, WK_MEETINGS, id, changed);
}

static void push_state(const struct wk_event *event, struct wk_fold *fold,
                       Yizhan__V1__MeetingState state, int64_t present)
{
    Yizhan__V1__MeetingStateChanged changed = YIZHAN__V1__MEETING_STATE_CHANGED__INIT;
    char channel[YZ_CHANNEL_MAX];

    changed.org_path = wk_meeting_ref(event)->org_path;
    changed.meeting_id = wk_meeting_ref(event)->meeting_id;
    changed.state = state;
    changed.present = (uint32_t)present;
    wk_meeting_channel(event, channel);
    if (state == YIZHAN__V1__MEETING_STATE__CANCELLED) {
        changed.reason = ((const Yizhan__V1__MeetingCancelled *)event->payload)->reason;
        wk_push(fold, channel, "meeting.state_changed", &changed.base, NULL);
        org_channel(event, channel);
    }
    wk_push(fold, channel, "meeting.state_changed", &changed.base, NULL);
}

static enum yz_err judge_cancelled(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v)
{
    const bson_t *meeting = wk_meeting_get(event, fold);

    return meeting ? wk_meeting_expect(meeting, YIZHAN__V1__MEETING_STATE__CONVENED, v)
                   : wk_meeting_missing(v);
}

static void apply_cancelled(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MeetingCancelled *m = (const Yizhan__V1__MeetingCancelled *)event->payload;
    const bson_t *meeting = wk_meeting_get(event, fold);
    char id[WK_ID_MAX];
    bson_t *changed;

    if (!meeting)
        return;
    push_state(event, fold, YIZHAN__V1__MEETING_STATE__CANCELLED, 0);
    changed = bson_new();
    WK_COPY_WITHOUT(meeting, changed, "state", "cancelled_at", "cancelled_by", "cancel_reason");
    BSON_APPEND_UTF8(changed, "state", "CANCELLED");
    BSON_APPEND_DATE_TIME(changed, "cancelled_at", event->received_at_ms);
    BSON_APPEND_UTF8(changed, "cancelled_by", event->env->actor.member);
    BSON_APPEND_UTF8(changed, "cancel_reason", m->reason);
    wk_meeting_id(event, id);
    wk_put(fold, WK_MEETINGS, id, changed);
}

static enum yz_err judge_opened(const struct wk_event *event, struct wk_fold *fold,
                                struct yz_violation *v)
{
    const bson_t *meeting = wk_meeting_get(event, fold);

    return meeting ? wk_meeting_expect(meeting, YIZHAN__V1__MEETING_STATE__CONVENED, v)
                   : wk_meeting_missing(v);
}

static enum yz_err judge_closed(const struct wk_event *event, struct wk_fold *fold,
                                struct yz_violation *v)
{
    const bson_t *meeting = wk_meeting_get(event, fold);
    enum yz_err err;

    if (!meeting)
        return wk_meeting_missing(v);
    if ((err = wk_meeting_expect(meeting, YIZHAN__V1__MEETING_STATE__OPEN, v)))
        return err;
    return *wk_document_text(meeting, "open_vote") ? yz_violate(v, YZ_VOTE_OPEN, "meetingId", NULL)
                                                   : YZ_OK;
}

static void apply_opened(const struct wk_event *event, struct wk_fold *fold)
{
    const bson_t *meeting = wk_meeting_get(event, fold);
    char id[WK_ID_MAX];
    bson_t *changed;

    if (!meeting)
        return;
    push_state(event, fold, YIZHAN__V1__MEETING_STATE__OPEN, 0);
    wk_meeting_send_attendance(event, fold, wk_document_number(meeting, "present_count"),
                               wk_document_number(meeting, "should"));
    changed = bson_new();
    WK_COPY_WITHOUT(meeting, changed, "state", "opened_at");
    BSON_APPEND_UTF8(changed, "state", "OPEN");
    BSON_APPEND_DATE_TIME(changed, "opened_at", event->received_at_ms);
    wk_meeting_id(event, id);
    wk_put(fold, WK_MEETINGS, id, changed);
}

/* As it was at the closing: late offline check-ins and corrections move `present` on, so a replay
 * takes it from the document that the first run left. */
static bson_t *close_meeting(const struct wk_event *event, const bson_t *meeting, int64_t at_close)
{
    struct wk_bits present;
    bson_t *closed = bson_new();

    wk_bits_read(meeting, "present", wk_document_number(meeting, "should"), &present);
    WK_COPY_WITHOUT(meeting, closed, "state", "closed_at", "closed_seq", "closed_present",
                    "present_at_close");
    BSON_APPEND_UTF8(closed, "state", "CLOSED");
    BSON_APPEND_DATE_TIME(closed, "closed_at", event->received_at_ms);
    BSON_APPEND_INT64(closed, "closed_seq", (int64_t)event->sequence);
    wk_bits_append(closed, "closed_present", &present);
    BSON_APPEND_INT32(closed, "present_at_close", (int32_t)at_close);
    return closed;
}

static void apply_closed(const struct wk_event *event, struct wk_fold *fold)
{
    Yizhan__V1__MeetingCreditsDue due = YIZHAN__V1__MEETING_CREDITS_DUE__INIT;
    const bson_t *meeting = wk_meeting_get(event, fold);
    int64_t present, at_close;
    char id[WK_ID_MAX];

    if (!meeting)
        return;
    present = wk_document_number(meeting, "present_count");
    at_close = wk_meeting_state(meeting) == YIZHAN__V1__MEETING_STATE__CLOSED
                   ? wk_document_number(meeting, "present_at_close")
                   : present;
    push_state(event, fold, YIZHAN__V1__MEETING_STATE__CLOSED, at_close);
    wk_meeting_send_attendance(event, fold, present, wk_document_number(meeting, "should"));
    wk_meeting_id(event, id);
    if (wk_meeting_state(meeting) != YIZHAN__V1__MEETING_STATE__CLOSED)
        wk_put(fold, WK_MEETINGS, id, close_meeting(event, meeting, at_close));
    due.org_path = wk_meeting_ref(event)->org_path;
    due.meeting_id = wk_meeting_ref(event)->meeting_id;
    wk_later(fold, 2, event->received_at_ms, "meeting.credits_due", &due.base);
    wk_meeting_follow(event, fold, wk_meeting_get(event, fold), NULL);
}

static const struct wk_event_handler events[] = {
    {"meeting.convened", needs_convened, judge_convened, apply_convened},
    {"meeting.changed", wk_meeting_needs_roster, judge_changed, apply_changed},
    {"meeting.cancelled", wk_meeting_needs, judge_cancelled, apply_cancelled},
    {"meeting.opened", wk_meeting_needs, judge_opened, apply_opened},
    {"meeting.closed", wk_meeting_needs, judge_closed, apply_closed},
    {"checkin.recorded", wk_meeting_needs_roster, wk_checkin_judge_recorded,
     wk_checkin_apply_recorded},
    {"checkin.leave_requested", wk_checkin_needs_leave, wk_checkin_judge_leave_requested,
     wk_checkin_apply_leave_requested},
    {"checkin.leave_decided", wk_checkin_needs_leave, wk_checkin_judge_leave_decided,
     wk_checkin_apply_leave_decided},
    {"checkin.corrected", wk_meeting_needs_roster, wk_checkin_judge_corrected,
     wk_checkin_apply_corrected},
    {"meeting.vote_opened", wk_meeting_needs_vote, wk_meeting_judge_vote_opened,
     wk_meeting_apply_vote_opened},
    {"meeting.vote_cast", wk_meeting_needs_vote, wk_meeting_judge_vote_cast,
     wk_meeting_apply_vote_cast},
    {"meeting.vote_closed", wk_meeting_needs_vote, wk_meeting_judge_vote_closed,
     wk_meeting_apply_vote_closed},
    {"meeting.minutes_filed", wk_meeting_needs, wk_meeting_judge_minutes_filed,
     wk_meeting_apply_minutes_filed},
    {"meeting.reminder_due", wk_meeting_needs_roster, wk_meeting_judge_due,
     wk_meeting_apply_reminder_due},
    {"meeting.credits_due", wk_meeting_needs_roster, wk_meeting_judge_due,
     wk_meeting_apply_credits_due},
    {"meeting.held", wk_meeting_needs_held, wk_meeting_judge_due, wk_meeting_apply_held},
    {0},
};

/* Equality on all but the last field, a range and the order on that. Everything else is found by
 * _id or by a range of it: "<tenant>|<org>|<meeting>|<part>". */
static const struct wk_index meetings_indexes[] = {
    {.name = "by_org", .keys = "{\"tenant\": 1, \"org_path\": 1, \"listed\": 1}"},
    {0},
};

static const struct wk_index rosters_indexes[] = {
    {.name = "by_member", .keys = "{\"tenant\": 1, \"members\": 1, \"until\": 1}"},
    {0},
};

static const struct wk_collection collections[] = {
    {WK_MEETINGS, meetings_indexes},
    {WK_ROSTERS, rosters_indexes},
    {WK_CHECKINS, NULL},
    {WK_CORRECTIONS, NULL},
    {WK_LEAVES, NULL},
    {WK_VOTES, NULL},
    {WK_BALLOTS, NULL},
    {WK_MINUTES, NULL},
    {WK_MEETING_ORGS, NULL},
    {WK_MEETING_YEARS, NULL},
    {0},
};

const struct wk_domain wk_domain_meeting = {"meeting", events, wk_meeting_queries, collections};
