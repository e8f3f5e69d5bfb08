/* Checking in (签到): by code, fence, online or by hand; leave, and corrections. */
#include "workers/domains/meeting.h"

#include "workers/code.h"

#include <string.h>

#define HOUR_MS       INT64_C(3600000)
#define CODE          YIZHAN__V1__CHECKIN_METHOD__CODE
#define OFFLINE       YIZHAN__V1__CHECKIN_METHOD__OFFLINE
#define GEO           YIZHAN__V1__CHECKIN_METHOD__GEO
#define MANUAL        YIZHAN__V1__CHECKIN_METHOD__MANUAL
#define DEFAULT_TAKEN (1 << CODE | 1 << OFFLINE)
#define NO_OWN_MEMBER "Another secretary does this for you."

static const Yizhan__V1__CheckinRecorded *checkin_of(const struct wk_event *event)
{
    return (const Yizhan__V1__CheckinRecorded *)event->payload;
}

/* Who is said to be present: the sender, unless a secretary tells it of another. */
static const char *present_member(const struct wk_event *event)
{
    return checkin_of(event)->method == MANUAL ? checkin_of(event)->member
                                               : event->env->actor.member;
}

static void read_set(const bson_t *meeting, const char *field, struct wk_bits *bits)
{
    wk_bits_read(meeting, field, wk_document_number(meeting, "should"), bits);
}

static bool is_in(const bson_t *meeting, const char *field, int64_t place)
{
    struct wk_bits bits;

    read_set(meeting, field, &bits);
    return wk_bits_has(&bits, place);
}

/* What is said now, of this moment: the meeting is open. */
static enum yz_err judge_open(const bson_t *meeting, struct yz_violation *v)
{
    return wk_meeting_expect(meeting, YIZHAN__V1__MEETING_STATE__OPEN, v);
}

/* A code on the screen, sent now: only the broker's time counts. */
static enum yz_err judge_now(const struct wk_event *event, const struct yz_conf *conf,
                             const bson_t *meeting, int64_t slot_ms, int64_t period_ms,
                             struct yz_violation *v)
{
    enum yz_err err = judge_open(meeting, v);

    if (err)
        return err;
    if (event->received_at_ms < slot_ms - conf->code_grace_ms)
        return yz_violate(v, YZ_CODE_EARLY, "code", NULL);
    if (event->received_at_ms > slot_ms + period_ms + conf->code_grace_ms)
        return yz_violate(v, YZ_CODE_EXPIRED, "code", NULL);
    return YZ_OK;
}

/* A code scanned without a network: its slot must have been on the screen while the meeting was
 * open, and it must come in time. A screen's clock may be ahead by the grace, as above. */
static enum yz_err judge_offline(const struct wk_event *event, const struct wk_context *context,
                                 const bson_t *meeting, int64_t slot_ms, int64_t period_ms,
                                 struct yz_violation *v)
{
    int64_t opened_at_ms = wk_document_time_ms(meeting, "opened_at");
    int64_t closed_at_ms = wk_document_time_ms(meeting, "closed_at");
    int64_t max_ms =
        wk_rules_meeting_at(context->rules, event->received_at_ms)->offline_max_hours * HOUR_MS;

    if (opened_at_ms == 0)
        return judge_open(meeting, v);
    if (slot_ms > event->received_at_ms + context->conf->code_grace_ms)
        return yz_violate(v, YZ_CODE_EARLY, "code", NULL);
    if (event->received_at_ms > slot_ms + period_ms + max_ms)
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
    const struct wk_code_meeting meeting = {event->env->actor.tenant,
                                            wk_meeting_ref(event)->org_path,
                                            wk_meeting_ref(event)->meeting_id};
    uint8_t key[WK_CODE_KEY_BYTES];
    const struct wk_context *context = wk_fold_context(fold);

    wk_code_key(context->code_secret, context->code_secret_len, &meeting, key);
    return wk_code_verify(key, &meeting, code);
}

static enum yz_err judge_code(const struct wk_event *event, struct wk_fold *fold,
                              const bson_t *meeting, struct yz_violation *v)
{
    const struct wk_context *context = wk_fold_context(fold);
    int64_t period_ms = wk_document_number(meeting, "code_period_s") * 1000, slot_ms;
    struct wk_code code;

    if (!wk_code_parse(checkin_of(event)->code, &code))
        return yz_violate(v, YZ_CODE_MALFORMED, "code", NULL);
    if (!verify_code(event, fold, &code))
        return yz_violate(v, YZ_CODE_WRONG, "code", NULL);
    slot_ms = code.slot * period_ms;
    return checkin_of(event)->method == OFFLINE
               ? judge_offline(event, context, meeting, slot_ms, period_ms, v)
               : judge_now(event, context->conf, meeting, slot_ms, period_ms, v);
}

