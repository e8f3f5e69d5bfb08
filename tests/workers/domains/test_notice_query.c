/* The inbox and the report of a notice, over a real database: many branches, many notices, pages.
 */
#include "branch_rig.h"
#include "common/clock.h"
#include "query_rig.h"

#include "workers/domains/notice.h"

#include <notice.pb-c.h>
#include <stdio.h>

#define BRANCHES 900
#define MANY     1300
#define SILENT   2500 /* branches, every 500th of which has a secretary */

static enum yz_err ask(const struct yz_actor *actor, const char *type,
                       const ProtobufCMessage *request, void *reply)
{
    const struct wk_query query = {.actor = actor,
                                   .request = request,
                                   .store = store,
                                   .arena = &arena,
                                   .now_ms = yz_clock_wall_ms()};
    struct yz_violation v = {0};

    yz_arena_reset(&arena);
    assert_int_equal(yz_query_type_find(type, NULL)->check
                         ? yz_query_type_find(type, NULL)->check(request, &v)
                         : YZ_OK,
                     YZ_OK);
    return wk_registry_query(type)->answer(&query, reply, &v);
}

static void write_documents(struct drive *d)
{
    bool again = true;

    assert_int_equal(wk_fold_write(d->fold, store, &again), YZ_OK);
    assert_false(again);
    drive_deinit(d);
}

/* A branch of `count` members "<prefix>0", … straight into the database. */
static void insert_branch(const char *path, const char *prefix, unsigned count)
{
    bson_t *document = bson_new();
    struct wk_write write = {.kind = WK_INSERT};
    struct branch_rig branch;
    char id[WK_ID_MAX], name[80];

    wk_branch_id(id, "t1", path);
    BSON_APPEND_UTF8(document, "_id", id);
    BSON_APPEND_UTF8(document, "tenant", "t1");
    BSON_APPEND_INT64(document, "evt_seq", 1);
    branch_begin(&branch, document, path);
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s%u", prefix, i);
        branch_enrol(&branch, &(struct branch_entry){.member = name, .place = (int32_t)i});
    }
    branch_end(&branch);
    write.id = id;
    write.document = document;
    assert_int_equal(wk_store_write(store, WK_BRANCHES, &write, 1), YZ_OK);
    assert_int_equal(write.result, WK_WRITTEN);
    bson_destroy(document);
}

static Yizhan__V1__NoticeAudience for_roles(char **roles, size_t count)
{
    Yizhan__V1__NoticeAudience audience = YIZHAN__V1__NOTICE_AUDIENCE__INIT;

    audience.roles = roles;
    audience.n_roles = count;
    return audience;
}

static void publish(struct drive *d, const char *id, const char *org_path,
                    Yizhan__V1__NoticeAudience *audience, Yizhan__V1__NoticeClass notice_class)
{
    Yizhan__V1__NoticePublished n = YIZHAN__V1__NOTICE_PUBLISHED__INIT;

    n.notice_id = (char *)(uintptr_t)id;
    n.org_path = (char *)(uintptr_t)org_path;
    n.notice_class = notice_class;
    n.title = "通知";
    n.audience = audience;
    d->roles = "secretary@w,secretary@i,secretary@p,secretary@u,secretary@r";
    assert_int_equal(drive(d, "s1", "w", "notice.published", &n.base), YZ_OK);
    d->roles = "member";
}

static void read_by(struct drive *d, const char *id, const char *member, const char *org_path)
{
    Yizhan__V1__NoticeRead r = YIZHAN__V1__NOTICE_READ__INIT;

    r.notice_id = (char *)(uintptr_t)id;
    assert_int_equal(drive(d, member, org_path, "notice.read", &r.base), YZ_OK);
}

/* Every fourth has members on the register and no receipt; every fourth receipts and no register;
 * the others both: three members of whom one has read, and one more beyond the register. */
