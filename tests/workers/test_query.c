/* The query service over a real bus and a real database; its documents are made by the domains' own
 * handlers. */
#include "workers/query.h"

#include "service_rig.h"
#include "workers/code.h"
#include "workers/outcome.h"

#include <event.pb-c.h>
#include <meeting.pb-c.h>
#include <notice.pb-c.h>
#include <thread.pb-c.h>

#define DAY_MS 86400000

/* Our clock is ahead of the broker's by so much. */
static _Atomic int64_t clock_step_ms;

int64_t __real_yz_clock_wall_ms(void);
int64_t __wrap_yz_clock_wall_ms(void);

int64_t __wrap_yz_clock_wall_ms(void)
{
    return __real_yz_clock_wall_ms() + atomic_load(&clock_step_ms);
}

/* Write what the driven events left. */
static void write_documents(struct drive *d)
{
    struct wk_store *store = wk_store_pop(pool);
    bool again = true;

    assert_int_equal(wk_fold_write(d->fold, store, &again), YZ_OK);
    assert_false(again);
    wk_store_push(pool, store);
    drive_deinit(d);
}

static void test_outcome(void **state)
{
    Yizhan__V1__EventOutcomeRequest request = YIZHAN__V1__EVENT_OUTCOME_REQUEST__INIT;
    Yizhan__V1__EventOutcomeReply *reply;
    struct yz_envelope env = {.actor = member, .event_id = "e1", .type = "checkin.recorded"};
    struct wk_outcome outcome = {.sequence = 42,
                                 .decided_by = 42,
                                 .received_at_ms = DRIVE_START,
                                 .status = WK_REFUSED,
                                 .reason = {YZ_CODE_EXPIRED, "code", "", 0}};
    struct wk_store *store = wk_store_pop(pool);
    struct wk_write write = {.kind = WK_INSERT};
    bson_t *document;

    (void)state;
    wk_outcome_id(&env, outcome.id);
    document = wk_outcome_document(&outcome, &env);
    write.id = outcome.id;
    write.document = document;
    assert_int_equal(wk_store_write(store, WK_OUTCOMES, &write, 1), YZ_OK);
    wk_store_push(pool, store);
    bson_destroy(document);
    request.event_id = "e1";
    reply = (Yizhan__V1__EventOutcomeReply *)ask_for(&member, "event.outcome", &request.base);
    assert_int_equal(reply->outcome->status, YIZHAN__V1__OUTCOME__STATUS__REFUSED);
    assert_string_equal(reply->outcome->event_id, "e1");
    assert_string_equal(reply->outcome->type, "checkin.recorded");
    assert_string_equal(reply->outcome->code, "code_expired");
    assert_string_equal(reply->outcome->field, "code");
    assert_int_equal(reply->outcome->sequence, 42);
    assert_int_equal(wk_timestamp_ms(reply->outcome->received_at), DRIVE_START);
    /* Of one's own events only. */
    assert_int_equal(ask_error(&secretary, "event.outcome", &request.base), YZ_NOT_FOUND);
    request.event_id = "e2";
    assert_int_equal(ask_error(&member, "event.outcome", &request.base), YZ_NOT_FOUND);
}

static void publish(struct drive *d, const char *id, const char *org_path, const char *body,
                    int64_t expires_at_ms)
{
    Yizhan__V1__NoticePublished n = YIZHAN__V1__NOTICE_PUBLISHED__INIT;
    Google__Protobuf__Timestamp expires = wk_timestamp(expires_at_ms);

    n.notice_id = (char *)(uintptr_t)id;
    n.org_path = (char *)(uintptr_t)org_path;
    n.notice_class = YIZHAN__V1__NOTICE_CLASS__INFO;
    n.title = "通知";
    n.body = (char *)(uintptr_t)body;
    n.expires_at = expires_at_ms ? &expires : NULL;
    assert_int_equal(drive(d, "s1", "g1/c1", "notice.published", &n.base), YZ_OK);
}