/* The phone's answer is all there is: where it was is neither sent nor kept. */
static enum yz_err judge_fence(const struct wk_event *event, const bson_t *meeting,
                               struct yz_violation *v)
{
    enum yz_err err = judge_open(meeting, v);

    if (err)
        return err;
    return checkin_of(event)->in_fence ? YZ_OK : yz_violate(v, YZ_OUTSIDE_FENCE, "inFence", NULL);
}

static enum yz_err judge_witness(const struct wk_event *event, struct wk_fold *fold,
                                 const bson_t *meeting, struct yz_violation *v)
{
    const Yizhan__V1__CheckinRecorded *checkin = checkin_of(event);
    enum yz_err err = judge_open(meeting, v);

    if (err)
        return err;
    if (strcmp(checkin->witness, event->env->actor.member) == 0)
        return yz_violate(v, YZ_INVALID_VALUE, "witness", "The witness is a third person.");
    if (wk_roster_place(event, fold, checkin->witness) < 0)
        return yz_violate(v, YZ_NOT_ON_ROSTER, "witness", "The witness is not on the roster.");
    return YZ_OK;
}

static bool is_taken(const bson_t *meeting, Yizhan__V1__CheckinMethod method)
{
    int64_t taken = wk_document_number(meeting, "methods");

    return method == MANUAL || ((taken ? taken : DEFAULT_TAKEN) >> (int)method & 1);
}

static enum yz_err judge_method(const struct wk_event *event, struct wk_fold *fold,
                                const bson_t *meeting, struct yz_violation *v)
{
    Yizhan__V1__CheckinMethod method = checkin_of(event)->method;

    if (!is_taken(meeting, method))
        return yz_violate(v, YZ_METHOD_NOT_TAKEN, "method", NULL);
    if (method == GEO)
        return judge_fence(event, meeting, v);
    if (method == MANUAL)
        return judge_witness(event, fold, meeting, v);
    return judge_code(event, fold, meeting, v);
}

/* Who may say that another is present. */
static enum yz_err judge_sender(const struct wk_event *event, struct yz_violation *v)
{
    const Yizhan__V1__CheckinRecorded *checkin = checkin_of(event);

    if (checkin->method != MANUAL)
        return YZ_OK;
    if (yz_authorize(YZ_BY_SECRETARY, &event->env->actor, checkin->org_path) != YZ_OK)
        return yz_violate(v, YZ_FORBIDDEN, "method", "Only a secretary records another member.");
    if (strcmp(checkin->member, event->env->actor.member) == 0)
        return yz_violate(v, YZ_INVALID_VALUE, "member", NO_OWN_MEMBER);
    return YZ_OK;
}

/* That names who is recorded. */
static const char *field_of_present(const struct wk_event *event)
{
    return checkin_of(event)->method == MANUAL ? "member" : "meetingId";
}

enum yz_err wk_checkin_judge_recorded(const struct wk_event *event, struct wk_fold *fold,
                                      struct yz_violation *v)
{
    const bson_t *meeting = wk_meeting_get(event, fold);
    const char *field = field_of_present(event);
    enum yz_err err;
    int64_t place;

    if (!meeting)
        return wk_meeting_missing(v);
    if ((err = judge_sender(event, v)))
        return err;
    place = wk_roster_place(event, fold, present_member(event));
    if (place < 0)
        return yz_violate(v, YZ_NOT_ON_ROSTER, field, NULL);
    if (is_in(meeting, "present", place))
        return yz_violate(v, YZ_ALREADY_CHECKED_IN, field, NULL);
    return judge_method(event, fold, meeting, v);
}

/* The meeting with the member's bit set. Counted anew, so that a second time counts nothing. */
static bson_t *mark_present(const bson_t *meeting, int64_t place)
{
    struct wk_bits present;
    bson_t *changed = bson_new();

    read_set(meeting, "present", &present);
    wk_bits_set(&present, place, true);
    WK_COPY_WITHOUT(meeting, changed, "present", "present_count");
    wk_bits_append(changed, "present", &present);
    BSON_APPEND_INT32(changed, "present_count", (int32_t)wk_bits_count(&present));
    return changed;
}