static void make_branches(void)
{
    char path[64], prefix[16], member[64];
    struct drive d;

    drive_init(&d);
    publish(&d, "wide", "w", NULL, YIZHAN__V1__NOTICE_CLASS__INFO);
    for (unsigned i = 0; i < BRANCHES; i++) {
        snprintf(path, sizeof path, "w/c%u/b%03u", i % 2, i);
        snprintf(prefix, sizeof prefix, "m%u-", i);
        if (i % 4 != 1)
            insert_branch(path, prefix, 3);
        if (i % 4 == 0)
            continue;
        snprintf(member, sizeof member, "m%u-0", i);
        read_by(&d, "wide", member, path);
        snprintf(member, sizeof member, "beyond%u", i);
        read_by(&d, "wide", member, path);
    }
    insert_branch("w", "top", 2);
    insert_branch("w/c1", "committee", 1);
    insert_branch("w/c1/empty", "nobody", 0);
    insert_branch("w-x", "alike", 5);
    insert_branch("w/c1-x", "below", 7);
    write_documents(&d);
}

struct totals {
    uint32_t branches, should, read, names;
    char last[YZ_ORG_PATH_MAX];
};

static uint32_t walk_report(const struct yz_actor *actor, const char *org_path, bool names,
                            struct totals *totals)
{
    Yizhan__V1__NoticeReceiptsRequest request = YIZHAN__V1__NOTICE_RECEIPTS_REQUEST__INIT;
    Yizhan__V1__NoticeReceiptsReply *reply;
    char after[YZ_ORG_PATH_MAX] = "";
    uint32_t pages = 0;

    memset(totals, 0, sizeof *totals);
    request.notice_id = "wide";
    request.org_path = (char *)(uintptr_t)org_path;
    request.after = after;
    request.without_names = !names;
    do {
        assert_int_equal(ask(actor, "notice.receipts", &request.base, &reply), YZ_OK);
        for (size_t i = 0; i < reply->n_branches; i++) {
            const Yizhan__V1__NoticeReceiptsReply__Branch *branch = reply->branches[i];

            assert_true(strcmp(totals->last, branch->org_path) < 0);
            snprintf(totals->last, sizeof totals->last, "%s", branch->org_path);
            totals->branches++;
            totals->should += branch->should;
            totals->read += branch->read;
            totals->names += (uint32_t)branch->n_read_by;
            assert_int_equal(branch->stored, branch->should);
            assert_true(branch->read <= branch->delivered && branch->delivered <= branch->should);
        }
        snprintf(after, sizeof after, "%s", reply->next_after);
        pages++;
    } while (after[0] && pages < 100);
    return pages;
}

static void a_report_tells_every_branch_once(void **state)
{
    const struct yz_actor above = {"t1", "s1", "w", "member,inspector@w"};
    const uint32_t quarter = BRANCHES / 4;
    struct totals totals;

    (void)state;
    make_branches();
    /* Three of four have both: 4 should, 2 read; one of four is silent: 3; one not registered: 2.
     */
    assert_true(walk_report(&above, "w", true, &totals) > 1);
    assert_int_equal(totals.branches, BRANCHES + 3);
    assert_int_equal(totals.should, quarter * (3 + 2 + 4 + 4) + 2 + 1 + 7);
    assert_int_equal(totals.read, quarter * 6);
    assert_int_equal(totals.names, totals.read);
    assert_int_equal(walk_report(&above, "w", false, &totals), 1);
    assert_int_equal(totals.branches, BRANCHES + 3);
    assert_int_equal(totals.names, 0);
    /* A part of it. */
    walk_report(&above, "w/c1", false, &totals);
    assert_int_equal(totals.branches, BRANCHES / 2 + 1);
    walk_report(&above, "w/c1/b003", true, &totals);
    assert_int_equal(totals.branches, 1);
    assert_int_equal(totals.should, 4);
}

static void insert_silent_branches(void)
{
    static struct wk_write writes[SILENT];
    static char ids[SILENT][WK_ID_MAX];
    char path[32], member[32];

    for (int i = 0; i < SILENT; i++) {
        snprintf(path, sizeof path, "r/b%04d", i);
        snprintf(member, sizeof member, "r%d", i);
        wk_branch_id(ids[i], "t1", path);
        writes[i] = (struct wk_write){
            .kind = WK_INSERT,
            .id = ids[i],
            .document =
                BCON_NEW("_id", BCON_UTF8(ids[i]), "tenant", "t1", "evt_seq", BCON_INT64(1),
                         "org_path", BCON_UTF8(path), "members", "[", "{", "m", BCON_UTF8(member),
                         "p", BCON_INT64(0), "r", BCON_UTF8(i % 500 ? "" : "secretary"), "}", "]")};
    }
    assert_int_equal(wk_store_write(store, WK_BRANCHES, writes, SILENT), YZ_OK);
    for (int i = 0; i < SILENT; i++) {
        assert_int_equal(writes[i].result, WK_WRITTEN);
        bson_destroy((bson_t *)(uintptr_t)writes[i].document);
    }
}