static void read_notice(struct drive *d, const char *id, const char *reader, const char *org_path)
{
    Yizhan__V1__NoticeRead r = YIZHAN__V1__NOTICE_READ__INIT;

    r.notice_id = (char *)(uintptr_t)id;
    assert_int_equal(drive(d, reader, org_path, "notice.read", &r.base), YZ_OK);
}

static void expect_notices(uint64_t before, uint32_t limit, const char *ids, uint64_t next_before)
{
    Yizhan__V1__NoticeListRequest request = YIZHAN__V1__NOTICE_LIST_REQUEST__INIT;
    Yizhan__V1__NoticeListReply *reply;
    char found[256] = "";

    request.before = before;
    request.limit = limit;
    reply = (Yizhan__V1__NoticeListReply *)ask_for(&member, "notice.list", &request.base);
    for (size_t i = 0; i < reply->n_notices; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s ",
                 reply->notices[i]->notice_id);
    assert_string_equal(found, ids);
    assert_int_equal(reply->next_before, next_before);
}

/* The member's branch and what is above it, newest first; nothing expired, nothing of others. */
static void test_notice_list(void **state)
{
    struct drive d;

    (void)state;
    expect_notices(0, 0, "", 0);
    drive_init(&d);
    publish(&d, "a", "g1", "正文", 0);                  /* 100 */
    publish(&d, "b", BRANCH, "正文", 0);                /* 101 */
    publish(&d, "c", "g1/c1/b2", "正文", 0);            /* another branch */
    publish(&d, "d", "g1/c1", "正文", DRIVE_START + 1); /* expired since */
    publish(&d, "e", "g1/c1", "正文", INT64_C(4102444800000));
    publish(&d, "f", "g2", "正文", 0);
    publish(&d, "g", BRANCH, "正文", 0); /* 106 */
    write_documents(&d);
    expect_notices(0, 0, "g e b a ", 0);
    expect_notices(0, 4, "g e b a ", 0);
    expect_notices(0, 2, "g e ", 104);
    expect_notices(104, 2, "b a ", 0);
    expect_notices(104, 1, "b ", 101);
    expect_notices(100, 0, "", 0);
    expect_notices(UINT64_MAX, 1, "g ", 106);
}

/* A page of long notices ends early rather than outgrow a phone's frame, and the next one goes on.
 */
static void test_notice_list_of_long_bodies(void **state)
{
    static char body[10001];
    Yizhan__V1__NoticeListRequest request = YIZHAN__V1__NOTICE_LIST_REQUEST__INIT;
    const struct yz_actor reader = {"t1", "u7", "long/x", "member"};
    size_t seen = 0, pages = 0;
    struct drive d;
    char id[16];

    (void)state;
    memset(body, 'b', sizeof body - 1);
    drive_init(&d);
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "long%d", i);
        publish(&d, id, i % 2 ? "long" : "long/x", body, 0);
    }
    write_documents(&d);
    request.limit = 100;
    do {
        Yizhan__V1__NoticeListReply *reply =
            (Yizhan__V1__NoticeListReply *)ask_for(&reader, "notice.list", &request.base);

        assert_true(reply->n_notices > 0 && reply->n_notices < 6);
        seen += reply->n_notices;
        request.before = reply->next_before;
        pages++;
    } while (request.before && pages < 30);
    assert_int_equal(seen, 20);
}

