/* What follows a meeting by itself: the reminder before it; study hours, figures and minutes after
 * it. What goes through a whole roster does so a part at a time, each part an event of its own.
 *
 * The reminder keeps the quiet hours, but not the daily budget of reminders: that one bounds how
 * often secretaries may press for a notice to be read, while a meeting reminds once, by itself, of
 * what its members must not miss. Notices must not use it up. */
#include "workers/domains/meeting.h"

#include <string.h>
#include <study.pb-c.h>

/* A timer or a part that no longer applies is applied, with no effect. */
enum yz_err wk_meeting_judge_due(const struct wk_event *event, struct wk_fold *fold,
                                 struct yz_violation *v)
{
    (void)event;
    (void)fold;
    (void)v;
    return YZ_OK;
}

/* The names of a part of the roster. The caller walks: for (...; part_next(&part);). */
struct part {
    bson_iter_t entries;
    bool there;
    int64_t place, from, end;
    const char *member;
};

static void part_begin(struct part *part, const bson_t *roster, uint32_t from)
{
    part->there = roster && wk_document_array(roster, "members", &part->entries);
    part->place = -1;
    part->from = from;
    part->end = (int64_t)from + WK_MEETING_CHUNK;
}

static bool part_next(struct part *part)
{
    while (part->there && part->place + 1 < part->end && bson_iter_next(&part->entries)) {
        part->place++;
        part->member = bson_iter_utf8(&part->entries, NULL);
        if (part->place >= part->from && part->member)
            return true;
    }
    return false;
}

static const bson_t *get_roster(const struct wk_event *event, struct wk_fold *fold)
{
    char id[WK_ID_MAX];

    wk_meeting_id(event, id);
    return wk_get(fold, WK_ROSTERS, id);
}

static void fill_reminder(const bson_t *meeting, Yizhan__V1__MeetingReminder *reminder)
{
    reminder->org_path = (char *)(uintptr_t)wk_document_text(meeting, "org_path");
    reminder->meeting_id = (char *)(uintptr_t)wk_document_text(meeting, "meeting_id");
    reminder->kind = (Yizhan__V1__MeetingKind)wk_document_enum(
        meeting, "kind", &yizhan__v1__meeting_kind__descriptor);
    reminder->title = (char *)(uintptr_t)wk_document_text(meeting, "title");
    reminder->place = (char *)(uintptr_t)wk_document_text(meeting, "place");
    reminder->revision = (uint32_t)wk_document_number(meeting, "revision");
}

/* Only for the revision whose timer this is, and only before the opening. */
void wk_meeting_apply_reminder_due(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MeetingReminderDue *due =
        (const Yizhan__V1__MeetingReminderDue *)event->payload;
    Yizhan__V1__MeetingReminderDue rest = YIZHAN__V1__MEETING_REMINDER_DUE__INIT;
    Yizhan__V1__MeetingReminder reminder = YIZHAN__V1__MEETING_REMINDER__INIT;
    const bson_t *meeting = wk_meeting_get(event, fold);
    Google__Protobuf__Timestamp starts_at, ends_at;
    char channel[YZ_CHANNEL_MAX];
    struct part part;

    if (!meeting || wk_meeting_state(meeting) != YIZHAN__V1__MEETING_STATE__CONVENED ||
        wk_document_number(meeting, "revision") != due->revision)
        return;
    fill_reminder(meeting, &reminder);
    starts_at = wk_timestamp(wk_document_time_ms(meeting, "starts_at"));
    ends_at = wk_timestamp(wk_document_time_ms(meeting, "ends_at"));
    reminder.starts_at = &starts_at;
    reminder.ends_at = &ends_at;
    part_begin(&part, get_roster(event, fold), due->from);
    while (part_next(&part)) {
        snprintf(channel, sizeof channel, "member.%s", part.member);
        wk_push(fold, channel, "meeting.reminder", &reminder.base, NULL);
    }
    if (part.end >= wk_document_number(meeting, "should"))
        return;
    rest.org_path = due->org_path;
    rest.meeting_id = due->meeting_id;
    rest.revision = due->revision;
    rest.from = (uint32_t)part.end;
    wk_later(fold, 0, event->received_at_ms, "meeting.reminder_due", &rest.base);
}