/* A notice to a role that few have: a page looks at so many branches and no more, and the pages
 * tell each of the few once. */
static void a_report_of_a_role_is_bounded_work(void **state)
{
    char *roles[] = {"secretary"}, after[YZ_ORG_PATH_MAX] = "";
    Yizhan__V1__NoticeAudience audience = for_roles(roles, 1);
    Yizhan__V1__NoticeReceiptsRequest request = YIZHAN__V1__NOTICE_RECEIPTS_REQUEST__INIT;
    const struct yz_actor above = {"t1", "s1", "r", "member,secretary@r"};
    const size_t of_page[] = {4, 1};
    Yizhan__V1__NoticeReceiptsReply *reply;
    uint32_t should = 0;
    struct drive d;

    (void)state;
    drive_init(&d);
    publish(&d, "few", "r", &audience, YIZHAN__V1__NOTICE_CLASS__INFO);
    write_documents(&d);
    insert_silent_branches();
    request.notice_id = "few";
    request.org_path = "r";
    request.after = after;
    for (size_t page = 0; page < 2; page++) {
        assert_int_equal(ask(&above, "notice.receipts", &request.base, &reply), YZ_OK);
        assert_int_equal(reply->n_branches, of_page[page]);
        assert_string_equal(reply->next_after, page ? "" : "r/b1999");
        should += reply->should;
        snprintf(after, sizeof after, "%s", reply->next_after);
    }
    assert_int_equal(should, 5);
}

static void a_report_of_several_orgs_goes_on_where_it_stopped(void **state)
{
    char *paths[] = {"p/z", "p/a"};
    Yizhan__V1__NoticeAudience audience = YIZHAN__V1__NOTICE_AUDIENCE__INIT;
    Yizhan__V1__NoticeReceiptsRequest request = YIZHAN__V1__NOTICE_RECEIPTS_REQUEST__INIT;
    const struct yz_actor above = {"t1", "s1", "p", "member,secretary@p"};
    Yizhan__V1__NoticeReceiptsReply *reply;
    struct drive d;

    (void)state;
    drive_init(&d);
    audience.org_paths = paths;
    audience.n_org_paths = 2;
    publish(&d, "two", "p", &audience, YIZHAN__V1__NOTICE_CLASS__INFO);
    write_documents(&d);
    insert_branch("p/z/b1", "z", 2);
    insert_branch("p/z/b2", "zz", 2);
    insert_branch("p/a/b1", "a", 2);
    insert_branch("p/m/b1", "m", 2);
    request.notice_id = "two";
    request.org_path = "p";
    request.after = "p/z/b1";
    assert_int_equal(ask(&above, "notice.receipts", &request.base, &reply), YZ_OK);
    assert_int_equal(reply->n_branches, 2);
    assert_string_equal(reply->branches[0]->org_path, "p/z/b2");
    assert_string_equal(reply->branches[1]->org_path, "p/a/b1");
    assert_int_equal(reply->should, 4);
    request.org_path = "p/m";
    assert_int_equal(ask(&above, "notice.receipts", &request.base, &reply), YZ_NOT_FOUND);
}

