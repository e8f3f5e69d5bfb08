/* Who is appointed to handle complaints, under which key ids, and what becomes of their cases when
 * they are no longer. */
#include "workers/domains/complaint.h"

#include "drive.h"

#include <sodium.h>
#include <stdio.h>

#define RECEIPT "$r1$0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PLACE   "g1/c1/b1"
#define FROM    (DRIVE_START - 1000)
#define UNTIL   (DRIVE_START + 1000 * WK_DAY_MS)

static uint8_t publics[4][32], box[64] = {7}, reply_key[32] = {9};
static char id[YZ_RECEIPT_CASE_MAX], document_id[WK_ID_MAX];

static ProtobufCBinaryData bytes(uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){len, data};
}

static void begin(struct drive *d)
{
    uint8_t secret[32];

    assert_true(sodium_init() >= 0);
    for (int i = 0; i < 4; i++)
        crypto_box_keypair(publics[i], secret);
    drive_init(d);
    yz_receipt_case(RECEIPT, id);
    wk_id(document_id, "t1", id, NULL);
}

struct term {
    const char *member, *org_path, *home, *key_id;
    int key;
    int64_t until_ms;
};

static enum yz_err appoint(struct drive *d, const struct term *term)
{
    Yizhan__V1__ComplaintHandlerRegistered m = YIZHAN__V1__COMPLAINT_HANDLER_REGISTERED__INIT;
    Google__Protobuf__Timestamp from = wk_timestamp(FROM);
    Google__Protobuf__Timestamp until = wk_timestamp(term->until_ms ? term->until_ms : UNTIL);

    m.org_path = (char *)(uintptr_t)term->org_path;
    m.member_id = (char *)(uintptr_t)term->member;
    m.home_path = (char *)(uintptr_t)term->home;
    m.key_id = (char *)(uintptr_t)term->key_id;
    m.public_key = bytes(publics[term->key], 32);
    m.from = &from;
    m.until = &until;
    return drive(d, "a1", "g1", "complaint.handler_registered", &m.base);
}

/* Said first, brought back behind a withdrawal: whoever was withdrawn stays so. */
static void test_an_appointment_that_comes_back_late(void **state)
{
    Yizhan__V1__ComplaintHandlerRegistered first = YIZHAN__V1__COMPLAINT_HANDLER_REGISTERED__INIT;
    Yizhan__V1__ComplaintHandlerRegistered end;
    Google__Protobuf__Timestamp from = wk_timestamp(FROM), until = wk_timestamp(UNTIL),
                                now = wk_timestamp(DRIVE_START + 1000);
    struct drive_past past;
    struct drive d;

    (void)state;
    begin(&d);
    first.org_path = "g1";
    first.member_id = "h1";
    first.home_path = "g1/office";
    first.key_id = "k1";
    first.public_key = bytes(publics[1], 32);
    first.from = &from;
    first.until = &until;
    assert_int_equal(drive(&d, "a1", "g1", "complaint.handler_registered", &first.base), YZ_OK);
    drive_keep(&d, &past);
    assert_int_equal(drive_bring_back(&d, &past), YZ_OK);
    d.now_ms += 1000;
    end = first;
    end.until = &now;
    assert_int_equal(drive(&d, "a1", "g1", "complaint.handler_registered", &end.base), YZ_OK);
    assert_int_equal(drive_bring_back(&d, &past), YZ_STALE_REVISION);
    assert_string_equal(d.v.field, "keyId");
    drive_deinit(&d);
}

static const struct term upper = {"h1", "g1", "g1/office", "k1", 1, 0};
static const struct term lower = {"h2", "g1/c1", "g1/c1/office", "k2", 2, 0};

static void refused(const struct drive *d, enum yz_err err, enum yz_err expected, const char *field)
{
    assert_string_equal(yz_err_code(err), yz_err_code(expected));
    assert_string_equal(d->v.field, field);
}

