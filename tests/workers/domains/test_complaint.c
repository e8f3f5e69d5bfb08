/* Complaints: who may do what when, what is stored and what is not, clocks and replays. */
#include "workers/domains/complaint.h"

#include "drive.h"
#include "workers/roster.h"

#include <sodium.h>
#include <stdio.h>

#define RECEIPT "$r1$0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER   "$r1$fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define PLACE   "g1/c1/b1"

static struct drive d;
static uint8_t publics[4][32], secrets[4][32]; /* of k0 to k3 */
static uint8_t box[64] = {7}, reply_key[32] = {9};
static char id[YZ_RECEIPT_CASE_MAX], document_id[WK_ID_MAX];

static ProtobufCBinaryData bytes(uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){len, data};
}

static int set_up(void **state)
{
    (void)state;
    assert_true(sodium_init() >= 0);
    for (int i = 0; i < 4; i++)
        crypto_box_keypair(publics[i], secrets[i]);
    drive_init(&d);
    yz_receipt_case(RECEIPT, id);
    wk_id(document_id, "t1", id, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drive_deinit(&d);
    return 0;
}

/* Handler h<n> with key k<n>. */
static enum yz_err register_handler(int n, const char *org_path, const char *home, bool independent)
{
    Yizhan__V1__ComplaintHandlerRegistered m = YIZHAN__V1__COMPLAINT_HANDLER_REGISTERED__INIT;
    Google__Protobuf__Timestamp from = wk_timestamp(DRIVE_START - 1000);
    Google__Protobuf__Timestamp until = wk_timestamp(DRIVE_START + 1000 * WK_DAY_MS);
    char member[8], key_id[8];

    snprintf(member, sizeof member, "h%d", n);
    snprintf(key_id, sizeof key_id, "k%d", n);
    m.org_path = (char *)(uintptr_t)org_path;
    m.member_id = member;
    m.home_path = (char *)(uintptr_t)home;
    m.key_id = key_id;
    m.public_key = bytes(publics[n], 32);
    m.from = &from;
    m.until = &until;
    m.independent = independent;
    return drive(&d, "a1", "g1", "complaint.handler_registered", &m.base);
}

static enum yz_err enroll(int n, const char *org_path, const char *home)
{
    return register_handler(n, org_path, home, false);
}

/* h0 and h1 over g1/c1, h2 over g1, h3 belongs to the branch itself. */
static void enroll_all(void)
{
    assert_int_equal(enroll(0, "g1/c1", "g1/c1/office"), YZ_OK);
    assert_int_equal(enroll(1, "g1/c1", "g1/c1/office"), YZ_OK);
    assert_int_equal(enroll(2, "g1", "g1/office"), YZ_OK);
    assert_int_equal(enroll(3, "g1", PLACE), YZ_OK);
}

static int set_up_handlers(void **state)
{
    set_up(state);
    enroll_all();
    return 0;
}

struct boxes {
    Yizhan__V1__ComplaintSealed sealed[4], *list[4];
    char key_ids[4][8];
    size_t count;
};

/* Sealed to the keys of this text: "01" are k0 and k1. */
static void seal_to(const char *keys, struct boxes *b)
{
    b->count = strlen(keys);
    for (size_t i = 0; i < b->count; i++) {
        yizhan__v1__complaint_sealed__init(&b->sealed[i]);
        snprintf(b->key_ids[i], sizeof b->key_ids[i], "k%c", keys[i]);
        b->sealed[i].key_id = b->key_ids[i];
        b->sealed[i].sealed = bytes(box, sizeof box);
        b->list[i] = &b->sealed[i];
    }
}

static enum yz_err file_as(const char *member, const char *keys,
                           Yizhan__V1__ComplaintAccused *accused)
{
    Yizhan__V1__ComplaintFiled m = YIZHAN__V1__COMPLAINT_FILED__INIT;
    const Yizhan__V1__ComplaintFiledNamed named = YIZHAN__V1__COMPLAINT_FILED_NAMED__INIT;
    struct boxes b;

    seal_to(keys, &b);
    m.receipt = RECEIPT;
    m.org_path = PLACE;
    m.category = YIZHAN__V1__COMPLAINT__CATEGORY__CONDUCT;
    m.accused = accused;
    m.content = b.list;
    m.n_content = b.count;
    m.reply_key = bytes(reply_key, sizeof reply_key);
    m.copy = bytes(box, sizeof box);
    if (*member)
        m.base = named.base; /* the same fields */
    return drive(&d, member, *member ? PLACE : "",
                 *member ? "complaint.filed_named" : "complaint.filed", &m.base);
}

static enum yz_err file(const char *keys)
{
    Yizhan__V1__ComplaintAccused accused = YIZHAN__V1__COMPLAINT_ACCUSED__INIT;

    accused.org_path = PLACE;
    accused.member_id = "u9";
    return file_as("", keys, &accused);
}

/* One about u9 for h0 alone. */
static int set_up_case(void **state)
{
    set_up_handlers(state);
    assert_int_equal(file("0"), YZ_OK);
    return 0;
}

static enum yz_err add(const char *receipt, const char *keys)
{
    Yizhan__V1__ComplaintMessageAdded m = YIZHAN__V1__COMPLAINT_MESSAGE_ADDED__INIT;
    struct boxes b;

    seal_to(keys, &b);
    m.receipt = (char *)(uintptr_t)receipt;
    m.content = b.list;
    m.n_content = b.count;
    return drive(&d, "", "", "complaint.message_added", &m.base);
}

static enum yz_err acknowledge(const char *member)
{
    Yizhan__V1__ComplaintAcknowledged m = YIZHAN__V1__COMPLAINT_ACKNOWLEDGED__INIT;

    m.complaint_id = id;
    return drive(&d, member, "g1", "complaint.acknowledged", &m.base);
}

static enum yz_err reply(const char *member, const char *keys)
{
    Yizhan__V1__ComplaintReplied m = YIZHAN__V1__COMPLAINT_REPLIED__INIT;
    struct boxes b;

    seal_to(keys, &b);
    m.complaint_id = id;
    m.sealed = bytes(box, sizeof box);
    m.copies = b.list;
    m.n_copies = b.count;
    return drive(&d, member, "g1", "complaint.replied", &m.base);
}

static enum yz_err ask(const char *member, uint32_t days)
{
    Yizhan__V1__ComplaintExtensionRequested m = YIZHAN__V1__COMPLAINT_EXTENSION_REQUESTED__INIT;

    m.complaint_id = id;
    m.days = days;
    return drive(&d, member, "g1", "complaint.extension_requested", &m.base);
}

static enum yz_err extend(const char *member, uint32_t days)
{
    Yizhan__V1__ComplaintExtended m = YIZHAN__V1__COMPLAINT_EXTENDED__INIT;

    m.complaint_id = id;
    m.days = days;
    return drive(&d, member, "g1", "complaint.extended", &m.base);
}

static enum yz_err resolve(const char *member)
{
    Yizhan__V1__ComplaintResolved m = YIZHAN__V1__COMPLAINT_RESOLVED__INIT;

    m.complaint_id = id;
    m.result = YIZHAN__V1__COMPLAINT__RESULT__UPHELD;
    m.sealed = bytes(box, sizeof box);
    return drive(&d, member, "g1", "complaint.resolved", &m.base);
}

static enum yz_err rate(const char *receipt, uint32_t rating)
{
    Yizhan__V1__ComplaintRated m = YIZHAN__V1__COMPLAINT_RATED__INIT;

    m.receipt = (char *)(uintptr_t)receipt;
    m.rating = rating;
    return drive(&d, "", "", "complaint.rated", &m.base);
}

static enum yz_err ring(Yizhan__V1__Complaint__Clock clock, int64_t due_ms, bool overdue)
{
    Yizhan__V1__ComplaintClockRung m = YIZHAN__V1__COMPLAINT_CLOCK_RUNG__INIT;
    Google__Protobuf__Timestamp due_at = wk_timestamp(due_ms);

    m.complaint_id = id;
    m.clock = clock;
    m.due_at = &due_at;
    m.overdue = overdue;
    return drive(&d, "", "", "complaint.clock_rung", &m.base);
}

static void refused(enum yz_err err, enum yz_err expected, const char *field)
{
    assert_string_equal(yz_err_code(err), yz_err_code(expected));
    assert_string_equal(d.v.field, field);
}

static const bson_t *stored(void)
{
    const bson_t *complaint = drive_document(&d, WK_COMPLAINTS, document_id);

    assert_non_null(complaint);
    return complaint;
}

static void expect_state(const char *state, int64_t entries)
{
    assert_string_equal(wk_document_text(stored(), "state"), state);
    assert_int_equal(wk_document_number(stored(), "entries"), entries);
}

static void expect_push(const char *channel, Yizhan__V1__ComplaintUpdated__Kind kind)
{
    Yizhan__V1__ComplaintUpdated *updated =
        (Yizhan__V1__ComplaintUpdated *)drive_last_push(&d, channel, "complaint.updated");

    assert_string_equal(updated->complaint_id, id);
    assert_int_equal(updated->kind, kind);
    yizhan__v1__complaint_updated__free_unpacked(updated, NULL);
}

static void test_filed_and_answered(void **state)
{
    (void)state;
    assert_int_equal(file("01"), YZ_OK);
    expect_state("FILED", 1);
    expect_push("member.h1", YIZHAN__V1__COMPLAINT_UPDATED__KIND__NEW);
    assert_int_equal(drive_push_count(&d), 2);
    assert_true(wk_complaint_lists(stored(), "handlers", "h0"));
    assert_true(wk_complaint_lists(stored(), "approvers", "h2"));
    assert_false(wk_complaint_lists(stored(), "approvers", "h3"));
    assert_string_equal(wk_document_text(stored(), "routed_to"), "g1/c1");
    assert_string_equal(wk_document_text(stored(), "rules"), "2026-1");
    assert_int_equal(acknowledge("h0"), YZ_OK);
    expect_state("ACKNOWLEDGED", 1);
    expect_push("member.h1", YIZHAN__V1__COMPLAINT_UPDATED__KIND__TAKEN);
    assert_int_equal(reply("h1", "01"), YZ_OK);
    expect_push("member.h0", YIZHAN__V1__COMPLAINT_UPDATED__KIND__ANSWER);
    assert_int_equal(add(RECEIPT, "0"), YZ_OK);
    expect_push("member.h1", YIZHAN__V1__COMPLAINT_UPDATED__KIND__MESSAGE);
    expect_state("ACKNOWLEDGED", 3);
    assert_int_equal(resolve("h0"), YZ_OK);
    expect_state("RESOLVED", 4);
    assert_int_equal(rate(RECEIPT, 4), YZ_OK);
    expect_state("RATED", 4);
    assert_int_equal(wk_document_number(stored(), "rating"), 4);
}

static void test_handlers_and_their_keys(void **state)
{
    (void)state;
    assert_int_equal(enroll(0, "g1/c1", "g1/c1/office"), YZ_OK); /* the same again */
    memcpy(publics[0], publics[1], 32);
    refused(enroll(0, "g1/c1", "g1/c1/office"), YZ_EXISTS, "keyId");
}

/* Who leads an org does not name the one to whom complaints about itself go. */
static void test_an_independent_handler_is_named_from_above(void **state)
{
    static const struct {
        const char *org_path, *roles;
        enum yz_err err;
    } cases[] = {
        {"g1/c1", "member,admin@g1/c1", YZ_FORBIDDEN},
        {"g1/c1", "member,secretary@g1,admin@g1/c1", YZ_FORBIDDEN},
        {"g1/c1", "member,admin@g", YZ_FORBIDDEN},
        {"g1/c1", "member,admin@g1/c1/b1", YZ_FORBIDDEN},
        {"g1/c1", "member,admin@g1", YZ_OK},
        {PLACE, "member,admin@g1/c1/b1", YZ_FORBIDDEN},
        {PLACE, "member,admin@g1/c1", YZ_OK},
        {"g1/c1/b2", "member,admin@g1", YZ_OK},
        {"g1", "member,admin@g1/c1", YZ_FORBIDDEN},
        {"g1", "member,admin@g1", YZ_OK}, /* nobody is above */
    };
    char handlers_id[WK_ID_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum yz_err err;

        d.roles = cases[i].roles;
        err = register_handler(0, cases[i].org_path, "g9", true);
        if (err != cases[i].err)
            fail_msg("%s over %s: %s", cases[i].roles, cases[i].org_path, yz_err_code(err));
        wk_id(handlers_id, "t1", cases[i].org_path, NULL);
        if (err)
            assert_string_equal(d.v.field, "independent");
        assert_int_equal(drive_document(&d, WK_COMPLAINT_HANDLERS, handlers_id) != NULL, !err);
    }
    d.roles = "member,admin@g1/c1";
    assert_int_equal(enroll(1, "g1/c1", "g1/c1/office"), YZ_OK); /* one that is not */
    /* The same key again would make it one like others. */
    refused(enroll(0, "g1/c1", "g9"), YZ_FORBIDDEN, "independent");
    refused(register_handler(0, "g1/c1", "g9", true), YZ_FORBIDDEN, "independent");
    d.roles = "member,admin@g1";
    assert_int_equal(enroll(0, "g1/c1", "g9"), YZ_OK);
    d.roles = "member,admin@g1/c1";
    assert_int_equal(enroll(0, "g1/c1", "g9"), YZ_OK); /* it is none any longer */
}

static void test_an_org_has_so_many_keys(void **state)
{
    Yizhan__V1__ComplaintHandlerRegistered m = YIZHAN__V1__COMPLAINT_HANDLER_REGISTERED__INIT;
    Google__Protobuf__Timestamp from = wk_timestamp(1000), until = wk_timestamp(2000);
    char key_id[8];

    (void)state;
    m.org_path = m.home_path = "g1";
    m.member_id = "h";
    m.key_id = key_id;
    m.public_key = bytes(publics[0], 32);
    m.from = &from;
    m.until = &until;
    for (int i = 0; i < 33; i++) {
        enum yz_err err;

        snprintf(key_id, sizeof key_id, "k%d", i);
        err = drive(&d, "a1", "g1", "complaint.handler_registered", &m.base);
        if (i < 32)
            assert_int_equal(err, YZ_OK);
        else
            refused(err, YZ_TOO_MANY, "orgPath");
    }
}

static void test_what_filing_is_refused_for(void **state)
{
    Yizhan__V1__ComplaintAccused top = YIZHAN__V1__COMPLAINT_ACCUSED__INIT;
    Yizhan__V1__ComplaintAccused handler = YIZHAN__V1__COMPLAINT_ACCUSED__INIT;

    (void)state;
    refused(file("0"), YZ_NO_HANDLER, "accused");
    refused(file_as("", "0", NULL), YZ_NO_HANDLER, "orgPath");
    enroll_all();
    refused(file("2"), YZ_NEAREST_MISSING, "content");
    refused(file("03"), YZ_KEY_NOT_ELIGIBLE, "content[1].keyId"); /* of the org itself */
    refused(file("9"), YZ_KEY_NOT_ELIGIBLE, "content[0].keyId");
    handler.member_id = "h0";
    refused(file_as("", "0", &handler), YZ_KEY_NOT_ELIGIBLE, "content[0].keyId");
    top.org_path = "g1";
    refused(file_as("", "2", &top), YZ_NO_HANDLER, "accused");
    assert_null(drive_document(&d, WK_COMPLAINTS, document_id));
    assert_int_equal(drive_push_count(&d), 0);
    assert_int_equal(file("0"), YZ_OK);
    refused(file("0"), YZ_RECEIPT_TAKEN, "receipt");
}

/* Nobody is accused: whoever is responsible for the org may handle it. */
static void test_without_an_accused(void **state)
{
    (void)state;
    refused(file_as("", "3", NULL), YZ_NEAREST_MISSING, "content");
    assert_int_equal(file_as("", "03", NULL), YZ_OK);
    assert_true(wk_complaint_lists(stored(), "handlers", "h3"));
}

static void test_a_receipt_that_opens_nothing(void **state)
{
    (void)state;
    refused(add(OTHER, "0"), YZ_NOT_FOUND, "receipt");
    refused(rate(OTHER, 3), YZ_NOT_FOUND, "receipt");
    refused(rate(RECEIPT, 3), YZ_NOT_RESOLVED, "receipt");
    refused(add(RECEIPT, "1"), YZ_KEY_NOT_ELIGIBLE, "content[0].keyId");
}

/* To an admin, a handler of others, a handler further up: it is not there. */
static void test_whom_it_is_not_given_to(void **state)
{
    static const char *const others[] = {"a1", "h1", "h2", "u9"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        refused(acknowledge(others[i]), YZ_NOT_FOUND, "complaintId");
        refused(reply(others[i], ""), YZ_NOT_FOUND, "complaintId");
        refused(ask(others[i], 3), YZ_NOT_FOUND, "complaintId");
        refused(resolve(others[i]), YZ_NOT_FOUND, "complaintId");
    }
    refused(extend("a1", 3), YZ_NOT_FOUND, "complaintId");
    refused(extend("u9", 3), YZ_NOT_FOUND, "complaintId");
}

static void test_steps_out_of_order(void **state)
{
    (void)state;
    refused(ask("h0", 3), YZ_NOT_ACKNOWLEDGED, "complaintId");
    refused(resolve("h0"), YZ_NOT_ACKNOWLEDGED, "complaintId");
    assert_int_equal(acknowledge("h0"), YZ_OK);
    refused(acknowledge("h0"), YZ_ALREADY_ACKNOWLEDGED, "complaintId");
    refused(reply("h0", "1"), YZ_KEY_NOT_ELIGIBLE, "copies[0].keyId");
    assert_int_equal(resolve("h0"), YZ_OK);
    refused(acknowledge("h0"), YZ_COMPLAINT_CLOSED, "complaintId");
    refused(reply("h0", ""), YZ_COMPLAINT_CLOSED, "complaintId");
    refused(ask("h0", 3), YZ_COMPLAINT_CLOSED, "complaintId");
    refused(extend("h2", 3), YZ_COMPLAINT_CLOSED, "complaintId");
    refused(resolve("h0"), YZ_COMPLAINT_CLOSED, "complaintId");
    refused(add(RECEIPT, "0"), YZ_COMPLAINT_CLOSED, "receipt");
    assert_int_equal(rate(RECEIPT, 1), YZ_OK);
    refused(rate(RECEIPT, 5), YZ_ALREADY_RATED, "receipt");
}

static void test_an_extension_takes_two(void **state)
{
    Yizhan__V1__ComplaintExtended again = YIZHAN__V1__COMPLAINT_EXTENDED__INIT;
    struct wk_event event;
    size_t count;

    (void)state;
    assert_int_equal(acknowledge("h0"), YZ_OK);
    refused(extend("h2", 30), YZ_EXTENSION_NOT_ASKED, "complaintId");
    refused(ask("h0", 31), YZ_INVALID_VALUE, "days");
    assert_int_equal(ask("h0", 30), YZ_OK);
    expect_push("member.h2", YIZHAN__V1__COMPLAINT_UPDATED__KIND__EXTENSION_ASKED);
    refused(extend("h0", 30), YZ_SECOND_PERSON, "complaintId");
    refused(extend("h2", 29), YZ_EXTENSION_NOT_ASKED, "days");
    assert_int_equal(extend("h2", 30), YZ_OK);
    expect_push("member.h0", YIZHAN__V1__COMPLAINT_UPDATED__KIND__EXTENSION_GRANTED);
    expect_state("EXTENDED", 1);
    assert_int_equal(wk_document_time_ms(stored(), "resolve_by"), DRIVE_START + 90 * WK_DAY_MS);
    (void)wk_fold_rows(d.fold, &count);
    assert_int_equal(count, 6);
    assert_int_equal(wk_fold_rows(d.fold, &count)[5].due_at_ms, DRIVE_START + 90 * WK_DAY_MS);
    /* A replay winds the same clock. */
    again.complaint_id = id;
    again.days = 30;
    event = d.event;
    event.payload = &again.base;
    assert_int_equal(drive_apply(&d, &event), YZ_OK);
    assert_int_equal(wk_fold_rows(d.fold, &count)[7].due_at_ms, DRIVE_START + 90 * WK_DAY_MS);
    refused(extend("h2", 30), YZ_ALREADY_EXTENDED, "complaintId");
    refused(ask("h0", 1), YZ_ALREADY_EXTENDED, "complaintId");
}

static void test_clocks_ring_while_they_run(void **state)
{
    const Yizhan__V1__Complaint__Clock first = YIZHAN__V1__COMPLAINT__CLOCK__ACKNOWLEDGE,
                                       second = YIZHAN__V1__COMPLAINT__CLOCK__RESOLVE;
    const int64_t due[4] = {12, 15, 57, 60};
    const struct wk_fold_row *rows;
    size_t count, pushes;

    (void)state;
    rows = wk_fold_rows(d.fold, &count);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(rows[i].due_at_ms, DRIVE_START + due[i] * WK_DAY_MS);
        assert_string_equal(rows[i].type, "complaint.clock_rung");
    }
    assert_int_equal(ring(first, DRIVE_START + 15 * WK_DAY_MS, false), YZ_OK);
    expect_push("member.h0", YIZHAN__V1__COMPLAINT_UPDATED__KIND__DUE_SOON);
    assert_int_equal(ring(first, DRIVE_START + 15 * WK_DAY_MS, true), YZ_OK);
    expect_push("member.h0", YIZHAN__V1__COMPLAINT_UPDATED__KIND__OVERDUE);
    assert_int_equal(acknowledge("h0"), YZ_OK);
    pushes = drive_push_count(&d);
    assert_int_equal(ring(first, DRIVE_START + 15 * WK_DAY_MS, true), YZ_OK);
    assert_int_equal(drive_push_count(&d), pushes); /* moot */
    assert_int_equal(ring(second, DRIVE_START + 60 * WK_DAY_MS, false), YZ_OK);
    assert_int_equal(drive_push_count(&d), ++pushes);
    assert_int_equal(ask("h0", 30), YZ_OK);
    assert_int_equal(extend("h2", 30), YZ_OK);
    pushes = drive_push_count(&d);
    assert_int_equal(ring(second, DRIVE_START + 60 * WK_DAY_MS, true), YZ_OK);
    assert_int_equal(drive_push_count(&d), pushes); /* it was moved */
    assert_int_equal(ring(second, DRIVE_START + 90 * WK_DAY_MS, true), YZ_OK);
    assert_int_equal(drive_push_count(&d), pushes + 1);
    assert_int_equal(resolve("h0"), YZ_OK);
    pushes = drive_push_count(&d);
    assert_int_equal(ring(second, DRIVE_START + 90 * WK_DAY_MS, true), YZ_OK);
    assert_int_equal(drive_push_count(&d), pushes);
}

