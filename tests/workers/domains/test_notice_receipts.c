/* Receipts: against a naive model, their size, members who get a place, replays. */
#include "branch_rig.h"
#include "drive.h"

#include "workers/domains/notice.h"

#include <notice.pb-c.h>
#include <stdio.h>

#define BRANCH   "g1/c1/b1"
#define MEMBERS  40 /* of whom the first LISTED stand on the roster */
#define LISTED   30
#define NOTICES  5
#define RECEIPTS "t1|n0|" BRANCH

/* A branch of `count` members m0, m1, …; a place is not a number of order. */
static bson_t *roster(unsigned count)
{
    bson_t *document = bson_new();
    struct branch_rig branch;
    char name[16];

    branch_begin(&branch, document, BRANCH);
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "m%u", i);
        branch_enrol(&branch, &(struct branch_entry){.member = name,
                                                     .place = (int32_t)(i * 3 + 1),
                                                     .kind = "FULL",
                                                     .roles = i % 10 == 0 ? "secretary" : ""});
    }
    branch_end(&branch);
    return document;
}

static void set_roster(struct drive *d, unsigned count)
{
    bson_t *branch = roster(count);

    wk_fold_preset(d->fold, WK_BRANCHES, "t1|" BRANCH, branch, 1);
    bson_destroy(branch);
}

static void publish(struct drive *d, const char *notice_id, const char *org_path)
{
    Yizhan__V1__NoticePublished n = YIZHAN__V1__NOTICE_PUBLISHED__INIT;

    n.notice_id = (char *)(uintptr_t)notice_id;
    n.org_path = (char *)(uintptr_t)org_path;
    n.notice_class = YIZHAN__V1__NOTICE_CLASS__CONFIRM;
    n.title = "通知";
    assert_int_equal(drive(d, "s1", "g1", "notice.published", &n.base), YZ_OK);
}

static enum yz_err give(struct drive *d, enum wk_receipt receipt, const char *notice_id,
                        const char *member)
{
    Yizhan__V1__NoticeReceived received = YIZHAN__V1__NOTICE_RECEIVED__INIT;
    Yizhan__V1__NoticeRead read = YIZHAN__V1__NOTICE_READ__INIT;
    Yizhan__V1__NoticeConfirmed confirmed = YIZHAN__V1__NOTICE_CONFIRMED__INIT;
    char *id = (char *)(uintptr_t)notice_id;

    if (receipt == WK_DELIVERED) {
        received.notice_ids = &id;
        received.n_notice_ids = 1;
        return drive(d, member, BRANCH, "notice.received", &received.base);
    }
    read.notice_id = confirmed.notice_id = id;
    return receipt == WK_READ ? drive(d, member, BRANCH, "notice.read", &read.base)
                              : drive(d, member, BRANCH, "notice.confirmed", &confirmed.base);
}

/* The naive model: what each member did with each notice. */
struct model {
    bool done[NOTICES][MEMBERS][WK_RECEIPTS];
    int64_t confirmed_ms[NOTICES][MEMBERS];
};

static void tell_model(struct model *model, unsigned notice, unsigned member,
                       enum wk_receipt receipt, int64_t now_ms)
{
    if (receipt == WK_CONFIRMED && !model->done[notice][member][WK_CONFIRMED])
        model->confirmed_ms[notice][member] = now_ms;
    for (int r = 0; r <= (int)receipt; r++)
        model->done[notice][member][r] = true;
}

static void compare(struct drive *d, const struct model *model, unsigned notice, unsigned listed)
{
    bson_t *branch = roster(listed);
    struct wk_receipt_counts counts, given, want = {.should = listed};
    const bson_t *receipts, *document;
    char id[WK_ID_MAX];

    snprintf(id, sizeof id, "t1|n%u", notice);
    document = drive_document(d, WK_NOTICES, id);
    snprintf(id, sizeof id, "t1|n%u|" BRANCH, notice);
    receipts = drive_document(d, WK_NOTICE_RECEIPTS, id);
    for (unsigned m = 0; m < MEMBERS; m++) {
        struct wk_branch_member entry;
        char name[16];
        bool known;

        snprintf(name, sizeof name, "m%u", m);
        known = wk_branch_find(branch, name, &entry);
        want.should += !known && model->done[notice][m][WK_DELIVERED];
        for (enum wk_receipt r = 0; r < WK_RECEIPTS; r++) {
            want.done[r] += model->done[notice][m][r];
            assert_int_equal(wk_receipts_has(receipts, r, name, known ? &entry : NULL),
                             model->done[notice][m][r]);
        }
        assert_int_equal(wk_receipts_confirmed_ms(receipts, name, known ? &entry : NULL),
                         model->confirmed_ms[notice][m]);
    }
    counts = wk_receipts_count(document, branch, receipts);
    given = wk_receipts_given(receipts);
    assert_memory_equal(&counts, &want, sizeof counts);
    assert_memory_equal(given.done, want.done, sizeof given.done);
    bson_destroy(branch);
}

