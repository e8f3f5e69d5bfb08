/* The queries of the domain meeting. */
#include "common/clock.h"
#include "workers/code.h"
#include "workers/document.h"
#include "workers/domains/meeting.h"
#include "workers/store.h"

#include <string.h>

/* The meeting's document, kept in the arena. */
static enum yz_err get_meeting(const struct wk_query *query, const char *org_path,
                               const char *meeting_id, bson_t *meeting, struct yz_violation *v)
{
    char id[WK_ID_MAX];
    bson_t row;
    bool found;
    enum yz_err err;

    wk_id(id, query->actor->tenant, org_path, meeting_id, NULL);
    err = wk_store_get(query->store, WK_MEETINGS, id, &row, &found);
    if (!err && !found)
        err = yz_violate(v, YZ_NOT_FOUND, "meetingId", "There is no such meeting.");
    else if (err || !wk_document_keep(query->arena, &row, meeting))
        err = yz_violate(v, err ? err : YZ_BUSY, NULL, NULL);
    bson_destroy(&row);
    return err;
}

static void fill_announced(struct yz_arena *arena, const bson_t *meeting,
                           Yizhan__V1__MeetingAnnounced *announced)
{
    yizhan__v1__meeting_announced__init(announced);
    announced->org_path = (char *)(uintptr_t)wk_document_text(meeting, "org_path");
    announced->meeting_id = (char *)(uintptr_t)wk_document_text(meeting, "meeting_id");
    announced->kind = (Yizhan__V1__MeetingKind)wk_document_enum(
        meeting, "kind", &yizhan__v1__meeting_kind__descriptor);
    announced->title = (char *)(uintptr_t)wk_document_text(meeting, "title");
    announced->place = (char *)(uintptr_t)wk_document_text(meeting, "place");
    announced->starts_at = wk_timestamp_new(arena, wk_document_time_ms(meeting, "starts_at"));
    announced->ends_at = wk_timestamp_new(arena, wk_document_time_ms(meeting, "ends_at"));
    announced->convener = (char *)(uintptr_t)wk_document_text(meeting, "convener");
    announced->roster_count = (uint32_t)wk_document_number(meeting, "should");
}

static enum yz_err answer_get(const struct wk_query *query, ProtobufCMessage **reply,
                              struct yz_violation *v)
{
    const Yizhan__V1__MeetingGetRequest *request =
        (const Yizhan__V1__MeetingGetRequest *)query->request;
    Yizhan__V1__MeetingGetReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    Yizhan__V1__MeetingAnnounced *announced = yz_arena_alloc(query->arena, sizeof *announced);
    bson_t meeting;
    enum yz_err err;

    if (!answer || !announced)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    err = get_meeting(query, request->org_path, request->meeting_id, &meeting, v);
    if (err)
        return err;
    yizhan__v1__meeting_get_reply__init(answer);
    fill_announced(query->arena, &meeting, announced);
    answer->meeting = announced;
    answer->state = wk_meeting_state(&meeting);
    answer->present = (uint32_t)wk_document_number(&meeting, "present_count");
    *reply = &answer->base;
    return YZ_OK;
}

static enum yz_err answer_code_key(const struct wk_query *query, ProtobufCMessage **reply,
                                   struct yz_violation *v)
{
    const Yizhan__V1__MeetingCodeKeyRequest *request =
        (const Yizhan__V1__MeetingCodeKeyRequest *)query->request;
    const struct wk_code_meeting place = {query->actor->tenant, request->org_path,
                                          request->meeting_id};
    Yizhan__V1__MeetingCodeKeyReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    uint8_t *key = yz_arena_alloc(query->arena, WK_CODE_KEY_BYTES);
    bson_t meeting;
    enum yz_err err;

    if (!answer || !key)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    err = get_meeting(query, request->org_path, request->meeting_id, &meeting, v);
    if (err)
        return err;
    yizhan__v1__meeting_code_key_reply__init(answer);
    wk_code_key(query->context->code_secret, query->context->code_secret_len, &place, key);
    answer->key.data = key;
    answer->key.len = WK_CODE_KEY_BYTES;
    answer->code_period_s = (uint32_t)wk_document_number(&meeting, "code_period_s");
    answer->server_time = wk_timestamp_new(query->arena, yz_clock_wall_ms());
    *reply = &answer->base;
    return YZ_OK;
}

/* Check-ins of one meeting being read, in the order of their members. */
struct attendance {
    const struct wk_query *query;
    Yizhan__V1__MeetingAttendanceReply__Present **present;
    size_t count;
    bool full;
};