/* Retention counts from the closing. */
static void test_it_is_kept_from_the_closing_on(void **state)
{
    (void)state;
    assert_int_equal(acknowledge("h0"), YZ_OK);
    assert_int_equal(wk_document_time_ms(stored(), "purge_at"), 0);
    d.now_ms += 40 * WK_DAY_MS;
    assert_int_equal(resolve("h0"), YZ_OK);
    assert_int_equal(wk_document_time_ms(stored(), "purge_at"), d.now_ms + 1095 * WK_DAY_MS);
    assert_int_equal(
        wk_document_time_ms(drive_document(&d, WK_COMPLAINT_MESSAGES, document_id), "purge_at"),
        d.now_ms + 1095 * WK_DAY_MS);
    assert_int_equal(rate(RECEIPT, 1), YZ_OK);
    assert_int_equal(wk_document_time_ms(stored(), "purge_at"), d.now_ms + 1095 * WK_DAY_MS);
}

static void test_the_dialogue_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(acknowledge("h0"), YZ_OK);
    for (int i = 0; i < WK_DIALOGUE_MAX - 1; i++)
        assert_int_equal(add(RECEIPT, "0"), YZ_OK);
    refused(add(RECEIPT, "0"), YZ_TOO_MANY, "content");
    refused(reply("h0", ""), YZ_TOO_MANY, "sealed");
    assert_int_equal(resolve("h0"), YZ_OK); /* the answer has room */
    expect_state("RESOLVED", WK_DIALOGUE_MAX + 1);
}

