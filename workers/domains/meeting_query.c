/* The queries about one meeting. */
#include "workers/code.h"
#include "workers/document.h"
#include "workers/domains/meeting.h"
#include "workers/query.h"
#include "workers/store.h"

#include <string.h>

enum yz_err wk_meeting_load(const struct wk_query *query, const char *org_path,
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

static bool fill_methods(struct yz_arena *arena, const bson_t *meeting,
                         Yizhan__V1__MeetingAnnounced *announced)
{
    const ProtobufCEnumDescriptor *methods = &yizhan__v1__checkin_method__descriptor;
    int64_t mask = wk_document_number(meeting, "methods");

    announced->methods = yz_arena_alloc(arena, methods->n_values * sizeof *announced->methods);
    if (!announced->methods)
        return false;
    for (unsigned i = 0; i < methods->n_values; i++) {
        if (mask >> methods->values[i].value & 1)
            announced->methods[announced->n_methods++] =
                (Yizhan__V1__CheckinMethod)methods->values[i].value;
    }
    return true;
}

Yizhan__V1__MeetingAnnounced *wk_meeting_announced_new(struct yz_arena *arena,
                                                       const bson_t *meeting)
{
    Yizhan__V1__MeetingAnnounced *announced = yz_arena_alloc(arena, sizeof *announced);

    if (!announced)
        return NULL;
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
    announced->revision = (uint32_t)wk_document_number(meeting, "revision");
    announced->voter_count = (uint32_t)wk_document_number(meeting, "voting");
    return fill_methods(arena, meeting, announced) ? announced : NULL;
}

static enum yz_err answer_get(const struct wk_query *query, ProtobufCMessage **reply,
                              struct yz_violation *v)
{
    const Yizhan__V1__MeetingGetRequest *request =
        (const Yizhan__V1__MeetingGetRequest *)query->request;
    Yizhan__V1__MeetingGetReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    bson_t meeting;
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    err = wk_meeting_load(query, request->org_path, request->meeting_id, &meeting, v);
    if (err)
        return err;
    yizhan__v1__meeting_get_reply__init(answer);
    answer->meeting = wk_meeting_announced_new(query->arena, &meeting);
    if (!answer->meeting)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    answer->state = wk_meeting_state(&meeting);
    answer->present = (uint32_t)wk_document_number(&meeting, "present_count");
    answer->open_vote = (char *)(uintptr_t)wk_document_text(&meeting, "open_vote");
    answer->minutes_revision = (uint32_t)wk_document_number(&meeting, "minutes_revision");
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
    err = wk_meeting_load(query, request->org_path, request->meeting_id, &meeting, v);
    if (err)
        return err;
    yizhan__v1__meeting_code_key_reply__init(answer);
    wk_code_key(query->context->code_secret, query->context->code_secret_len, &place, key);
    answer->key.data = key;
    answer->key.len = WK_CODE_KEY_BYTES;
    answer->code_period_s = (uint32_t)wk_document_number(&meeting, "code_period_s");
    answer->server_time = wk_timestamp_new(query->arena, query->now_ms);
    *reply = &answer->base;
    return YZ_OK;
}

void wk_meeting_range(bson_t *filter, const struct wk_query *query, const char *org_path,
                      const char *meeting_id, const char *after)
{
    char first[WK_ID_MAX], last[WK_ID_MAX];
    bson_t range;

    wk_id(first, query->actor->tenant, org_path, meeting_id, after, NULL);
    wk_id(last, query->actor->tenant, org_path, meeting_id, NULL);
    snprintf(last + strlen(last), sizeof last - strlen(last), "%c", '|' + 1);
    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &range);
    BSON_APPEND_UTF8(&range, "$gt", first);
    BSON_APPEND_UTF8(&range, "$lt", last);
    bson_append_document_end(filter, &range);
}

/* One member of the roster, as the documents tell of it. */
struct row {
    const char *member;
    int64_t place;
    Yizhan__V1__CheckinMethod method;
    int64_t checked_in_ms; /* 0: never checked in */
    Yizhan__V1__LeaveState leave;
    Yizhan__V1__LeaveClass leave_class;
    const char *leave_reason;
};

/* A part of the roster: those behind `after`, in the order of their ids. */
struct attendance {
    const struct wk_query *query;
    const Yizhan__V1__MeetingAttendanceRequest *request;
    bson_t meeting, roster;
    int64_t should;
    struct row *rows;
    size_t count, at; /* at: where the walk along a list of the same order stands */
    bool more, full;
};