static void test_notice_receipts(void **state)
{
    Yizhan__V1__NoticeReceiptsRequest request = YIZHAN__V1__NOTICE_RECEIPTS_REQUEST__INIT;
    Yizhan__V1__NoticeReceiptsReply *reply;
    struct drive d;

    (void)state;
    drive_init(&d);
    publish(&d, "r1", "g1/c1", "正文", 0);
    publish(&d, "r11", "g1/c1", "正文", 0);
    publish(&d, "r12", "g1/c1/b2", "正文", 0);
    read_notice(&d, "r1", "u1", BRANCH);
    read_notice(&d, "r1", "u2", BRANCH);
    read_notice(&d, "r1", "u3", "g1/c1/b2");
    read_notice(&d, "r11", "u4", BRANCH);
    write_documents(&d);
    request.notice_id = "r1";
    request.org_path = "g1/c1";
    request.after = "";
    reply =
        (Yizhan__V1__NoticeReceiptsReply *)ask_for(&secretary, "notice.receipts", &request.base);
    assert_int_equal(reply->n_branches, 2);
    assert_int_equal(reply->read, 3);
    assert_string_equal(reply->branches[0]->org_path, BRANCH);
    assert_int_equal(reply->branches[0]->n_read_by, 2);
    assert_string_equal(reply->branches[0]->read_by[1], "u2");
    assert_string_equal(reply->next_after, "");
    request.after = BRANCH;
    reply =
        (Yizhan__V1__NoticeReceiptsReply *)ask_for(&secretary, "notice.receipts", &request.base);
    assert_int_equal(reply->n_branches, 1);
    assert_string_equal(reply->branches[0]->org_path, "g1/c1/b2");
    request.after = "no path!";
    assert_int_equal(ask_error(&secretary, "notice.receipts", &request.base), YZ_INVALID_VALUE);
    request.after = "";
    /* A part of what it addresses, and an org that it does not. */
    request.org_path = BRANCH;
    reply =
        (Yizhan__V1__NoticeReceiptsReply *)ask_for(&secretary, "notice.receipts", &request.base);
    assert_int_equal(reply->n_branches, 1);
    request.notice_id = "r12";
    assert_int_equal(ask_error(&secretary, "notice.receipts", &request.base), YZ_NOT_FOUND);
    request.notice_id = "r1";
    request.org_path = "g1/c1";
    assert_int_equal(ask_error(&member, "notice.receipts", &request.base), YZ_FORBIDDEN);
}

/* Many branches come in pages, each branch once. */
static void test_notice_receipts_in_pages(void **state)
{
    Yizhan__V1__NoticeReceiptsRequest request = YIZHAN__V1__NOTICE_RECEIPTS_REQUEST__INIT;
    const struct yz_actor above = {"t1", "s2", "w", "member,inspector@w"};
    char org_path[64], reader[65], after[YZ_ORG_PATH_MAX] = "";
    uint32_t seen = 0, pages = 0;
    struct drive d;

    (void)state;
    drive_init(&d);
    publish(&d, "wide", "w", "正文", 0);
    for (int i = 0; i < 1200; i++) {
        snprintf(org_path, sizeof org_path, "w/b%04d", i / 3);
        snprintf(reader, sizeof reader, "%064d", i);
        read_notice(&d, "wide", reader, org_path);
    }
    write_documents(&d);
    request.notice_id = "wide";
    request.org_path = "w";
    do {
        Yizhan__V1__NoticeReceiptsReply *reply;

        request.after = after;
        reply =
            (Yizhan__V1__NoticeReceiptsReply *)ask_for(&above, "notice.receipts", &request.base);
        seen += reply->read;
        snprintf(after, sizeof after, "%s", reply->next_after);
        pages++;
    } while (after[0] && pages < 100);
    assert_int_equal(seen, 1200);
    assert_true(pages > 1);
}