/* xorshift: the same runs everywhere. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Any order of reports, duplicates among them; in the middle ten more members get a place. */
static void counts_are_those_of_a_naive_model(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 8; seed++) {
        struct model *model = calloc(1, sizeof *model);
        unsigned listed = LISTED - 10;
        uint32_t random = seed * 2654435761U;
        struct drive d;

        drive_init(&d);
        set_roster(&d, listed);
        for (unsigned n = 0; n < NOTICES; n++) {
            char id[8];

            snprintf(id, sizeof id, "n%u", n);
            publish(&d, id, "g1/c1");
        }
        for (int step = 0; step < 600; step++) {
            unsigned notice = next_random(&random) % NOTICES,
                     member = next_random(&random) % MEMBERS;
            enum wk_receipt receipt = (enum wk_receipt)(next_random(&random) % WK_RECEIPTS);
            char id[16], name[16];

            if (step == 300)
                set_roster(&d, listed = LISTED);
            snprintf(id, sizeof id, "n%u", notice);
            snprintf(name, sizeof name, "m%u", member);
            d.now_ms++;
            assert_int_equal(give(&d, receipt, id, name), YZ_OK);
            tell_model(model, notice, member, receipt, d.now_ms);
            compare(&d, model, notice, listed);
        }
        drive_deinit(&d);
        free(model);
    }
}

static uint32_t set_bytes(const bson_t *receipts, const char *name)
{
    const uint8_t *bytes;
    bson_subtype_t subtype;
    uint32_t len = 0;
    bson_iter_t it;

    if (bson_iter_init_find(&it, receipts, name) && BSON_ITER_HOLDS_BINARY(&it))
        bson_iter_binary(&it, &subtype, &len, &bytes);
    return len;
}

/* Tenant L: 500,000 members in 40,000 branches, of 12 or 13 members each. All of them have
 * received and read: a set is a bit for each, rounded up to bytes in each branch. */
static void a_notice_to_half_a_million_is_small(void **state)
{
    size_t sets = 0, whole = 0, lists = 0, members = 0;

    (void)state;
    for (unsigned b = 0; b < 40000; b++) {
        unsigned count = 12 + b % 2;
        bson_t *receipts = NULL, *next, naive = BSON_INITIALIZER;
        struct wk_receipt_counts given;

        for (unsigned i = 0; i < count; i++) {
            const struct wk_branch_member entry = {.member = "", .place = i, .roles = ""};

            next = wk_receipts_with(receipts, "01JNA7V0M1A2B3C4D5E6F7G8H9", "g1/c12/b345", WK_READ,
                                    "m123456", &entry, DRIVE_START, &given);
            assert_non_null(next);
            if (receipts)
                bson_destroy(receipts);
            receipts = next;
        }
        assert_int_equal(given.done[WK_READ], count);
        members += count;
        sets += set_bytes(receipts, "read");
        assert_int_equal(set_bytes(receipts, "delivered"), set_bytes(receipts, "read"));
        assert_int_equal(set_bytes(receipts, "confirmed"), 0);
        whole += wk_document_size(receipts);
        BSON_APPEND_UTF8(&naive, "m", "m123456");
        BSON_APPEND_DATE_TIME(&naive, "t", DRIVE_START);
        lists += count * (size_t)wk_document_size(&naive);
        bson_destroy(&naive);
        bson_destroy(receipts);
    }
    assert_int_equal(members, 500000);
    print_message("500,000 receipts: a set %zu bytes, all documents %zu, as a list %zu\n", sets,
                  whole, lists);
    assert_true(sets <= 80000);
    assert_true(whole < 7000000);
    assert_true(whole * 2 < lists);
}

/* Which receipts of the member a roster does not know stand in the list, and where they are once
 * it does. */