static const bson_t *stored(struct drive *d)
{
    const bson_t *complaint = drive_document(d, WK_COMPLAINTS, document_id);

    assert_non_null(complaint);
    return complaint;
}

struct boxes {
    Yizhan__V1__ComplaintSealed sealed, *list[1];
};

static void seal_to(const char *key_id, struct boxes *b)
{
    yizhan__v1__complaint_sealed__init(&b->sealed);
    b->sealed.key_id = (char *)(uintptr_t)key_id;
    b->sealed.sealed = bytes(box, sizeof box);
    b->list[0] = &b->sealed;
}

static enum yz_err file_to(struct drive *d, const char *const *key_ids, size_t count)
{
    Yizhan__V1__ComplaintFiled m = YIZHAN__V1__COMPLAINT_FILED__INIT;
    Yizhan__V1__ComplaintAccused accused = YIZHAN__V1__COMPLAINT_ACCUSED__INIT;
    Yizhan__V1__ComplaintSealed *list[2];
    struct boxes b[2];

    for (size_t i = 0; i < count; i++) {
        seal_to(key_ids[i], &b[i]);
        list[i] = &b[i].sealed;
    }
    accused.org_path = PLACE;
    accused.member_id = "u9";
    m.receipt = RECEIPT;
    m.org_path = PLACE;
    m.category = YIZHAN__V1__COMPLAINT__CATEGORY__CONDUCT;
    m.accused = &accused;
    m.content = list;
    m.n_content = count;
    m.reply_key = bytes(reply_key, sizeof reply_key);
    return drive(d, "", "", "complaint.filed", &m.base);
}

static enum yz_err file(struct drive *d, const char *key_id)
{
    return file_to(d, &key_id, 1);
}

static enum yz_err acknowledge(struct drive *d, const char *member)
{
    Yizhan__V1__ComplaintAcknowledged m = YIZHAN__V1__COMPLAINT_ACKNOWLEDGED__INIT;

    m.complaint_id = id;
    return drive(d, member, "g1", "complaint.acknowledged", &m.base);
}

static enum yz_err reply(struct drive *d, const char *member)
{
    Yizhan__V1__ComplaintReplied m = YIZHAN__V1__COMPLAINT_REPLIED__INIT;

    m.complaint_id = id;
    m.sealed = bytes(box, sizeof box);
    return drive(d, member, "g1", "complaint.replied", &m.base);
}

static enum yz_err ask(struct drive *d, const char *member)
{
    Yizhan__V1__ComplaintExtensionRequested m = YIZHAN__V1__COMPLAINT_EXTENSION_REQUESTED__INIT;

    m.complaint_id = id;
    m.days = 3;
    return drive(d, member, "g1", "complaint.extension_requested", &m.base);
}

static enum yz_err extend(struct drive *d, const char *member)
{
    Yizhan__V1__ComplaintExtended m = YIZHAN__V1__COMPLAINT_EXTENDED__INIT;

    m.complaint_id = id;
    m.days = 3;
    return drive(d, member, "g1", "complaint.extended", &m.base);
}

static enum yz_err resolve(struct drive *d, const char *member)
{
    Yizhan__V1__ComplaintResolved m = YIZHAN__V1__COMPLAINT_RESOLVED__INIT;

    m.complaint_id = id;
    m.result = YIZHAN__V1__COMPLAINT__RESULT__UPHELD;
    m.sealed = bytes(box, sizeof box);
    return drive(d, member, "g1", "complaint.resolved", &m.base);
}