static void append_manual(const struct wk_event *event, bson_t *document)
{
    const Yizhan__V1__CheckinRecorded *checkin = checkin_of(event);

    BSON_APPEND_UTF8(document, "recorded_by", event->env->actor.member);
    BSON_APPEND_UTF8(document, "witness", checkin->witness);
    BSON_APPEND_UTF8(document, "reason", checkin->reason);
}

static void insert_checkin(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__CheckinRecorded *checkin = checkin_of(event);
    struct wk_code code = {0};
    bson_t *document = bson_new();
    char id[WK_ID_MAX];

    BSON_APPEND_UTF8(document, "org_path", checkin->org_path);
    BSON_APPEND_UTF8(document, "meeting_id", checkin->meeting_id);
    BSON_APPEND_UTF8(document, "member", present_member(event));
    BSON_APPEND_UTF8(
        document, "method",
        wk_document_enum_name(&yizhan__v1__checkin_method__descriptor, (int)checkin->method));
    if (wk_code_parse(checkin->code, &code))
        BSON_APPEND_INT64(document, "slot", code.slot);
    if (checkin->method == GEO)
        BSON_APPEND_BOOL(document, "in_fence", checkin->in_fence);
    if (checkin->method == MANUAL)
        append_manual(event, document);
    BSON_APPEND_DATE_TIME(document, "checked_in_at", event->received_at_ms);
    if (event->env->occurred_at_ms)
        BSON_APPEND_DATE_TIME(document, "occurred_at", event->env->occurred_at_ms);
    wk_meeting_part(event, present_member(event), id);
    wk_insert(fold, WK_CHECKINS, id, document, YZ_ALREADY_CHECKED_IN, field_of_present(event));
}

static void push_confirmed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__CheckinRecorded *checkin = checkin_of(event);
    Yizhan__V1__CheckinConfirmed confirmed = YIZHAN__V1__CHECKIN_CONFIRMED__INIT;
    Google__Protobuf__Timestamp checked_in_at = wk_timestamp(event->received_at_ms);
    char channel[YZ_CHANNEL_MAX];

    snprintf(channel, sizeof channel, "member.%s", present_member(event));
    confirmed.org_path = checkin->org_path;
    confirmed.meeting_id = checkin->meeting_id;
    confirmed.method = checkin->method;
    confirmed.checked_in_at = &checked_in_at;
    wk_push(fold, channel, "checkin.confirmed", &confirmed.base, NULL);
}

/* The meeting as the event leaves it: what a correction has said stands. */
void wk_checkin_apply_recorded(const struct wk_event *event, struct wk_fold *fold)
{
    const struct wk_meeting_presence there = {present_member(event), true, ""};
    const bson_t *meeting = wk_meeting_get(event, fold);
    int64_t place;
    char id[WK_ID_MAX];

    if (!meeting)
        return;
    wk_meeting_id(event, id);
    place = wk_roster_place(event, fold, present_member(event));
    if (place < 0)
        return;
    insert_checkin(event, fold);
    if (!is_in(meeting, "present", place) && !is_in(meeting, "corrected", place)) {
        wk_put(fold, WK_MEETINGS, id, mark_present(meeting, place));
        meeting = wk_meeting_get(event, fold);
    }
    push_confirmed(event, fold);
    wk_meeting_send_attendance(event, fold, wk_document_number(meeting, "present_count"),
                               wk_document_number(meeting, "should"));
    if (wk_meeting_is_after_close(event, meeting) && is_in(meeting, "present", place))
        wk_meeting_follow(event, fold, meeting, &there);
}

/* Leave: one document for each member who asked. The deciding event names the member. */
static const char *leave_member(const struct wk_event *event)
{
    return strcmp(event->type->name, "checkin.leave_decided") == 0
               ? ((const Yizhan__V1__CheckinLeaveDecided *)event->payload)->member
               : event->env->actor.member;
}

static void leave_id(const struct wk_event *event, char out[WK_ID_MAX])
{
    wk_meeting_part(event, leave_member(event), out);
}

void wk_checkin_needs_leave(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    wk_meeting_needs_roster(event, needs);
    leave_id(event, id);
    wk_need_own(needs, WK_LEAVES, id);
}

/* Before the closing: whoever asks later is told how the meeting ended. */
static enum yz_err judge_not_over(const bson_t *meeting, struct yz_violation *v)
{
    return wk_meeting_state(meeting) == YIZHAN__V1__MEETING_STATE__CONVENED
               ? YZ_OK
               : judge_open(meeting, v);
}