static bool on_checkin(void *arg, const bson_t *row)
{
    struct attendance *attendance = arg;
    struct yz_arena *arena = attendance->query->arena;
    Yizhan__V1__MeetingAttendanceReply__Present *present;
    bson_t kept;

    if (attendance->count == WK_ROSTER_MAX)
        return false;
    present = yz_arena_alloc(arena, sizeof *present);
    if (!present || !wk_document_keep(arena, row, &kept)) {
        attendance->full = true;
        return false;
    }
    yizhan__v1__meeting_attendance_reply__present__init(present);
    present->member = (char *)(uintptr_t)wk_document_text(&kept, "member");
    present->method = (Yizhan__V1__CheckinMethod)wk_document_enum(
        &kept, "method", &yizhan__v1__checkin_method__descriptor);
    present->checked_in_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "checked_in_at"));
    attendance->present[attendance->count++] = present;
    return true;
}

/* The check-ins of a meeting stand side by side in the index on _id. */
static enum yz_err find_checkins(struct attendance *attendance, const char *org_path,
                                 const char *meeting_id)
{
    const char *tenant = attendance->query->actor->tenant;
    char first[WK_ID_MAX], last[WK_ID_MAX];
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, range, sort;
    enum yz_err err;

    wk_id(first, tenant, org_path, meeting_id, "", NULL);
    wk_id(last, tenant, org_path, meeting_id, NULL);
    snprintf(last + strlen(last), sizeof last - strlen(last), "%c", '|' + 1);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &range);
    BSON_APPEND_UTF8(&range, "$gt", first);
    BSON_APPEND_UTF8(&range, "$lt", last);
    bson_append_document_end(&filter, &range);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, "_id", 1);
    bson_append_document_end(&opts, &sort);
    BSON_APPEND_INT32(&opts, "batchSize", WK_ROSTER_MAX + 1);
    err = wk_store_find(attendance->query->store, WK_CHECKINS, &filter, &opts, on_checkin,
                        attendance);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err ? err : attendance->full ? YZ_BUSY : YZ_OK;
}

/* Who of the roster did not check in: both lists are sorted by member, so one walk along both
 * tells. */
static enum yz_err fill_missing(struct yz_arena *arena, const struct attendance *attendance,
                                const bson_t *roster, Yizhan__V1__MeetingAttendanceReply *answer)
{
    bson_iter_t entry;
    size_t at = 0;

    answer->missing = yz_arena_alloc(arena, WK_ROSTER_MAX * sizeof(char *));
    if (!answer->missing)
        return YZ_BUSY;
    if (!wk_document_array(roster, "members", &entry))
        return YZ_OK;
    while (bson_iter_next(&entry)) {
        const char *member = bson_iter_utf8(&entry, NULL);

        if (!member || answer->should_attend == WK_ROSTER_MAX)
            continue;
        answer->should_attend++;
        while (at < attendance->count && strcmp(attendance->present[at]->member, member) < 0)
            at++;
        if (at == attendance->count || strcmp(attendance->present[at]->member, member) != 0)
            answer->missing[answer->n_missing++] = (char *)(uintptr_t)member;
    }
    return YZ_OK;
}

static enum yz_err get_roster(const struct wk_query *query,
                              const Yizhan__V1__MeetingAttendanceRequest *request, bson_t *roster,
                              struct yz_violation *v)
{
    char id[WK_ID_MAX];
    bson_t row;
    bool found;
    enum yz_err err;

    wk_id(id, query->actor->tenant, request->org_path, request->meeting_id, NULL);
    err = wk_store_get(query->store, WK_ROSTERS, id, &row, &found);
    if (!err && !found)
        err = yz_violate(v, YZ_NOT_FOUND, "meetingId", "There is no such meeting.");
    else if (err || !wk_document_keep(query->arena, &row, roster))
        err = yz_violate(v, err ? err : YZ_BUSY, NULL, NULL);
    bson_destroy(&row);
    return err;
}

static enum yz_err answer_attendance(const struct wk_query *query, ProtobufCMessage **reply,
                                     struct yz_violation *v)
{
    const Yizhan__V1__MeetingAttendanceRequest *request =
        (const Yizhan__V1__MeetingAttendanceRequest *)query->request;
    struct attendance attendance = {.query = query};
    Yizhan__V1__MeetingAttendanceReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    bson_t roster;
    enum yz_err err = get_roster(query, request, &roster, v);

    if (err)
        return err;
    attendance.present = yz_arena_alloc(
        query->arena, WK_ROSTER_MAX * sizeof(Yizhan__V1__MeetingAttendanceReply__Present *));
    if (!answer || !attendance.present)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__meeting_attendance_reply__init(answer);
    err = find_checkins(&attendance, request->org_path, request->meeting_id);
    if (!err)
        err = fill_missing(query->arena, &attendance, &roster, answer);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    answer->present = attendance.present;
    answer->n_present = attendance.count;
    *reply = &answer->base;
    return YZ_OK;
}

const struct wk_query_handler wk_meeting_queries[] = {
    {"meeting.get", answer_get},
    {"meeting.code_key", answer_code_key},
    {"meeting.attendance", answer_attendance},
    {0},
};
