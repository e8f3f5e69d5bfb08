/* meeting_told.h: a meeting told in JSON: what the tests of the domain meeting share.
 *
 * Lifetime  decoded messages live until told_deinit, in one arena.
 * Thread    the test's.
 *
 * The meeting m1 of g1/c1/b1 has the roster u1 to u5; s1 is its secretary and not on it.
 */
#ifndef YZ_TEST_MEETING_TOLD_H
#define YZ_TEST_MEETING_TOLD_H

#include "drive.h"
#include "schemas/codec.h"
#include "workers/code.h"
#include "workers/domains/meeting.h"
#include "workers/roster.h"

#include <stdio.h>
#include <study.pb-c.h>

#define BRANCH  "g1/c1/b1"
#define MEETING "t1|" BRANCH "|m1"
#define CHANNEL "meeting." BRANCH ".m1"
#define HOUR_MS INT64_C(3600000)
#define IT      "\"orgPath\":\"" BRANCH "\",\"meetingId\":\"m1\""
#define ROSTER  "\"roster\":[\"u1\",\"u2\",\"u3\",\"u4\",\"u5\"]"
#define WINDOW                                                                                     \
    "\"kind\":\"ASSEMBLY\",\"title\":\"t\",\"startsAt\":\"2026-01-01T03:00:00Z\","                 \
    "\"endsAt\":\"2026-01-01T04:30:00Z\""
#define MANUAL_OF(member, witness)                                                                 \
    "{" IT ",\"method\":\"MANUAL\",\"member\":\"" member "\",\"witness\":\"" witness               \
    "\",\"reason\":\"手机没电\"}"

struct told {
    struct drive drive;
    struct yz_arena arena;
};

static inline void told_init(struct told *t)
{
    drive_init(&t->drive);
    yz_arena_init(&t->arena, (size_t)32 << 20);
    t->drive.roles = "member,secretary@g1/c1";
}

static inline void told_deinit(struct told *t)
{
    drive_deinit(&t->drive);
    yz_arena_deinit(&t->arena);
}

static inline enum yz_err say(struct told *t, const char *member, const char *type,
                              const char *json)
{
    const struct yz_event_type *contract = yz_event_type_find(type, NULL);
    ProtobufCMessage *message = NULL;
    struct yz_violation v = {0};

    assert_non_null(contract);
    if (yz_json_decode(contract->payload, json, strlen(json), yz_payload_resolve, &t->arena,
                       &message, &v))
        fail_msg("%s: %s at %s", json, yz_err_code(v.err), v.field);
    return drive(&t->drive, member, BRANCH, type, message);
}

/* Refused with this error at this field; and nothing came of it. */
static inline void refused(struct told *t, const char *member, const char *type, const char *json,
                           enum yz_err err, const char *field)
{
    size_t pushes = drive_push_count(&t->drive), rows = drive_row_count(&t->drive);
    enum yz_err got = say(t, member, type, json);

    if (got != err || strcmp(t->drive.v.field, field) != 0)
        fail_msg("%s %s: %s at '%s', expected %s at '%s'", type, json, yz_err_code(got),
                 t->drive.v.field, yz_err_code(err), field);
    assert_int_equal(drive_push_count(&t->drive), pushes);
    assert_int_equal(drive_row_count(&t->drive), rows);
}

static inline void applied(struct told *t, const char *member, const char *type, const char *json)
{
    enum yz_err got = say(t, member, type, json);

    if (got)
        fail_msg("%s %s: %s at '%s'", type, json, yz_err_code(got), t->drive.v.field);
}

static inline void convene(struct told *t, const char *more)
{
    char json[1024];

    snprintf(json, sizeof json, "{" IT "," WINDOW "%s}", more);
    applied(t, "s1", "meeting.convened", json);
}

static inline void open_up(struct told *t)
{
    applied(t, "s1", "meeting.opened", "{" IT "}");
}