/* A meeting of u1 to u4, of whom u2 and u4 are there. */
static void make_meeting(void)
{
    Yizhan__V1__MeetingConvened m = YIZHAN__V1__MEETING_CONVENED__INIT;
    Yizhan__V1__MeetingOpened o = YIZHAN__V1__MEETING_OPENED__INIT;
    Yizhan__V1__CheckinRecorded c = YIZHAN__V1__CHECKIN_RECORDED__INIT;
    Google__Protobuf__Timestamp starts = wk_timestamp(DRIVE_START + 1000),
                                ends = wk_timestamp(DRIVE_START + 2000);
    const struct wk_code_meeting place = {"t1", BRANCH, "m1"};
    const uint8_t nonce[WK_CODE_NONCE_BYTES] = {1};
    char *roster[] = {"u3", "u4", "u1", "u2"}, code[WK_CODE_LEN + 1];
    uint8_t key[WK_CODE_KEY_BYTES];
    struct drive d;

    m.org_path = o.org_path = c.org_path = BRANCH;
    m.meeting_id = o.meeting_id = c.meeting_id = "m1";
    m.kind = YIZHAN__V1__MEETING_KIND__LESSON;
    m.title = "党课";
    m.starts_at = &starts;
    m.ends_at = &ends;
    m.roster = roster;
    m.n_roster = 4;
    m.code_period_s = 20;
    wk_code_key((const uint8_t *)DRIVE_SECRET, strlen(DRIVE_SECRET), &place, key);
    wk_code_make(key, &place, (uint32_t)(DRIVE_START / 20000), nonce, code);
    c.method = YIZHAN__V1__CHECKIN_METHOD__CODE;
    c.code = code;
    drive_init(&d);
    assert_int_equal(drive(&d, "s1", BRANCH, "meeting.convened", &m.base), YZ_OK);
    assert_int_equal(drive(&d, "s1", BRANCH, "meeting.opened", &o.base), YZ_OK);
    assert_int_equal(drive(&d, "u4", BRANCH, "checkin.recorded", &c.base), YZ_OK);
    assert_int_equal(drive(&d, "u2", BRANCH, "checkin.recorded", &c.base), YZ_OK);
    write_documents(&d);
}

static void test_meeting(void **state)
{
    Yizhan__V1__MeetingGetRequest get = YIZHAN__V1__MEETING_GET_REQUEST__INIT;
    Yizhan__V1__MeetingGetReply *got;

    (void)state;
    make_meeting();
    get.org_path = BRANCH;
    get.meeting_id = "m1";
    got = (Yizhan__V1__MeetingGetReply *)ask_for(&member, "meeting.get", &get.base);
    assert_string_equal(got->meeting->title, "党课");
    assert_int_equal(got->meeting->kind, YIZHAN__V1__MEETING_KIND__LESSON);
    assert_int_equal(got->meeting->roster_count, 4);
    assert_int_equal(wk_timestamp_ms(got->meeting->ends_at), DRIVE_START + 2000);
    assert_int_equal(got->state, YIZHAN__V1__MEETING_STATE__OPEN);
    assert_int_equal(got->present, 2);
    assert_int_equal(ask_error(&stranger, "meeting.get", &get.base), YZ_FORBIDDEN);
    get.meeting_id = "m2";
    assert_int_equal(ask_error(&member, "meeting.get", &get.base), YZ_NOT_FOUND);
    get.meeting_id = "";
    assert_int_equal(ask_error(&member, "meeting.get", &get.base), YZ_MISSING_FIELD);
}

static void test_code_key(void **state)
{
    Yizhan__V1__MeetingCodeKeyRequest request = YIZHAN__V1__MEETING_CODE_KEY_REQUEST__INIT;
    Yizhan__V1__MeetingCodeKeyReply *reply;
    const struct wk_code_meeting place = {"t1", BRANCH, "m1"};
    uint8_t key[WK_CODE_KEY_BYTES];

    (void)state;
    request.org_path = BRANCH;
    request.meeting_id = "m1";
    wk_code_key((const uint8_t *)DRIVE_SECRET, strlen(DRIVE_SECRET), &place, key);
    reply =
        (Yizhan__V1__MeetingCodeKeyReply *)ask_for(&secretary, "meeting.code_key", &request.base);
    assert_int_equal(reply->key.len, WK_CODE_KEY_BYTES);
    assert_memory_equal(reply->key.data, key, WK_CODE_KEY_BYTES);
    assert_int_equal(reply->code_period_s, 20);
    assert_true(llabs(wk_timestamp_ms(reply->server_time) - yz_clock_wall_ms()) < TIMEOUT_MS);
    assert_int_equal(ask_error(&member, "meeting.code_key", &request.base), YZ_FORBIDDEN);
    request.meeting_id = "m2";
    assert_int_equal(ask_error(&secretary, "meeting.code_key", &request.base), YZ_NOT_FOUND);
}