enum yz_err wk_checkin_judge_leave_requested(const struct wk_event *event, struct wk_fold *fold,
                                             struct yz_violation *v)
{
    const bson_t *meeting = wk_meeting_get(event, fold);
    char id[WK_ID_MAX];
    enum yz_err err;
    int64_t place;

    if (!meeting)
        return wk_meeting_missing(v);
    place = wk_roster_place(event, fold, event->env->actor.member);
    if (place < 0)
        return yz_violate(v, YZ_NOT_ON_ROSTER, "meetingId", NULL);
    if ((err = judge_not_over(meeting, v)))
        return err;
    if (is_in(meeting, "present", place))
        return yz_violate(v, YZ_ALREADY_CHECKED_IN, "meetingId", NULL);
    leave_id(event, id);
    if (wk_get(fold, WK_LEAVES, id))
        return yz_violate(v, YZ_EXISTS, "meetingId", "You have asked for leave already.");
    return YZ_OK;
}

static void push_leave(const struct wk_event *event, struct wk_fold *fold, const char *to,
                       const Yizhan__V1__CheckinLeave *what)
{
    Yizhan__V1__CheckinLeave leave = *what;
    char channel[YZ_CHANNEL_MAX];

    leave.org_path = wk_meeting_ref(event)->org_path;
    leave.meeting_id = wk_meeting_ref(event)->meeting_id;
    leave.member = (char *)(uintptr_t)leave_member(event);
    snprintf(channel, sizeof channel, "member.%s", to);
    wk_push(fold, channel, "checkin.leave", &leave.base, NULL);
}

void wk_checkin_apply_leave_requested(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__CheckinLeaveRequested *request =
        (const Yizhan__V1__CheckinLeaveRequested *)event->payload;
    Yizhan__V1__CheckinLeave push = YIZHAN__V1__CHECKIN_LEAVE__INIT;
    const bson_t *meeting = wk_meeting_get(event, fold);
    bson_t *leave;
    char id[WK_ID_MAX];

    if (!meeting)
        return;
    leave = bson_new();
    BSON_APPEND_UTF8(leave, "org_path", request->org_path);
    BSON_APPEND_UTF8(leave, "meeting_id", request->meeting_id);
    BSON_APPEND_UTF8(leave, "member", event->env->actor.member);
    BSON_APPEND_UTF8(
        leave, "leave_class",
        wk_document_enum_name(&yizhan__v1__leave_class__descriptor, (int)request->leave_class));
    BSON_APPEND_UTF8(leave, "reason", request->reason);
    BSON_APPEND_DATE_TIME(leave, "requested_at", event->received_at_ms);
    BSON_APPEND_UTF8(leave, "state", "LEAVE_REQUESTED");
    leave_id(event, id);
    wk_put(fold, WK_LEAVES, id, leave);
    push.state = YIZHAN__V1__LEAVE_STATE__LEAVE_REQUESTED;
    push.leave_class = request->leave_class;
    push_leave(event, fold, wk_document_text(meeting, "convener"), &push);
}

enum yz_err wk_checkin_judge_leave_decided(const struct wk_event *event, struct wk_fold *fold,
                                           struct yz_violation *v)
{
    const bson_t *meeting = wk_meeting_get(event, fold), *leave;
    char id[WK_ID_MAX];

    if (!meeting)
        return wk_meeting_missing(v);
    if (wk_meeting_state(meeting) == YIZHAN__V1__MEETING_STATE__CANCELLED)
        return yz_violate(v, YZ_MEETING_CANCELLED, "meetingId", NULL);
    if (strcmp(leave_member(event), event->env->actor.member) == 0)
        return yz_violate(v, YZ_INVALID_VALUE, "member", NO_OWN_MEMBER);
    leave_id(event, id);
    leave = wk_get(fold, WK_LEAVES, id);
    if (!leave)
        return yz_violate(v, YZ_NOT_FOUND, "member", "This member has not asked for leave.");
    if (strcmp(wk_document_text(leave, "state"), "LEAVE_REQUESTED") != 0)
        return yz_violate(v, YZ_LEAVE_DECIDED, "member", NULL);
    return YZ_OK;
}