/* 1,200 on the register, of whom every third has read, and 600 beyond it who only received. */
static void the_unread_come_in_pages(void **state)
{
    Yizhan__V1__NoticeUnreadMembersRequest request =
        YIZHAN__V1__NOTICE_UNREAD_MEMBERS_REQUEST__INIT;
    const struct yz_actor above = {"t1", "s1", "u", "member,secretary@u"};
    Yizhan__V1__NoticeUnreadMembersReply *reply;
    Yizhan__V1__NoticeReceived received = YIZHAN__V1__NOTICE_RECEIVED__INIT;
    char *id = "unread", name[32], after[32] = "";
    uint32_t seen = 0, delivered = 0, pages = 0;
    bson_t *branch = NULL;
    struct drive d;
    bson_t row;
    bool found;

    (void)state;
    insert_branch("u/b1", "x", 1200);
    drive_init(&d);
    assert_int_equal(wk_store_get(store, WK_BRANCHES, "t1|u/b1", &row, &found), YZ_OK);
    branch = bson_copy(&row);
    bson_destroy(&row);
    wk_fold_preset(d.fold, WK_BRANCHES, "t1|u/b1", branch, 1);
    bson_destroy(branch);
    publish(&d, "unread", "u", NULL, YIZHAN__V1__NOTICE_CLASS__INFO);
    received.notice_ids = &id;
    received.n_notice_ids = 1;
    for (unsigned i = 0; i < 1200; i += 3) {
        snprintf(name, sizeof name, "x%u", i);
        read_by(&d, "unread", name, "u/b1");
    }
    for (unsigned i = 0; i < 600; i++) {
        snprintf(name, sizeof name, "beyond%u", i);
        assert_int_equal(drive(&d, name, "u/b1", "notice.received", &received.base), YZ_OK);
    }
    write_documents(&d);
    request.org_path = "u/b1";
    request.notice_id = "unread";
    request.after = after;
    do {
        assert_int_equal(ask(&above, "notice.unread_members", &request.base, &reply), YZ_OK);
        assert_int_equal(reply->should, 1800);
        assert_int_equal(reply->read, 400);
        for (size_t i = 0; i < reply->n_members; i++)
            delivered += reply->members[i]->delivered ? 1 : 0;
        seen += (uint32_t)reply->n_members;
        snprintf(after, sizeof after, "%s", reply->next_after);
        pages++;
    } while (after[0] && pages < 10);
    assert_int_equal(seen, 1400);
    assert_int_equal(delivered, 600);
    assert_int_equal(pages, 3);
    request.after = "x7";
    assert_int_equal(ask(&above, "notice.unread_members", &request.base, &reply), YZ_INVALID_VALUE);
}

/* 1,300 notices for secretaries hide three for everybody: the work of a page is bounded, and the
 * pages still reach them all. */
static void what_is_for_others_does_not_stop_the_pages(void **state)
{
    char *roles[] = {"secretary"}, id[16];
    Yizhan__V1__NoticeAudience secretaries = for_roles(roles, 1);
    Yizhan__V1__NoticeListRequest request = YIZHAN__V1__NOTICE_LIST_REQUEST__INIT;
    Yizhan__V1__NoticeUnreadRequest all = YIZHAN__V1__NOTICE_UNREAD_REQUEST__INIT;
    const struct yz_actor plain = {"t1", "u1", "i/b1", "member"},
                          secretary = {"t1", "u2", "i/b1", "member,secretary@i/b1"};
    Yizhan__V1__NoticeListReply *reply;
    Yizhan__V1__NoticeUnreadReply *unread;
    uint32_t seen = 0, pages = 0;
    struct drive d;

    (void)state;
    drive_init(&d);
    publish(&d, "first", "i", NULL, YIZHAN__V1__NOTICE_CLASS__INFO);
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "i%d", i);
        publish(&d, id, i % 2 ? "i" : "i/b1", &secretaries, YIZHAN__V1__NOTICE_CLASS__INFO);
        if (i == MANY / 2)
            publish(&d, "middle", "i/b1", NULL, YIZHAN__V1__NOTICE_CLASS__CONFIRM);
    }
    publish(&d, "last", "i", NULL, YIZHAN__V1__NOTICE_CLASS__INFO);
    read_by(&d, "last", "u1", "i/b1");
    write_documents(&d);
    do {
        assert_int_equal(ask(&plain, "notice.list", &request.base, &reply), YZ_OK);
        for (size_t i = 0; i < reply->n_notices; i++)
            assert_int_equal(reply->notices[i]->mine->read,
                             strcmp(reply->notices[i]->notice_id, "last") == 0);
        seen += (uint32_t)reply->n_notices;
        request.before = reply->next_before;
        pages++;
    } while (request.before && pages < 10);
    assert_int_equal(seen, 3);
    assert_int_equal(ask(&plain, "notice.unread", &all.base, &unread), YZ_OK);
    assert_int_equal(unread->unread, 2);
    assert_int_equal(unread->unconfirmed, 1);
    assert_false(unread->more); /* 650 of each org were looked at, and it has no more */
    /* The count is of the newest 1,000, and says so. */
    assert_int_equal(ask(&secretary, "notice.unread", &all.base, &unread), YZ_OK);
    assert_int_equal(unread->unread, 1000);
    assert_true(unread->more);
    all.after = 100 + MANY + 1; /* the newest alone */
    assert_int_equal(ask(&secretary, "notice.unread", &all.base, &unread), YZ_OK);
    assert_int_equal(unread->unread, 1);
    assert_false(unread->more);
    all.after = 100 + MANY + 1 - 1000; /* 1,001 of them */
    assert_int_equal(ask(&secretary, "notice.unread", &all.base, &unread), YZ_OK);
    assert_int_equal(unread->unread, 1000);
    assert_true(unread->more);
    all.after++;
    assert_int_equal(ask(&secretary, "notice.unread", &all.base, &unread), YZ_OK);
    assert_int_equal(unread->unread, 1000);
    assert_false(unread->more);
}