static void test_attendance(void **state)
{
    Yizhan__V1__MeetingAttendanceRequest request = YIZHAN__V1__MEETING_ATTENDANCE_REQUEST__INIT;
    Yizhan__V1__MeetingAttendanceReply *reply;

    (void)state;
    request.org_path = BRANCH;
    request.meeting_id = "m1";
    reply = (Yizhan__V1__MeetingAttendanceReply *)ask_for(&secretary, "meeting.attendance",
                                                          &request.base);
    assert_int_equal(reply->n_present, 2);
    assert_string_equal(reply->present[0]->member, "u2");
    assert_string_equal(reply->present[1]->member, "u4");
    assert_int_equal(reply->present[0]->method, YIZHAN__V1__CHECKIN_METHOD__CODE);
    assert_int_equal(wk_timestamp_ms(reply->present[0]->checked_in_at), DRIVE_START);
    assert_int_equal(reply->n_missing, 2);
    assert_string_equal(reply->missing[0], "u1");
    assert_string_equal(reply->missing[1], "u3");
    assert_int_equal(reply->should_attend, 4);
    assert_int_equal(ask_error(&member, "meeting.attendance", &request.base), YZ_FORBIDDEN);
    request.meeting_id = "m";
    assert_int_equal(ask_error(&secretary, "meeting.attendance", &request.base), YZ_NOT_FOUND);
}

/* Sequences of the page, "first-last", and whether there are more. */
static void expect_posts(Yizhan__V1__ThreadPageRequest *request, const char *range, bool more)
{
    Yizhan__V1__ThreadPageReply *reply =
        (Yizhan__V1__ThreadPageReply *)ask_for(&member, "thread.page", &request->base);
    char found[64] = "";

    if (reply->n_posts > 0)
        snprintf(found, sizeof found, "%llu-%llu", (unsigned long long)reply->posts[0]->sequence,
                 (unsigned long long)reply->posts[reply->n_posts - 1]->sequence);
    for (size_t i = 1; i < reply->n_posts; i++)
        assert_int_equal(reply->posts[i]->sequence, reply->posts[i - 1]->sequence + 1);
    assert_string_equal(found, range);
    assert_int_equal(reply->more, more);
}

static void test_thread_page(void **state)
{
    Yizhan__V1__ThreadPageRequest request = YIZHAN__V1__THREAD_PAGE_REQUEST__INIT;
    struct drive d;
    char id[16];

    (void)state;
    drive_init(&d);
    for (int i = 0; i < 50; i++) {
        Yizhan__V1__ThreadPosted p = YIZHAN__V1__THREAD_POSTED__INIT;

        snprintf(id, sizeof id, "x%d", i);
        p.org_path = "g1/c1";
        p.thread_id = "th";
        p.message_id = id;
        p.text = "同意";
        assert_int_equal(drive(&d, "u1", BRANCH, "thread.posted", &p.base), YZ_OK);
    }
    write_documents(&d); /* 100 to 149 */
    request.org_path = "g1/c1";
    request.thread_id = "th";
    expect_posts(&request, "130-149", true);
    request.from_case = YIZHAN__V1__THREAD_PAGE_REQUEST__FROM_BEFORE;
    request.before = 0;
    expect_posts(&request, "130-149", true);
    request.before = 110;
    request.limit = 10;
    expect_posts(&request, "100-109", false);
    request.limit = 9;
    expect_posts(&request, "101-109", true);
    request.before = 100;
    expect_posts(&request, "", false);
    request.from_case = YIZHAN__V1__THREAD_PAGE_REQUEST__FROM_AFTER;
    request.after = 0;
    expect_posts(&request, "100-108", true);
    request.after = 140;
    expect_posts(&request, "141-149", false);
    request.after = 149;
    expect_posts(&request, "", false);
    assert_int_equal(ask_error(&stranger, "thread.page", &request.base), YZ_FORBIDDEN);
}