/* By whom it was filed: about `org_path`, with or without the accused. NULL: not handed on. */
static enum yz_err add(struct drive *d, const char *key_id, const char *org_path,
                       const char *accused_path, const char *accused_member)
{
    Yizhan__V1__ComplaintMessageAdded m = YIZHAN__V1__COMPLAINT_MESSAGE_ADDED__INIT;
    Yizhan__V1__ComplaintAccused accused = YIZHAN__V1__COMPLAINT_ACCUSED__INIT;
    struct boxes b;

    seal_to(key_id, &b);
    m.receipt = RECEIPT;
    m.content = b.list;
    m.n_content = 1;
    if (org_path)
        m.org_path = (char *)(uintptr_t)org_path;
    if (accused_member) {
        accused.org_path = (char *)(uintptr_t)accused_path;
        accused.member_id = (char *)(uintptr_t)accused_member;
        m.accused = &accused;
    }
    return drive(d, "", "", "complaint.message_added", &m.base);
}

static enum yz_err hand_on(struct drive *d, const char *key_id)
{
    return add(d, key_id, PLACE, PLACE, "u9");
}

/* Of two levels of the tree, and of two trees of a tenant. */
static void test_a_key_id_is_one_key_everywhere(void **state)
{
    static const char *const others[] = {"g1/c1", "g1/c1/b1", "g1/c2", "g2", "g1"};
    struct term term = {.member = "h2", .home = "g1/office", .key_id = "k1", .key = 2};
    struct drive d;

    (void)state;
    begin(&d);
    assert_int_equal(appoint(&d, &upper), YZ_OK);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        term.org_path = others[i];
        refused(&d, appoint(&d, &term), YZ_EXISTS, "keyId");
        term.member = "h1"; /* the same member, another key */
        refused(&d, appoint(&d, &term), YZ_EXISTS, "keyId");
        term.member = "h2"; /* another member, the same key */
        term.key = 1;
        refused(&d, appoint(&d, &term), YZ_EXISTS, "keyId");
        term.key = 2;
    }
    assert_null(drive_document(&d, WK_COMPLAINT_HANDLERS, "t1|g1/c1"));
    assert_int_equal(appoint(&d, &lower), YZ_OK);
    assert_int_equal(file(&d, "k2"), YZ_OK);
    assert_true(wk_complaint_lists(stored(&d), "handlers", "h2"));
    assert_false(wk_complaint_lists(stored(&d), "handlers", "h1"));
    drive_deinit(&d);
}

/* One who handles for two orgs has one key for both, and stays its owner when its time is over. */
static void test_a_key_id_is_never_given_anew(void **state)
{
    struct term term = upper;
    struct drive d;

    (void)state;
    begin(&d);
    assert_int_equal(appoint(&d, &upper), YZ_OK);
    term.org_path = "g1/c1";
    assert_int_equal(appoint(&d, &term), YZ_OK);
    term.until_ms = FROM + 1;
    assert_int_equal(appoint(&d, &term), YZ_OK);
    term.org_path = "g1";
    assert_int_equal(appoint(&d, &term), YZ_OK);
    term.member = "h2";
    term.key = 2;
    refused(&d, appoint(&d, &term), YZ_EXISTS, "keyId");
    drive_deinit(&d);
}

static void test_a_member_has_so_many_terms(void **state)
{
    struct term term = upper;
    char org_path[16];
    struct drive d;

    (void)state;
    begin(&d);
    term.org_path = org_path;
    for (int i = 0; i < 64; i++) {
        snprintf(org_path, sizeof org_path, "g1/c%d", i);
        assert_int_equal(appoint(&d, &term), YZ_OK);
    }
    assert_int_equal(appoint(&d, &term), YZ_OK); /* the same again */
    snprintf(org_path, sizeof org_path, "g1/more");
    refused(&d, appoint(&d, &term), YZ_TOO_MANY, "memberId");
    drive_deinit(&d);
}