static void who_gets_a_place_leaves_the_list(void **state)
{
    struct wk_other_receipt other;
    struct wk_branch_walk walk;
    const bson_t *receipts;
    struct drive d;

    (void)state;
    drive_init(&d);
    publish(&d, "n0", BRANCH);
    assert_int_equal(give(&d, WK_CONFIRMED, "n0", "m0"), YZ_OK);
    receipts = drive_document(&d, WK_NOTICE_RECEIPTS, RECEIPTS);
    assert_int_equal(set_bytes(receipts, "confirmed"), 0);
    wk_receipts_others(receipts, &walk);
    assert_true(wk_receipts_next_other(&walk, &other));
    assert_string_equal(other.member, "m0");
    assert_true(other.read);
    assert_int_equal(other.confirmed_ms, DRIVE_START);
    set_roster(&d, 1);
    d.now_ms++;
    assert_int_equal(give(&d, WK_DELIVERED, "n0", "m0"), YZ_OK);
    receipts = drive_document(&d, WK_NOTICE_RECEIPTS, RECEIPTS);
    assert_int_equal(set_bytes(receipts, "confirmed"), 1);
    wk_receipts_others(receipts, &walk);
    assert_false(wk_receipts_next_other(&walk, &other));
    drive_deinit(&d);
}

/* A report of many: those that do not concern the member are passed over. */
static void one_report_speaks_of_many(void **state)
{
    Yizhan__V1__NoticeReceived received = YIZHAN__V1__NOTICE_RECEIVED__INIT;
    char *ids[] = {"none", "n0", "foreign", "n1"};
    struct drive d;
    size_t count;

    (void)state;
    drive_init(&d);
    set_roster(&d, 2);
    publish(&d, "n0", BRANCH);
    publish(&d, "n1", "g1");
    publish(&d, "foreign", "g1/c2");
    received.notice_ids = ids;
    received.n_notice_ids = 4;
    assert_int_equal(drive(&d, "m1", BRANCH, "notice.received", &received.base), YZ_OK);
    (void)wk_fold_values(d.fold, &count);
    assert_int_equal(count, 2);
    assert_int_equal(set_bytes(drive_document(&d, WK_NOTICE_RECEIPTS, RECEIPTS), "delivered"), 1);
    assert_non_null(drive_document(&d, WK_NOTICE_RECEIPTS, "t1|n1|" BRANCH));
    assert_null(drive_document(&d, WK_NOTICE_RECEIPTS, "t1|foreign|" BRANCH));
    received.n_notice_ids = 1;
    assert_int_equal(drive(&d, "m1", BRANCH, "notice.received", &received.base), YZ_NOT_FOUND);
    assert_string_equal(d.v.field, "noticeIds[0]");
    ids[0] = "foreign";
    assert_int_equal(drive(&d, "m1", BRANCH, "notice.received", &received.base),
                     YZ_NOT_IN_AUDIENCE);
    drive_deinit(&d);
}

/* The counts leave out who went, who is excluded and who has none of its roles. */
static void only_the_addressed_are_counted(void **state)
{
    char *roles[] = {"secretary"}, *exclude[] = {"m10"};
    Yizhan__V1__NoticePublished n = YIZHAN__V1__NOTICE_PUBLISHED__INIT;
    Yizhan__V1__NoticeAudience audience = YIZHAN__V1__NOTICE_AUDIENCE__INIT;
    bson_t *branch = roster(LISTED);
    struct wk_receipt_counts counts;
    struct drive d;

    (void)state;
    drive_init(&d);
    n.notice_id = "n0";
    n.org_path = "g1";
    n.notice_class = YIZHAN__V1__NOTICE_CLASS__INFO;
    n.title = "通知";
    n.audience = &audience;
    audience.roles = roles;
    audience.n_roles = 1;
    audience.exclude = exclude;
    audience.n_exclude = 1;
    assert_int_equal(drive(&d, "s1", "g1", "notice.published", &n.base), YZ_OK);
    counts = wk_receipts_count(drive_document(&d, WK_NOTICES, "t1|n0"), branch, NULL);
    assert_int_equal(counts.should, 2); /* m0 and m20: m10 is excluded */
    bson_destroy(branch);
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_those_of_a_naive_model),
        cmocka_unit_test(a_notice_to_half_a_million_is_small),
        cmocka_unit_test(who_gets_a_place_leaves_the_list),
        cmocka_unit_test(one_report_speaks_of_many),
        cmocka_unit_test(only_the_addressed_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