static void who_may_see_what_waits(void **state)
{
    Yizhan__V1__NoticePendingRequest request = YIZHAN__V1__NOTICE_PENDING_REQUEST__INIT;
    Yizhan__V1__NoticeGetRequest get = YIZHAN__V1__NOTICE_GET_REQUEST__INIT;
    const struct yz_actor chief = {"t1", "s2", "p", "member,secretary@p"},
                          author = {"t1", "s1", "w", "member"},
                          reader = {"t1", "u1", "p/q/b1", "member"},
                          foreign = {"t2", "s1", "p", "member,secretary@p"};
    Yizhan__V1__NoticePendingReply *pending;
    Yizhan__V1__NoticeGetReply *got;
    struct drive d;

    (void)state;
    drive_init(&d);
    publish(&d, "urgent1", "p/q", NULL, YIZHAN__V1__NOTICE_CLASS__URGENT);
    publish(&d, "urgent2", "p", NULL, YIZHAN__V1__NOTICE_CLASS__URGENT);
    publish(&d, "urgent3", "i", NULL, YIZHAN__V1__NOTICE_CLASS__URGENT);
    write_documents(&d);
    request.org_path = "p";
    assert_int_equal(ask(&chief, "notice.pending", &request.base, &pending), YZ_OK);
    assert_int_equal(pending->n_notices, 2);
    assert_string_equal(pending->notices[0]->notice_id, "urgent2");
    request.limit = 1;
    request.before = pending->notices[0]->sequence;
    assert_int_equal(ask(&chief, "notice.pending", &request.base, &pending), YZ_OK);
    assert_string_equal(pending->notices[0]->notice_id, "urgent1");
    get.notice_id = "urgent1";
    assert_int_equal(ask(&chief, "notice.get", &get.base, &got), YZ_OK);
    assert_int_equal(got->notice->state, YIZHAN__V1__NOTICE_STATE__NOTICE_PENDING);
    assert_int_equal(ask(&author, "notice.get", &get.base, &got), YZ_OK);
    assert_int_equal(ask(&reader, "notice.get", &get.base, &got), YZ_NOT_FOUND);
    assert_int_equal(ask(&foreign, "notice.get", &get.base, &got), YZ_NOT_FOUND);
}

static void recall(struct drive *d, const char *id)
{
    Yizhan__V1__NoticeRecalled r = YIZHAN__V1__NOTICE_RECALLED__INIT;

    r.notice_id = (char *)(uintptr_t)id;
    r.reason = "时间有误";
    assert_int_equal(drive(d, "s1", "w", "notice.recalled", &r.base), YZ_OK);
}