/* The meeting was convened with `more` besides its roster, and is open. */
static inline void told_open(struct told *t, const char *more)
{
    char json[256];

    told_init(t);
    snprintf(json, sizeof json, "," ROSTER "%s", more);
    convene(t, json);
    open_up(t);
}

static inline void close_down(struct told *t)
{
    applied(t, "s1", "meeting.closed", "{" IT "}");
}

/* The payload of a check-in by the code on the screen at this time; valid until the next. */
static inline const char *with_code(const char *method, int64_t shown_ms)
{
    const struct wk_code_meeting place = {"t1", BRANCH, "m1"};
    const uint8_t nonce[WK_CODE_NONCE_BYTES] = {9};
    uint8_t key[WK_CODE_KEY_BYTES];
    char code[WK_CODE_LEN + 1];
    static char json[256];

    wk_code_key((const uint8_t *)DRIVE_SECRET, strlen(DRIVE_SECRET), &place, key);
    wk_code_make(key, &place, (uint32_t)(shown_ms / 30000), nonce, code);
    snprintf(json, sizeof json, "{" IT ",\"method\":\"%s\",\"code\":\"%s\"}", method, code);
    return json;
}

static inline void check_in(struct told *t, const char *member)
{
    applied(t, member, "checkin.recorded", with_code("CODE", t->drive.now_ms));
}

static inline const bson_t *meeting_of(struct told *t)
{
    return drive_document(&t->drive, WK_MEETINGS, MEETING);
}

static inline int64_t number_of(struct told *t, const char *field)
{
    return wk_document_number(meeting_of(t), field);
}

/* The member at `place` is in this set of the meeting. */
static inline bool in_set(struct told *t, const char *field, int64_t place)
{
    struct wk_bits bits;

    wk_bits_read(meeting_of(t), field, number_of(t, "should"), &bits);
    return wk_bits_has(&bits, place);
}

static inline size_t row_count(struct told *t)
{
    return drive_row_count(&t->drive);
}

/* The row, which must be of this type; its payload is decoded into the arena. */
static inline void *row_of(struct told *t, size_t at, const char *type)
{
    size_t count;
    const struct wk_fold_row *rows = wk_fold_rows(t->drive.fold, &count);
    ProtobufCMessage *message = NULL;
    struct yz_violation v = {0};

    assert_true(at < count);
    assert_string_equal(rows[at].type, type);
    assert_int_equal(yz_pb_decode(yz_event_type_find(type, NULL)->payload, rows[at].payload,
                                  rows[at].payload_len, &t->arena, &message, &v),
                     YZ_OK);
    return message;
}

/* Have every row from `at` on become its event, as the outbox would, and those that these make.
 * Those of another domain stay. Returns where the rows end. */
static inline size_t fire(struct told *t, size_t at)
{
    for (; at < row_count(t); at++) {
        size_t count;
        const char *type = wk_fold_rows(t->drive.fold, &count)[at].type;
        char name[YZ_TYPE_MAX];

        snprintf(name, sizeof name, "%s", type);
        if (strncmp(name, "meeting.", 8) == 0)
            assert_int_equal(drive(&t->drive, "s1", BRANCH, name, row_of(t, at, name)), YZ_OK);
    }
    return at;
}

/* How many rows from `at` on credit this member, or (taken_back) say that it has no hours any more;
 * NULL: anybody. */
static inline int hours_told(struct told *t, size_t at, const char *member, bool taken_back)
{
    int found = 0;

    for (; at < row_count(t); at++) {
        size_t count;
        const struct wk_fold_row *rows = wk_fold_rows(t->drive.fold, &count);
        const Yizhan__V1__StudyCredited *credited;

        if (strcmp(rows[at].type, "study.credited") != 0)
            continue;
        credited = row_of(t, at, "study.credited");
        found += (credited->minutes == 0) == taken_back &&
                 (!member || strcmp(credited->member, member) == 0);
    }
    return found;
}

static inline int credits(struct told *t, size_t at, const char *member)
{
    return hours_told(t, at, member, false);
}

#endif