/* What comes from the bus is believed no more than what comes from a phone. */
static void test_bad_requests(void **state)
{
    static const struct {
        const struct yz_actor *actor;
        const char *tenant, *type, *data;
        enum yz_err wanted;
    } cases[] = {
        {NULL, "t1", "notice.list", "", YZ_MISSING_FIELD},
        {&member, "t2", "notice.list", "", YZ_FORBIDDEN},
        {&member, "t", "notice.list", "", YZ_FORBIDDEN},
        {&other_tenant, "t1", "notice.list", "", YZ_FORBIDDEN},
        {&member, "t1", "notice.burn", "", YZ_UNKNOWN_TYPE},
        {&member, "t1", "notice.list", "\xff", YZ_BAD_FRAME},
        {&member, "t1", "notice.list", "\x28\x01", YZ_UNKNOWN_FIELD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        natsMsg *reply = send_request(new_request(cases[i].actor, cases[i].tenant, cases[i].type,
                                                  NULL, cases[i].data, strlen(cases[i].data)));
        struct yz_violation v;
        enum yz_err err = take_error(reply, &v);

        if (err != cases[i].wanted)
            fail_msg("case %zu: %s, expected %s", i, yz_err_code(err),
                     yz_err_code(cases[i].wanted));
    }
}

static bool is_ready(void *arg, const char **reason)
{
    (void)arg;
    *reason = NULL;
    return true;
}

/* Our clock is a day ahead: a code made by it would be nobody's. */
static void test_the_time_is_the_brokers(void **state)
{
    Yizhan__V1__MeetingCodeKeyRequest request = YIZHAN__V1__MEETING_CODE_KEY_REQUEST__INIT;
    int64_t before_ms = yz_clock_wall_ms(), until = yz_clock_mono_ms() + TIMEOUT_MS;
    Yizhan__V1__MeetingCodeKeyReply *reply;

    (void)state;
    wk_query_stop(service);
    atomic_store(&clock_step_ms, DAY_MS);
    assert_int_equal(wk_watch_start(&conf, nc, pool, &metrics, "stepped", is_ready, NULL, &watch),
                     YZ_OK);
    while (wk_watch_bus_ms(watch) == 0 && yz_clock_mono_ms() < until)
        nats_Sleep(20);
    assert_true(start_service());
    request.org_path = BRANCH;
    request.meeting_id = "m1";
    reply =
        (Yizhan__V1__MeetingCodeKeyReply *)ask_for(&secretary, "meeting.code_key", &request.base);
    assert_true(wk_timestamp_ms(reply->server_time) < before_ms + DAY_MS / 2);
    wk_query_stop(service);
    wk_watch_stop(watch);
    watch = NULL;
    atomic_store(&clock_step_ms, 0);
    assert_true(start_service());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcome),
        cmocka_unit_test(test_notice_list),
        cmocka_unit_test(test_notice_list_of_long_bodies),
        cmocka_unit_test(test_notice_receipts),
        cmocka_unit_test(test_notice_receipts_in_pages),
        cmocka_unit_test(test_meeting),
        cmocka_unit_test(test_code_key),
        cmocka_unit_test(test_attendance),
        cmocka_unit_test(test_thread_page),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_the_time_is_the_brokers),
    };

    return cmocka_run_group_tests(tests, start_all, stop_all);
}