static void what_was_recalled_before_it_was_approved_is_shown_to_no_reader(void **state)
{
    Yizhan__V1__NoticeGetRequest get = YIZHAN__V1__NOTICE_GET_REQUEST__INIT;
    const struct yz_actor chief = {"t1", "s2", "p", "member,secretary@p"},
                          author = {"t1", "s1", "w", "member"},
                          reader = {"t1", "u1", "p/r/b1", "member"};
    Yizhan__V1__NoticeGetReply *got;
    struct drive d;

    (void)state;
    drive_init(&d);
    publish(&d, "dropped", "p/r", NULL, YIZHAN__V1__NOTICE_CLASS__URGENT);
    recall(&d, "dropped");
    publish(&d, "seen", "p/r", NULL, YIZHAN__V1__NOTICE_CLASS__INFO);
    recall(&d, "seen");
    write_documents(&d);
    get.notice_id = "dropped";
    assert_int_equal(ask(&reader, "notice.get", &get.base, &got), YZ_NOT_FOUND);
    assert_int_equal(ask(&author, "notice.get", &get.base, &got), YZ_OK);
    assert_int_equal(ask(&chief, "notice.get", &get.base, &got), YZ_OK);
    assert_int_equal(got->notice->state, YIZHAN__V1__NOTICE_STATE__NOTICE_RECALLED);
    get.notice_id = "seen";
    assert_int_equal(ask(&reader, "notice.get", &get.base, &got), YZ_OK);
    assert_int_equal(got->notice->state, YIZHAN__V1__NOTICE_STATE__NOTICE_RECALLED);
}

/* A reader learns whom it is for, and not who was left out. */
static void who_was_left_out_is_not_told_to_readers(void **state)
{
    static const struct {
        struct yz_actor actor;
        size_t left_out;
    } cases[] = {
        {{"t1", "u1", "i/x/b1", "member,secretary@i/x/b1"}, 0},
        {{"t1", "u2", "i/x/b1", "member,inspector@i/x"}, 2},
        {{"t1", "s2", "i/x", "member,secretary@i"}, 2},
        {{"t1", "s1", "w", "member"}, 2},
    };
    char *roles[] = {"secretary", "inspector"}, *exclude[] = {"u8", "u9"};
    Yizhan__V1__NoticeAudience audience = for_roles(roles, 2);
    Yizhan__V1__NoticeListRequest list = YIZHAN__V1__NOTICE_LIST_REQUEST__INIT;
    Yizhan__V1__NoticeGetRequest get = YIZHAN__V1__NOTICE_GET_REQUEST__INIT;
    Yizhan__V1__NoticeListReply *listed;
    Yizhan__V1__NoticeGetReply *got;
    struct drive d;

    (void)state;
    drive_init(&d);
    d.sequence = 100000; /* the newest of all */
    audience.exclude = exclude;
    audience.n_exclude = 2;
    publish(&d, "without", "i/x", &audience, YIZHAN__V1__NOTICE_CLASS__INFO);
    write_documents(&d);
    get.notice_id = "without";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ask(&cases[i].actor, "notice.get", &get.base, &got), YZ_OK);
        assert_int_equal(got->notice->audience->n_roles, 2);
        assert_int_equal(got->notice->audience->n_exclude, cases[i].left_out);
    }
    assert_int_equal(ask(&cases[0].actor, "notice.list", &list.base, &listed), YZ_OK);
    assert_true(listed->n_notices > 0);
    assert_string_equal(listed->notices[0]->notice_id, "without");
    assert_int_equal(listed->notices[0]->audience->n_roles, 2);
    assert_int_equal(listed->notices[0]->audience->n_exclude, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_tells_every_branch_once),
        cmocka_unit_test(a_report_of_several_orgs_goes_on_where_it_stopped),
        cmocka_unit_test(a_report_of_a_role_is_bounded_work),
        cmocka_unit_test(the_unread_come_in_pages),
        cmocka_unit_test(what_is_for_others_does_not_stop_the_pages),
        cmocka_unit_test(who_may_see_what_waits),
        cmocka_unit_test(what_was_recalled_before_it_was_approved_is_shown_to_no_reader),
        cmocka_unit_test(who_was_left_out_is_not_told_to_readers),
    };

    return cmocka_run_group_tests(tests, query_rig_start, query_rig_stop);
}