static void decide_leave(const struct wk_event *event, struct wk_fold *fold, const bson_t *leave)
{
    const Yizhan__V1__CheckinLeaveDecided *decided =
        (const Yizhan__V1__CheckinLeaveDecided *)event->payload;
    bson_t *changed = bson_new();
    char id[WK_ID_MAX];

    leave_id(event, id);
    WK_COPY_WITHOUT(leave, changed, "state", "decided_by", "decided_at", "note");
    BSON_APPEND_UTF8(changed, "state", decided->granted ? "LEAVE_GRANTED" : "LEAVE_DENIED");
    BSON_APPEND_UTF8(changed, "decided_by", event->env->actor.member);
    BSON_APPEND_DATE_TIME(changed, "decided_at", event->received_at_ms);
    BSON_APPEND_UTF8(changed, "note", decided->note);
    wk_put(fold, WK_LEAVES, id, changed);
}

static void mark_leave(const struct wk_event *event, struct wk_fold *fold, const bson_t *meeting,
                       int64_t place)
{
    struct wk_bits leave;
    bson_t *changed = bson_new();
    char id[WK_ID_MAX];

    read_set(meeting, "leave", &leave);
    wk_bits_set(&leave, place, true);
    WK_COPY_WITHOUT(meeting, changed, "leave");
    wk_bits_append(changed, "leave", &leave);
    wk_meeting_id(event, id);
    wk_put(fold, WK_MEETINGS, id, changed);
}

void wk_checkin_apply_leave_decided(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__CheckinLeaveDecided *decided =
        (const Yizhan__V1__CheckinLeaveDecided *)event->payload;
    Yizhan__V1__CheckinLeave push = YIZHAN__V1__CHECKIN_LEAVE__INIT;
    const bson_t *meeting = wk_meeting_get(event, fold), *leave;
    int64_t place = wk_roster_place(event, fold, decided->member);
    char id[WK_ID_MAX];

    leave_id(event, id);
    leave = wk_get(fold, WK_LEAVES, id);
    if (!meeting || !leave)
        return;
    push.state = decided->granted ? YIZHAN__V1__LEAVE_STATE__LEAVE_GRANTED
                                  : YIZHAN__V1__LEAVE_STATE__LEAVE_DENIED;
    push.leave_class = (Yizhan__V1__LeaveClass)wk_document_enum(
        leave, "leave_class", &yizhan__v1__leave_class__descriptor);
    push.note = decided->note;
    push_leave(event, fold, decided->member, &push);
    decide_leave(event, fold, leave);
    if (!decided->granted || is_in(meeting, "corrected", place))
        return;
    mark_leave(event, fold, meeting, place);
    meeting = wk_meeting_get(event, fold);
    if (wk_meeting_is_after_close(event, meeting))
        wk_meeting_follow(event, fold, meeting, NULL);
}

/* Corrections. */

static Yizhan__V1__AttendanceState state_at(const bson_t *meeting, int64_t place)
{
    if (is_in(meeting, "present", place))
        return YIZHAN__V1__ATTENDANCE_STATE__PRESENT;
    return is_in(meeting, "leave", place) ? YIZHAN__V1__ATTENDANCE_STATE__ON_LEAVE
                                          : YIZHAN__V1__ATTENDANCE_STATE__ABSENT;
}

/* From the opening on, but not while a vote runs: its ballots were cast by who was present. */
enum yz_err wk_checkin_judge_corrected(const struct wk_event *event, struct wk_fold *fold,
                                       struct yz_violation *v)
{
    const Yizhan__V1__CheckinCorrected *c = (const Yizhan__V1__CheckinCorrected *)event->payload;
    const bson_t *meeting = wk_meeting_get(event, fold);
    int64_t place;
    enum yz_err err;

    if (!meeting)
        return wk_meeting_missing(v);
    if (wk_meeting_state(meeting) != YIZHAN__V1__MEETING_STATE__CLOSED &&
        (err = judge_open(meeting, v)))
        return err;
    if (strcmp(c->member, event->env->actor.member) == 0)
        return yz_violate(v, YZ_INVALID_VALUE, "member", NO_OWN_MEMBER);
    place = wk_roster_place(event, fold, c->member);
    if (place < 0)
        return yz_violate(v, YZ_NOT_ON_ROSTER, "member", "This member is not on the roster.");
    if (*wk_document_text(meeting, "open_vote"))
        return yz_violate(v, YZ_VOTE_OPEN, "meetingId", NULL);
    /* A dead letter that comes back: whether it is of this member is not looked for. */
    if (event->env->own && wk_document_time_ms(meeting, "corrected_at") > event->received_at_ms)
        return yz_violate(v, YZ_STALE_REVISION, "member",
                          "The attendance was corrected since; say it again if it still holds.");
    if (state_at(meeting, place) == c->state)
        return yz_violate(v, YZ_INVALID_VALUE, "state", "This is the member's state already.");
    return YZ_OK;
}

