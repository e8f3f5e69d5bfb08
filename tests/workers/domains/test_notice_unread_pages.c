/* Who has not read, page by page while the branch changes, over a real database. */
#include "branch_rig.h"
#include "common/clock.h"
#include "query_rig.h"

#include "workers/domains/notice.h"

#include <notice.pb-c.h>
#include <stdio.h>

#define BRANCH "u/b1"
#define LISTED 400
#define BEYOND 700
#define PAGE   500

static uint64_t sequence;

/* Replaces what is there. */
static void put(const char *collection, const char *id, bson_t *document)
{
    struct wk_write write = {.kind = WK_REPLACE, .id = id};
    bson_t *whole = bson_new(), before;
    bool found;

    assert_int_equal(wk_store_get(store, collection, id, &before, &found), YZ_OK);
    write.loaded_sequence = found ? (uint64_t)wk_document_number(&before, "evt_seq") : 0;
    bson_destroy(&before);
    BSON_APPEND_UTF8(whole, "_id", id);
    BSON_APPEND_UTF8(whole, "tenant", "t1");
    BSON_APPEND_INT64(whole, "evt_seq", (int64_t)++sequence);
    bson_concat(whole, document);
    bson_destroy(document);
    write.document = whole;
    assert_int_equal(wk_store_write(store, collection, &write, 1), YZ_OK);
    assert_int_equal(write.result, WK_WRITTEN);
    bson_destroy(whole);
}

/* "l000" … on the register, and, got_place, "o650" as well. */
static void put_branch(bool got_place)
{
    bson_t *document = bson_new();
    struct branch_rig branch;
    char name[16];

    branch_begin(&branch, document, BRANCH);
    for (unsigned i = 0; i < LISTED; i++) {
        snprintf(name, sizeof name, "l%03u", i);
        branch_enrol(&branch, &(struct branch_entry){.member = name, .place = (int32_t)i});
    }
    if (got_place)
        branch_enrol(&branch, &(struct branch_entry){.member = "o650", .place = LISTED});
    branch_end(&branch);
    put(WK_BRANCHES, "t1|" BRANCH, document);
}

/* "o000" … beyond it, the last first; those below `gone` have left the list. */
static void put_receipts(unsigned gone, bool got_place)
{
    bson_t *receipts = bson_new(), others, entry;
    char key[16], name[16];
    unsigned count = 0;

    BSON_APPEND_UTF8(receipts, "org_path", BRANCH);
    BSON_APPEND_ARRAY_BEGIN(receipts, "others", &others);
    for (unsigned i = BEYOND; i-- > gone;) {
        if (got_place && i == 650)
            continue;
        snprintf(key, sizeof key, "%u", count++);
        snprintf(name, sizeof name, "o%03u", i);
        BSON_APPEND_DOCUMENT_BEGIN(&others, key, &entry);
        BSON_APPEND_UTF8(&entry, "m", name);
        bson_append_document_end(&others, &entry);
    }
    bson_append_array_end(receipts, &others);
    put(WK_NOTICE_RECEIPTS, "t1|n1|" BRANCH, receipts);
}

static void put_notice(void)
{
    put(WK_NOTICES, "t1|n1",
        BCON_NEW("notice_id", "n1", "org_path", "u", "org_paths", "[", "u", "]", "state",
                 "NOTICE_RELEASED", "notice_class", "INFO"));
}

static Yizhan__V1__NoticeUnreadMembersReply *ask(const char *after, enum yz_err wanted)
{
    Yizhan__V1__NoticeUnreadMembersRequest request =
        YIZHAN__V1__NOTICE_UNREAD_MEMBERS_REQUEST__INIT;
    const struct yz_actor secretary = {"t1", "s1", "u", "member,secretary@u"};
    const struct wk_query query = {.actor = &secretary,
                                   .request = &request.base,
                                   .store = store,
                                   .arena = &arena,
                                   .now_ms = yz_clock_wall_ms()};
    ProtobufCMessage *reply = NULL;
    struct yz_violation v = {0};

    request.org_path = BRANCH;
    request.notice_id = "n1";
    request.after = (char *)(uintptr_t)after;
    yz_arena_reset(&arena);
    assert_int_equal(wk_notice_unread_members(&query, &reply, &v), wanted);
    if (wanted)
        assert_string_equal(v.field, "after");
    return (Yizhan__V1__NoticeUnreadMembersReply *)reply;
}

/* Between the pages those who were told read and are gone, and one of those still to be told gets a
 * place: nobody is skipped, nobody told twice. */
static void who_leaves_between_pages_moves_nobody(void **state)
{
    char after[YZ_ID_MAX + 1] = "", last[YZ_ID_MAX] = "";
    Yizhan__V1__NoticeUnreadMembersReply *reply;
    size_t told = 0, pages = 0;
    bool met = false;

    (void)state;
    put_notice();
    put_branch(false);
    put_receipts(0, false);
    do {
        reply = ask(after, YZ_OK);
        assert_int_equal(reply->n_members, pages < 2 ? PAGE : LISTED + BEYOND - 2 * PAGE);
        for (size_t i = 0; i < reply->n_members; i++) {
            assert_true(strcmp(last, reply->members[i]->member) < 0);
            snprintf(last, sizeof last, "%s", reply->members[i]->member);
            met = met || strcmp(last, "o650") == 0;
        }
        told += reply->n_members;
        snprintf(after, sizeof after, "%s", reply->next_after);
        if (++pages == 1) {
            assert_string_equal(after, "mo099");
            put_receipts(90, true);
            put_branch(true);
        }
    } while (*after && pages < 10);
    assert_int_equal(pages, 3);
    assert_int_equal(told, LISTED + BEYOND);
    assert_true(met);
}

/* The one told last may be gone itself. */
static void the_member_of_the_cursor_may_be_gone(void **state)
{
    Yizhan__V1__NoticeUnreadMembersReply *reply;

    (void)state;
    put_branch(false);
    put_receipts(300, false);
    reply = ask("mo099", YZ_OK);
    assert_int_equal(reply->n_members, BEYOND - 300);
    assert_string_equal(reply->members[0]->member, "o300");
    assert_string_equal(reply->next_after, "");
}

static void other_cursors_are_refused(void **state)
{
    (void)state;
    ask("m", YZ_INVALID_VALUE);
    ask("o500", YZ_INVALID_VALUE);
    ask("m|", YZ_INVALID_VALUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_between_pages_moves_nobody),
        cmocka_unit_test(the_member_of_the_cursor_may_be_gone),
        cmocka_unit_test(other_cursors_are_refused),
    };

    return cmocka_run_group_tests(tests, query_rig_start, query_rig_stop);
}