/* As documents may be that are older than the rule: nobody gets such a box. */
static void test_a_key_id_of_two_keys_is_nobodys(void **state)
{
    struct drive d;
    bson_t *older;

    (void)state;
    begin(&d);
    assert_int_equal(appoint(&d, &lower), YZ_OK);
    assert_int_equal(appoint(&d, &upper), YZ_OK);
    older = BCON_NEW("handlers", "[", "{", "m", "h9", "h", "g1/office", "i", "k2", "p",
                     BCON_BIN(BSON_SUBTYPE_BINARY, publics[3], 32), "f", BCON_DATE_TIME(FROM), "u",
                     BCON_DATE_TIME(UNTIL), "}", "{", "m", "h1", "h", "g1/office", "i", "k1", "p",
                     BCON_BIN(BSON_SUBTYPE_BINARY, publics[1], 32), "f", BCON_DATE_TIME(FROM), "u",
                     BCON_DATE_TIME(UNTIL), "}", "]");
    wk_fold_preset(d.fold, WK_COMPLAINT_HANDLERS, "t1|g1", older, d.sequence++);
    bson_destroy(older);
    refused(&d, file(&d, "k2"), YZ_KEY_NOT_ELIGIBLE, "content[0].keyId");
    assert_int_equal(file(&d, "k1"), YZ_OK);
    drive_deinit(&d);
}

static void withdraw_at(struct drive *d, const struct term *term, int64_t until_ms)
{
    struct term over = *term;

    over.until_ms = until_ms;
    assert_int_equal(appoint(d, &over), YZ_OK);
}

/* The same key, with an end that is over. */
static void withdraw(struct drive *d, const struct term *term)
{
    withdraw_at(d, term, d->now_ms);
}

/* Filed to h2, who began; h1 above may approve. */
static void begin_case(struct drive *d)
{
    begin(d);
    assert_int_equal(appoint(d, &upper), YZ_OK);
    assert_int_equal(appoint(d, &lower), YZ_OK);
    assert_int_equal(file(d, "k2"), YZ_OK);
}

static void test_who_is_withdrawn_does_nothing_more(void **state)
{
    struct drive d;

    (void)state;
    begin_case(&d);
    assert_int_equal(acknowledge(&d, "h2"), YZ_OK);
    assert_int_equal(ask(&d, "h2"), YZ_OK);
    d.now_ms += WK_DAY_MS;
    withdraw(&d, &lower);
    withdraw(&d, &upper);
    refused(&d, acknowledge(&d, "h2"), YZ_NOT_APPOINTED, "complaintId");
    refused(&d, reply(&d, "h2"), YZ_NOT_APPOINTED, "complaintId");
    refused(&d, ask(&d, "h2"), YZ_NOT_APPOINTED, "complaintId");
    refused(&d, resolve(&d, "h2"), YZ_NOT_APPOINTED, "complaintId");
    refused(&d, extend(&d, "h1"), YZ_NOT_APPOINTED, "complaintId");
    refused(&d, add(&d, "k2", NULL, NULL, NULL), YZ_KEY_NOT_ELIGIBLE, "content[0].keyId");
    /* Somewhere else is not here; here again is. */
    assert_int_equal(appoint(&d, &(struct term){"h2", "g1/c2", "g1/c1/office", "k2", 2, 0}), YZ_OK);
    refused(&d, reply(&d, "h2"), YZ_NOT_APPOINTED, "complaintId");
    assert_int_equal(appoint(&d, &lower), YZ_OK);
    assert_int_equal(reply(&d, "h2"), YZ_OK);
    drive_deinit(&d);
}

/* An end that comes by itself is one. */
static void test_a_term_ends(void **state)
{
    struct term term = lower;
    struct drive d;

    (void)state;
    begin(&d);
    term.until_ms = DRIVE_START + 10 * WK_DAY_MS;
    assert_int_equal(appoint(&d, &term), YZ_OK);
    assert_int_equal(file(&d, "k2"), YZ_OK);
    d.now_ms = term.until_ms - 1;
    assert_int_equal(acknowledge(&d, "h2"), YZ_OK);
    d.now_ms++;
    refused(&d, reply(&d, "h2"), YZ_NOT_APPOINTED, "complaintId");
    drive_deinit(&d);
}