static enum yz_err get_roster(struct attendance *attendance, struct yz_violation *v)
{
    const struct wk_query *query = attendance->query;
    char id[WK_ID_MAX];
    bson_t row;
    bool found;
    enum yz_err err;

    wk_id(id, query->actor->tenant, attendance->request->org_path, attendance->request->meeting_id,
          NULL);
    err = wk_store_get(query->store, WK_ROSTERS, id, &row, &found);
    if (!err && !found)
        err = yz_violate(v, YZ_NOT_FOUND, "meetingId", "There is no such meeting.");
    else if (err || !wk_document_keep(query->arena, &row, &attendance->roster))
        err = yz_violate(v, err ? err : YZ_BUSY, NULL, NULL);
    bson_destroy(&row);
    return err;
}

static enum yz_err list_rows(struct attendance *attendance)
{
    uint32_t limit = attendance->request->limit ? attendance->request->limit : WK_ROSTER_MAX;
    const char *after = attendance->request->after;
    bson_iter_t entry;

    attendance->rows = yz_arena_alloc(attendance->query->arena, limit * sizeof(struct row));
    if (!attendance->rows)
        return YZ_BUSY;
    if (!wk_document_array(&attendance->roster, "members", &entry))
        return YZ_OK;
    while (bson_iter_next(&entry) && attendance->should < WK_ROSTER_MAX) {
        const char *member = bson_iter_utf8(&entry, NULL);
        int64_t place = attendance->should;

        if (!member)
            continue;
        attendance->should++;
        if (*after && strcmp(member, after) <= 0)
            continue;
        if (attendance->count == limit)
            attendance->more = true;
        else
            attendance->rows[attendance->count++] = (struct row){.member = member, .place = place};
    }
    return YZ_OK;
}

/* The row of this document's member; documents come in the order of members. */
static struct row *row_of(struct attendance *attendance, const bson_t *document)
{
    const char *member = wk_document_text(document, "member");

    while (attendance->at < attendance->count &&
           strcmp(attendance->rows[attendance->at].member, member) < 0)
        attendance->at++;
    if (attendance->at == attendance->count ||
        strcmp(attendance->rows[attendance->at].member, member) != 0)
        return NULL;
    return &attendance->rows[attendance->at];
}

static bool on_checkin(void *arg, const bson_t *document)
{
    struct attendance *attendance = arg;
    struct row *row = row_of(attendance, document);

    if (row) {
        row->method = (Yizhan__V1__CheckinMethod)wk_document_enum(
            document, "method", &yizhan__v1__checkin_method__descriptor);
        row->checked_in_ms = wk_document_time_ms(document, "checked_in_at");
    }
    return attendance->at < attendance->count;
}

static bool on_leave(void *arg, const bson_t *document)
{
    struct attendance *attendance = arg;
    struct row *row = row_of(attendance, document);
    bson_t kept;

    if (!row)
        return attendance->at < attendance->count;
    if (!wk_document_keep(attendance->query->arena, document, &kept)) {
        attendance->full = true;
        return false;
    }
    row->leave = (Yizhan__V1__LeaveState)wk_document_enum(&kept, "state",
                                                          &yizhan__v1__leave_state__descriptor);
    row->leave_class = (Yizhan__V1__LeaveClass)wk_document_enum(
        &kept, "leave_class", &yizhan__v1__leave_class__descriptor);
    row->leave_reason = wk_document_text(&kept, "reason");
    return true;
}

/* Documents of the members of this part stand side by side in the index on _id. */
static enum yz_err find_parts(struct attendance *attendance, const char *collection,
                              wk_row_fn *on_row)
{
    const Yizhan__V1__MeetingAttendanceRequest *request = attendance->request;
    bson_t filter = BSON_INITIALIZER, *opts;
    enum yz_err err;

    attendance->at = 0;
    wk_meeting_range(&filter, attendance->query, request->org_path, request->meeting_id,
                     request->after);
    opts = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}", "batchSize",
                    BCON_INT32(request->limit ? (int32_t)request->limit + 1 : WK_ROSTER_MAX + 1));
    err = wk_store_find(attendance->query->store, collection, &filter, opts, on_row, attendance);
    bson_destroy(opts);
    bson_destroy(&filter);
    return err ? err : attendance->full ? YZ_BUSY : YZ_OK;
}