static bool holds(const bson_t *document, const char *text)
{
    return memmem(bson_get_data(document), document->len, text, strlen(text)) != NULL;
}

/* The box with the reporter's name for the first of the handlers. */
static const uint8_t *name_box(uint32_t *len)
{
    bson_iter_t it, entries, entry;
    bson_subtype_t subtype;
    const uint8_t *data;

    assert_true(bson_iter_init_find(&it, stored(), "reporter"));
    assert_true(bson_iter_recurse(&it, &entries) && bson_iter_next(&entries));
    assert_true(bson_iter_recurse(&entries, &entry) && bson_iter_find(&entry, "b"));
    bson_iter_binary(&entry, &subtype, len, &data);
    return data;
}

/* Of a reporter under his name the documents say no more than of one without: but his handlers can
 * open who it is. */
static void test_a_name_is_sealed_to_the_handlers(void **state)
{
    static const char wanted[] = "{\"memberId\":\"reporter77\",\"orgPath\":\"" PLACE "\"}";
    uint8_t text[512] = {0};
    const uint8_t *data;
    uint32_t len;

    (void)state;
    assert_int_equal(file_as("reporter77", "0", NULL), YZ_OK);
    assert_false(holds(stored(), "reporter77"));
    assert_false(holds(drive_document(&d, WK_COMPLAINT_MESSAGES, document_id), "reporter77"));
    data = name_box(&len);
    assert_int_equal(crypto_box_seal_open(text, data, len, publics[0], secrets[0]), 0);
    assert_memory_equal(text, wanted, strlen(wanted));
    /* Only blanks behind it. */
    assert_int_equal(strspn((char *)text + strlen(wanted), " ") + strlen(wanted),
                     len - crypto_box_SEALBYTES);
}