static void test_it_is_handed_on_to_the_successor(void **state)
{
    static const struct term successor = {"h3", "g1/c1", "g1/c1/office", "k3", 3, 0};
    Yizhan__V1__ComplaintUpdated *updated;
    struct drive d;
    size_t before;

    (void)state;
    begin_case(&d);
    d.now_ms += WK_DAY_MS;
    withdraw(&d, &lower);
    assert_int_equal(appoint(&d, &successor), YZ_OK);
    refused(&d, acknowledge(&d, "h3"), YZ_NOT_FOUND, "complaintId"); /* not by itself */
    refused(&d, add(&d, "k3", NULL, NULL, NULL), YZ_KEY_NOT_ELIGIBLE, "content[0].keyId");
    before = drive_push_count(&d);
    assert_int_equal(hand_on(&d, "k3"), YZ_OK);
    updated = (Yizhan__V1__ComplaintUpdated *)drive_last_push(&d, "member.h3", "complaint.updated");
    assert_int_equal(updated->kind, YIZHAN__V1__COMPLAINT_UPDATED__KIND__MESSAGE);
    yizhan__v1__complaint_updated__free_unpacked(updated, NULL);
    assert_int_equal(drive_push_count(&d), before + 2);
    assert_int_equal(wk_document_number(stored(&d), "entries"), 2);
    assert_string_equal(wk_document_text(stored(&d), "routed_to"), "g1/c1");
    assert_int_equal(acknowledge(&d, "h3"), YZ_OK);
    assert_int_equal(ask(&d, "h3"), YZ_OK);
    assert_int_equal(extend(&d, "h1"), YZ_OK);
    assert_int_equal(add(&d, "k3", NULL, NULL, NULL), YZ_OK); /* from now on as usual */
    assert_int_equal(reply(&d, "h3"), YZ_OK);
    assert_int_equal(resolve(&d, "h3"), YZ_OK);
    drive_deinit(&d);
}

/* Once is enough: said again, or applied again, the lists are as they were. */
static void test_handing_on_twice_changes_nothing(void **state)
{
    Yizhan__V1__ComplaintMessageAdded m = YIZHAN__V1__COMPLAINT_MESSAGE_ADDED__INIT;
    Yizhan__V1__ComplaintAccused accused = YIZHAN__V1__COMPLAINT_ACCUSED__INIT;
    struct wk_event event;
    bson_iter_t entries;
    struct boxes b;
    struct drive d;
    size_t count;

    (void)state;
    begin_case(&d);
    assert_int_equal(hand_on(&d, "k1"), YZ_NEAREST_MISSING);
    assert_string_equal(d.v.field, "content");
    withdraw(&d, &lower);
    d.now_ms += WK_DAY_MS;
    assert_int_equal(hand_on(&d, "k1"), YZ_OK);
    seal_to("k1", &b);
    accused.org_path = PLACE;
    accused.member_id = "u9";
    m.receipt = RECEIPT;
    m.org_path = PLACE;
    m.accused = &accused;
    m.content = b.list;
    m.n_content = 1;
    event = d.event;
    event.payload = &m.base;
    assert_int_equal(drive_apply(&d, &event), YZ_OK);
    assert_int_equal(hand_on(&d, "k1"), YZ_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_true(wk_document_array(
            stored(&d), ((const char *[]){"handlers", "keys", "approvers"})[i], &entries));
        for (count = 0; bson_iter_next(&entries); count++)
            ;
        assert_int_equal(count, 2);
    }
    assert_int_equal(wk_document_number(stored(&d), "entries"), 3);
    drive_deinit(&d);
}