/* The ledger of hours follows what the latest event of the meeting says of each member. A meeting
 * that gave no hours has none to take back. */
static void credit(const struct wk_event *event, struct wk_fold *fold, const bson_t *meeting,
                   const struct wk_meeting_presence *presence, int ordinal)
{
    Yizhan__V1__StudyCredited credited = YIZHAN__V1__STUDY_CREDITED__INIT;
    Google__Protobuf__Timestamp ended_at = wk_timestamp(wk_meeting_held_ms(meeting));
    char source[YZ_ORG_PATH_MAX + YZ_ID_MAX];

    credited.minutes = wk_meeting_minutes(meeting);
    if (credited.minutes == 0)
        return;
    if (!presence->present)
        credited.minutes = 0;
    snprintf(source, sizeof source, "%s/%s", wk_document_text(meeting, "org_path"),
             wk_document_text(meeting, "meeting_id"));
    credited.member = (char *)(uintptr_t)presence->member;
    credited.source_kind = YIZHAN__V1__STUDY_SOURCE__ATTENDED_MEETING;
    credited.source = source;
    credited.org_path = (char *)(uintptr_t)wk_document_text(meeting, "org_path");
    credited.ended_at = &ended_at;
    credited.revision = event->sequence;
    credited.reason = (char *)(uintptr_t)presence->reason;
    wk_later(fold, ordinal, event->received_at_ms, "study.credited", &credited.base);
}

/* Those who were present at the closing and are still; who comes later brings its own credit. A
 * row's ordinal is the member's place, so that a replay writes the same row for the same member. */
void wk_meeting_apply_credits_due(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MeetingCreditsDue *due =
        (const Yizhan__V1__MeetingCreditsDue *)event->payload;
    Yizhan__V1__MeetingCreditsDue rest = YIZHAN__V1__MEETING_CREDITS_DUE__INIT;
    const bson_t *meeting = wk_meeting_get(event, fold);
    struct wk_bits at_close, present;
    struct part part;
    int64_t should;

    if (!meeting || wk_meeting_state(meeting) != YIZHAN__V1__MEETING_STATE__CLOSED)
        return;
    should = wk_document_number(meeting, "should");
    wk_bits_read(meeting, "closed_present", should, &at_close);
    wk_bits_read(meeting, "present", should, &present);
    part_begin(&part, get_roster(event, fold), due->from);
    while (part_next(&part)) {
        const struct wk_meeting_presence there = {part.member, true, ""};

        if (wk_bits_has(&at_close, part.place) && wk_bits_has(&present, part.place))
            credit(event, fold, meeting, &there, (int)(part.place - part.from) + 1);
    }
    if (part.end >= should)
        return;
    rest.org_path = due->org_path;
    rest.meeting_id = due->meeting_id;
    rest.from = (uint32_t)part.end;
    wk_later(fold, 0, event->received_at_ms, "meeting.credits_due", &rest.base);
}

bool wk_meeting_is_after_close(const struct wk_event *event, const bson_t *meeting)
{
    int64_t closed = wk_document_number(meeting, "closed_seq");

    return closed != 0 && (int64_t)event->sequence > closed;
}