/* Who knows the members' ids does not learn from the box whose it is. */
static void test_a_sealed_name_does_not_tell_its_length(void **state)
{
    static const char long_name[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    uint32_t shorter, longer;

    assert_int_equal(file_as("r", "0", NULL), YZ_OK);
    (void)name_box(&shorter);
    tear_down(state);
    set_up_handlers(state);
    assert_int_equal(file_as(long_name, "0", NULL), YZ_OK);
    (void)name_box(&longer);
    assert_int_equal(shorter, longer);
}

/* Of one without a name there is nothing, and of the accused and the receipt neither. */
static void test_what_is_not_stored(void **state)
{
    bson_iter_t it;

    (void)state;
    assert_false(bson_iter_init_find(&it, stored(), "reporter"));
    assert_false(holds(stored(), "u9"));
    assert_false(holds(stored(), "0123456789abcdef0123"));
}

static void test_a_replay_says_the_same(void **state)
{
    struct drive_past filed;
    size_t before;

    (void)state;
    assert_int_equal(acknowledge("h0"), YZ_OK);
    assert_int_equal(add(RECEIPT, "0"), YZ_OK);
    /* The message again: its entry is there. */
    drive_keep(&d, &filed);
    {
        Yizhan__V1__ComplaintMessageAdded m = YIZHAN__V1__COMPLAINT_MESSAGE_ADDED__INIT;
        struct boxes b;

        seal_to("0", &b);
        m.receipt = RECEIPT;
        m.content = b.list;
        m.n_content = 1;
        filed.event.payload = &m.base;
        before = drive_push_count(&d);
        assert_int_equal(drive_apply(&d, &filed.event), YZ_OK);
    }
    assert_int_equal(drive_push_count(&d), before + 1); /* the same push, with the same id */
    expect_state("ACKNOWLEDGED", 2);
}

#define TEST(name, before) cmocka_unit_test_setup_teardown(name, before, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_filed_and_answered, set_up_handlers),
        TEST(test_handlers_and_their_keys, set_up_handlers),
        TEST(test_an_independent_handler_is_named_from_above, set_up),
        TEST(test_an_org_has_so_many_keys, set_up),
        TEST(test_what_filing_is_refused_for, set_up),
        TEST(test_without_an_accused, set_up_handlers),
        TEST(test_a_receipt_that_opens_nothing, set_up_case),
        TEST(test_whom_it_is_not_given_to, set_up_case),
        TEST(test_steps_out_of_order, set_up_case),
        TEST(test_an_extension_takes_two, set_up_case),
        TEST(test_clocks_ring_while_they_run, set_up_case),
        TEST(test_it_is_kept_from_the_closing_on, set_up_case),
        TEST(test_the_dialogue_is_bounded, set_up_case),
        TEST(test_a_name_is_sealed_to_the_handlers, set_up_handlers),
        TEST(test_a_sealed_name_does_not_tell_its_length, set_up_handlers),
        TEST(test_what_is_not_stored, set_up_case),
        TEST(test_a_replay_says_the_same, set_up_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