/* Not to the accused, by naming somebody else; not to who was never eligible. */
static void test_it_is_handed_on_as_it_was_filed(void **state)
{
    static const struct term accused = {"u9", "g1", "g1/office", "k3", 3, 0};
    struct drive d;

    (void)state;
    begin_case(&d);
    assert_int_equal(appoint(&d, &accused), YZ_OK);
    refused(&d, hand_on(&d, "k3"), YZ_KEY_NOT_ELIGIBLE, "content[0].keyId");
    refused(&d, hand_on(&d, "k9"), YZ_KEY_NOT_ELIGIBLE, "content[0].keyId");
    refused(&d, add(&d, "k3", "g1/c1", PLACE, "u9"), YZ_INVALID_VALUE, "orgPath");
    refused(&d, add(&d, "k3", PLACE, PLACE, "u8"), YZ_INVALID_VALUE, "accused");
    refused(&d, add(&d, "k3", PLACE, PLACE, ""), YZ_INVALID_VALUE, "accused");
    refused(&d, add(&d, "k3", PLACE, "g1/c2", "u9"), YZ_INVALID_VALUE, "accused");
    refused(&d, add(&d, "k3", PLACE, NULL, NULL), YZ_INVALID_VALUE, "accused");
    drive_deinit(&d);
}

/* A case filed to these keys within the hour that begins now, in which h2's term ends; "": refused.
 */
static void expect_route(const char *const *key_ids, size_t count, int64_t until_ms,
                         const char *routed_to)
{
    struct term term = lower;
    struct drive d;

    begin(&d);
    term.until_ms = until_ms;
    assert_int_equal(appoint(&d, &upper), YZ_OK);
    assert_int_equal(appoint(&d, &term), YZ_OK);
    if (*routed_to) {
        assert_int_equal(file_to(&d, key_ids, count), YZ_OK);
        assert_string_equal(wk_document_text(stored(&d), "routed_to"), routed_to);
    } else {
        refused(&d, file_to(&d, key_ids, count), YZ_NEAREST_MISSING, "content");
    }
    drive_deinit(&d);
}

/* When within the hour it was filed is not known, nor who was shown as the nearest then. */
static void test_who_was_nearest_within_the_hour_is(void **state)
{
    static const char *const both[] = {"k1", "k2"};
    const int64_t ten_past_ms = DRIVE_START + 600000, next_ms = DRIVE_START + WK_HOUR_MS;

    (void)state;
    expect_route(&both[0], 1, ten_past_ms, "g1");
    expect_route(&both[1], 1, ten_past_ms, "g1/c1");
    expect_route(both, 2, ten_past_ms, "g1/c1");
    expect_route(&both[0], 1, next_ms - 1, "g1");
    expect_route(&both[0], 1, next_ms, ""); /* there all the time */
    expect_route(&both[1], 1, next_ms, "g1/c1");
}

/* As at the filing: it is handed on above while the withdrawal's hour is not over. */
static void test_it_is_handed_on_in_the_same_hour(void **state)
{
    struct drive d;

    (void)state;
    begin_case(&d);
    d.now_ms += 2 * WK_HOUR_MS;
    withdraw_at(&d, &lower, d.now_ms + 600000);
    assert_int_equal(hand_on(&d, "k1"), YZ_OK);
    assert_true(wk_complaint_lists(stored(&d), "handlers", "h1"));
    assert_string_equal(wk_document_text(stored(&d), "routed_to"), "g1/c1");
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_appointment_that_comes_back_late),
        cmocka_unit_test(test_a_key_id_is_one_key_everywhere),
        cmocka_unit_test(test_a_key_id_is_never_given_anew),
        cmocka_unit_test(test_a_member_has_so_many_terms),
        cmocka_unit_test(test_a_key_id_of_two_keys_is_nobodys),
        cmocka_unit_test(test_who_is_withdrawn_does_nothing_more),
        cmocka_unit_test(test_a_term_ends),
        cmocka_unit_test(test_it_is_handed_on_to_the_successor),
        cmocka_unit_test(test_handing_on_twice_changes_nothing),
        cmocka_unit_test(test_it_is_handed_on_as_it_was_filed),
        cmocka_unit_test(test_who_was_nearest_within_the_hour_is),
        cmocka_unit_test(test_it_is_handed_on_in_the_same_hour),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