void wk_meeting_follow(const struct wk_event *event, struct wk_fold *fold, const bson_t *meeting,
                       const struct wk_meeting_presence *presence)
{
    Yizhan__V1__MeetingHeld held = YIZHAN__V1__MEETING_HELD__INIT;
    Google__Protobuf__Timestamp held_at = wk_timestamp(wk_meeting_held_ms(meeting));
    int64_t should = wk_document_number(meeting, "should");
    struct wk_bits present, leave;

    if (presence)
        credit(event, fold, meeting, presence, 0);
    wk_bits_read(meeting, "present", should, &present);
    wk_bits_read(meeting, "leave", should, &leave);
    held.org_path = wk_meeting_ref(event)->org_path;
    held.meeting_id = wk_meeting_ref(event)->meeting_id;
    held.kind = (Yizhan__V1__MeetingKind)wk_document_enum(meeting, "kind",
                                                          &yizhan__v1__meeting_kind__descriptor);
    held.held_at = &held_at;
    held.should_attend = (uint32_t)should;
    held.present = (uint32_t)wk_bits_count(&present);
    held.on_leave = (uint32_t)(wk_bits_count(&leave) - wk_bits_common(&leave, &present));
    held.minutes = wk_meeting_minutes(meeting);
    held.sequence = event->sequence;
    wk_later(fold, 1, event->received_at_ms, "meeting.held", &held.base);
}

enum yz_err wk_meeting_judge_minutes_filed(const struct wk_event *event, struct wk_fold *fold,
                                           struct yz_violation *v)
{
    const Yizhan__V1__MeetingMinutesFiled *minutes =
        (const Yizhan__V1__MeetingMinutesFiled *)event->payload;
    const bson_t *meeting = wk_meeting_get(event, fold);
    enum yz_err err;

    if (!meeting)
        return wk_meeting_missing(v);
    if ((err = wk_meeting_expect(meeting, YIZHAN__V1__MEETING_STATE__CLOSED, v)))
        return err;
    if (minutes->revision != wk_document_number(meeting, "minutes_revision") + 1)
        return yz_violate(v, YZ_STALE_REVISION, "revision", NULL);
    return YZ_OK;
}

static void push_minutes(const struct wk_event *event, struct wk_fold *fold,
                         const Yizhan__V1__MeetingMinutesFiled *minutes)
{
    Yizhan__V1__MeetingMinutesReady ready = YIZHAN__V1__MEETING_MINUTES_READY__INIT;
    Google__Protobuf__Timestamp filed_at = wk_timestamp(event->received_at_ms);
    char channel[YZ_CHANNEL_MAX];

    ready.org_path = minutes->org_path;
    ready.meeting_id = minutes->meeting_id;
    ready.revision = minutes->revision;
    ready.filed_by = (char *)(uintptr_t)event->env->actor.member;
    ready.filed_at = &filed_at;
    wk_meeting_channel(event, channel);
    wk_push(fold, channel, "meeting.minutes_ready", &ready.base, NULL);
}

void wk_meeting_apply_minutes_filed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MeetingMinutesFiled *minutes =
        (const Yizhan__V1__MeetingMinutesFiled *)event->payload;
    const bson_t *meeting = wk_meeting_get(event, fold);
    bson_t *document, *changed;
    char id[WK_ID_MAX], part[16];

    if (!meeting)
        return;
    document = bson_new();
    BSON_APPEND_UTF8(document, "org_path", minutes->org_path);
    BSON_APPEND_UTF8(document, "meeting_id", minutes->meeting_id);
    BSON_APPEND_INT32(document, "revision", (int32_t)minutes->revision);
    BSON_APPEND_UTF8(document, "text", minutes->text);
    BSON_APPEND_UTF8(document, "filed_by", event->env->actor.member);
    BSON_APPEND_DATE_TIME(document, "filed_at", event->received_at_ms);
    snprintf(part, sizeof part, "%010u", minutes->revision);
    wk_meeting_part(event, part, id);
    wk_insert(fold, WK_MINUTES, id, document, YZ_STALE_REVISION, "revision");
    push_minutes(event, fold, minutes);
    changed = bson_new();
    WK_COPY_WITHOUT(meeting, changed, "minutes_revision");
    BSON_APPEND_INT32(changed, "minutes_revision", (int32_t)minutes->revision);
    wk_meeting_id(event, id);
    wk_put(fold, WK_MEETINGS, id, changed);
}