static void insert_correction(const struct wk_event *event, struct wk_fold *fold,
                              Yizhan__V1__AttendanceState before)
{
    const Yizhan__V1__CheckinCorrected *c = (const Yizhan__V1__CheckinCorrected *)event->payload;
    const ProtobufCEnumDescriptor *states = &yizhan__v1__attendance_state__descriptor;
    char id[WK_ID_MAX], sequence[24];
    bson_t *document = bson_new();

    BSON_APPEND_UTF8(document, "org_path", c->org_path);
    BSON_APPEND_UTF8(document, "meeting_id", c->meeting_id);
    BSON_APPEND_UTF8(document, "member", c->member);
    BSON_APPEND_UTF8(document, "before", wk_document_enum_name(states, (int)before));
    BSON_APPEND_UTF8(document, "state", wk_document_enum_name(states, (int)c->state));
    BSON_APPEND_UTF8(document, "reason", c->reason);
    BSON_APPEND_UTF8(document, "corrected_by", event->env->actor.member);
    BSON_APPEND_DATE_TIME(document, "corrected_at", event->received_at_ms);
    snprintf(sequence, sizeof sequence, "%020llu", (unsigned long long)event->sequence);
    wk_id(id, event->env->actor.tenant, c->org_path, c->meeting_id, c->member, sequence, NULL);
    wk_insert(fold, WK_CORRECTIONS, id, document, YZ_EXISTS, "member");
}

static bson_t *mark_corrected(const struct wk_event *event, const bson_t *meeting, int64_t place,
                              Yizhan__V1__AttendanceState state)
{
    struct wk_bits present, leave, corrected;
    bson_t *changed = bson_new();

    read_set(meeting, "present", &present);
    read_set(meeting, "leave", &leave);
    read_set(meeting, "corrected", &corrected);
    wk_bits_set(&present, place, state == YIZHAN__V1__ATTENDANCE_STATE__PRESENT);
    wk_bits_set(&leave, place, state == YIZHAN__V1__ATTENDANCE_STATE__ON_LEAVE);
    wk_bits_set(&corrected, place, true);
    WK_COPY_WITHOUT(meeting, changed, "present", "present_count", "leave", "corrected",
                    "corrected_at");
    wk_bits_append(changed, "present", &present);
    BSON_APPEND_INT32(changed, "present_count", (int32_t)wk_bits_count(&present));
    wk_bits_append(changed, "leave", &leave);
    wk_bits_append(changed, "corrected", &corrected);
    BSON_APPEND_DATE_TIME(changed, "corrected_at", event->received_at_ms);
    return changed;
}

static void push_correction(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__CheckinCorrected *c = (const Yizhan__V1__CheckinCorrected *)event->payload;
    Yizhan__V1__CheckinCorrection correction = YIZHAN__V1__CHECKIN_CORRECTION__INIT;
    Google__Protobuf__Timestamp corrected_at = wk_timestamp(event->received_at_ms);
    char channel[YZ_CHANNEL_MAX];

    correction.org_path = c->org_path;
    correction.meeting_id = c->meeting_id;
    correction.state = c->state;
    correction.reason = c->reason;
    correction.corrected_by = (char *)(uintptr_t)event->env->actor.member;
    correction.corrected_at = &corrected_at;
    snprintf(channel, sizeof channel, "member.%s", c->member);
    wk_push(fold, channel, "checkin.correction", &correction.base, NULL);
}

void wk_checkin_apply_corrected(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__CheckinCorrected *c = (const Yizhan__V1__CheckinCorrected *)event->payload;
    const struct wk_meeting_presence said = {
        c->member, c->state == YIZHAN__V1__ATTENDANCE_STATE__PRESENT, c->reason};
    const bson_t *meeting = wk_meeting_get(event, fold);
    int64_t place = wk_roster_place(event, fold, c->member);
    char id[WK_ID_MAX];

    if (!meeting || place < 0)
        return;
    insert_correction(event, fold, state_at(meeting, place));
    push_correction(event, fold);
    wk_meeting_id(event, id);
    wk_put(fold, WK_MEETINGS, id, mark_corrected(event, meeting, place, c->state));
    meeting = wk_meeting_get(event, fold);
    wk_meeting_send_attendance(event, fold, wk_document_number(meeting, "present_count"),
                               wk_document_number(meeting, "should"));
    if (wk_meeting_is_after_close(event, meeting))
        wk_meeting_follow(event, fold, meeting, &said);
}