/* The lists as a whole. */
static enum yz_err fill_lists(const struct attendance *attendance,
                              Yizhan__V1__MeetingAttendanceReply *answer)
{
    struct yz_arena *arena = attendance->query->arena;
    struct wk_bits present;

    wk_bits_read(&attendance->meeting, "present", attendance->should, &present);
    answer->present = yz_arena_alloc(arena, (attendance->count + 1) * sizeof *answer->present);
    answer->missing = yz_arena_alloc(arena, (attendance->count + 1) * sizeof *answer->missing);
    if (!answer->present || !answer->missing)
        return YZ_BUSY;
    for (size_t i = 0; i < attendance->count; i++) {
        const struct row *row = &attendance->rows[i];
        Yizhan__V1__MeetingAttendanceReply__Present *entry;

        if (!wk_bits_has(&present, row->place)) {
            answer->missing[answer->n_missing++] = (char *)(uintptr_t)row->member;
            continue;
        }
        entry = yz_arena_alloc(arena, sizeof *entry);
        if (!entry)
            return YZ_BUSY;
        yizhan__v1__meeting_attendance_reply__present__init(entry);
        entry->member = (char *)(uintptr_t)row->member;
        entry->method = row->method;
        entry->checked_in_at = wk_timestamp_new(arena, row->checked_in_ms);
        answer->present[answer->n_present++] = entry;
    }
    return YZ_OK;
}

/* The sets of a meeting and of its roster. */
struct sets {
    struct wk_bits present, leave, corrected, voters;
};

static Yizhan__V1__AttendanceState state_of(const struct sets *sets, int64_t place)
{
    if (wk_bits_has(&sets->present, place))
        return YIZHAN__V1__ATTENDANCE_STATE__PRESENT;
    return wk_bits_has(&sets->leave, place) ? YIZHAN__V1__ATTENDANCE_STATE__ON_LEAVE
                                            : YIZHAN__V1__ATTENDANCE_STATE__ABSENT;
}

static Yizhan__V1__MeetingAttendanceReply__Entry *new_entry(const struct attendance *attendance,
                                                            const struct row *row,
                                                            const struct sets *sets, bool reasons)
{
    struct yz_arena *arena = attendance->query->arena;
    Yizhan__V1__MeetingAttendanceReply__Entry *entry = yz_arena_alloc(arena, sizeof *entry);

    if (!entry)
        return NULL;
    yizhan__v1__meeting_attendance_reply__entry__init(entry);
    entry->member = (char *)(uintptr_t)row->member;
    entry->state = state_of(sets, row->place);
    entry->corrected = wk_bits_has(&sets->corrected, row->place);
    entry->voter = wk_bits_has(&sets->voters, row->place);
    entry->method = row->method;
    entry->checked_in_at = wk_timestamp_new(arena, row->checked_in_ms);
    entry->leave = row->leave;
    entry->leave_class = row->leave_class;
    if (reasons && row->leave_reason)
        entry->leave_reason = (char *)(uintptr_t)row->leave_reason;
    return entry;
}

/* What a member wrote to its secretary is for the secretary. A page ends early where reasons would
 * outgrow it. */
static enum yz_err fill_entries(struct attendance *attendance,
                                Yizhan__V1__MeetingAttendanceReply *answer)
{
    const struct wk_query *query = attendance->query;
    bool reasons =
        yz_authorize(YZ_BY_SECRETARY, query->actor, attendance->request->org_path) == YZ_OK;
    struct sets sets;
    size_t bytes = 0;

    wk_bits_read(&attendance->meeting, "present", attendance->should, &sets.present);
    wk_bits_read(&attendance->meeting, "leave", attendance->should, &sets.leave);
    wk_bits_read(&attendance->meeting, "corrected", attendance->should, &sets.corrected);
    wk_bits_read(&attendance->roster, "voters", attendance->should, &sets.voters);
    answer->entries =
        yz_arena_alloc(query->arena, (attendance->count + 1) * sizeof *answer->entries);
    if (!answer->entries)
        return YZ_BUSY;
    for (size_t i = 0; i < attendance->count; i++) {
        Yizhan__V1__MeetingAttendanceReply__Entry *entry =
            new_entry(attendance, &attendance->rows[i], &sets, reasons);

        if (!entry)
            return YZ_BUSY;
        bytes += 160 + strlen(entry->member) + strlen(entry->leave_reason);
        attendance->more = attendance->more || (i > 0 && bytes > WK_PAGE_MAX_BYTES);
        if (i > 0 && bytes > WK_PAGE_MAX_BYTES)
            break;
        answer->entries[answer->n_entries++] = entry;
    }
    if (attendance->more)
        answer->next_after = answer->entries[answer->n_entries - 1]->member;
    return YZ_OK;
}

static enum yz_err read_attendance(struct attendance *attendance,
                                   Yizhan__V1__MeetingAttendanceReply *answer)
{
    enum yz_err err = list_rows(attendance);

    if (!err)
        err = find_parts(attendance, WK_CHECKINS, on_checkin);
    if (!err && attendance->request->limit)
        err = find_parts(attendance, WK_LEAVES, on_leave);
    if (err)
        return err;
    answer->should_attend = (uint32_t)attendance->should;
    answer->present_count =
        attendance->request->limit
            ? (uint32_t)wk_document_number(&attendance->meeting, "present_count")
            : 0;
    return attendance->request->limit ? fill_entries(attendance, answer)
                                      : fill_lists(attendance, answer);
}

static enum yz_err answer_attendance(const struct wk_query *query, ProtobufCMessage **reply,
                                     struct yz_violation *v)
{
    const Yizhan__V1__MeetingAttendanceRequest *request =
        (const Yizhan__V1__MeetingAttendanceRequest *)query->request;
    struct attendance attendance = {.query = query, .request = request};
    Yizhan__V1__MeetingAttendanceReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    err = wk_meeting_load(query, request->org_path, request->meeting_id, &attendance.meeting, v);
    if (err || (err = get_roster(&attendance, v)))
        return err;
    yizhan__v1__meeting_attendance_reply__init(answer);
    err = read_attendance(&attendance, answer);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}

enum yz_err wk_meeting_answer_minutes(const struct wk_query *query, ProtobufCMessage **reply,
                                      struct yz_violation *v)
{
    const Yizhan__V1__MeetingMinutesRequest *request =
        (const Yizhan__V1__MeetingMinutesRequest *)query->request;
    Yizhan__V1__MeetingMinutesReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    bson_t meeting, row, kept;
    char id[WK_ID_MAX], part[16];
    uint32_t latest;
    bool found;
    enum yz_err err = wk_meeting_load(query, request->org_path, request->meeting_id, &meeting, v);

    if (err)
        return err;
    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    latest = (uint32_t)wk_document_number(&meeting, "minutes_revision");
    snprintf(part, sizeof part, "%010u", request->revision ? request->revision : latest);
    wk_id(id, query->actor->tenant, request->org_path, request->meeting_id, part, NULL);
    err = wk_store_get(query->store, WK_MINUTES, id, &row, &found);
    if (!err && !found)
        err = yz_violate(v, YZ_NOT_FOUND, "revision", "There are no such minutes.");
    else if (err || !wk_document_keep(query->arena, &row, &kept))
        err = yz_violate(v, err ? err : YZ_BUSY, NULL, NULL);
    bson_destroy(&row);
    if (err)
        return err;
    yizhan__v1__meeting_minutes_reply__init(answer);
    answer->revision = (uint32_t)wk_document_number(&kept, "revision");
    answer->text = (char *)(uintptr_t)wk_document_text(&kept, "text");
    answer->filed_by = (char *)(uintptr_t)wk_document_text(&kept, "filed_by");
    answer->filed_at = wk_timestamp_new(query->arena, wk_document_time_ms(&kept, "filed_at"));
    answer->latest = latest;
    *reply = &answer->base;
    return YZ_OK;
}

const struct wk_query_handler wk_meeting_queries[] = {
    {"meeting.get", answer_get},
    {"meeting.code_key", answer_code_key},
    {"meeting.attendance", answer_attendance},
    {"meeting.list", wk_meeting_answer_list},
    {"meeting.mine", wk_meeting_answer_mine},
    {"meeting.gaps", wk_meeting_answer_gaps},
    {"meeting.statistics", wk_meeting_answer_statistics},
    {"meeting.votes", wk_meeting_answer_votes},
    {"meeting.minutes", wk_meeting_answer_minutes},
    {0},
};
