/* A file is never stored without the key that opens it, wherever the worker ends between two
 * writes: against a real database, to which only so many bulks get through. */
#include "member_rig.h"

#include "tests/workers/database_rig.h"

#include <dlfcn.h>
#include <limits.h>
#include <mongoc/mongoc.h>

#define PHONE "13800138000" /* of new_file() */

static int bulks_left;

/* In the place of libmongoc's own: the worker is gone before this bulk is sent. */
uint32_t mongoc_bulk_operation_execute(mongoc_bulk_operation_t *bulk, bson_t *reply,
                                       bson_error_t *error)
{
    uint32_t (*execute)(mongoc_bulk_operation_t *, bson_t *, bson_error_t *);

    if (bulks_left-- <= 0) {
        bson_init(reply);
        bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "none is let in");
        return 0;
    }
    *(void **)&execute = dlsym(RTLD_NEXT, __func__);
    assert_non_null(execute);
    return execute(bulk, reply, error);
}

static int start_database(void **state)
{
    (void)state;
    return database_rig_start(5000);
}

static enum yz_err write_bulks(int count, bool *again)
{
    bulks_left = count;
    return wk_fold_write(d.fold, store, again);
}

struct stored {
    bool key, file;
};

/* What a crash now leaves of the member: the file that is there opens with the key that is there.
 */
static struct stored look(const char *member)
{
    const struct wk_vault_place place = {"t1", member, "phone"};
    char id[WK_ID_MAX], value[WK_VAULT_VALUE_MAX + 1];
    struct stored stored;
    bson_t key, file;

    wk_member_id(id, "t1", member);
    assert_int_equal(wk_store_get(store, WK_MEMBER_KEYS, id, &key, &stored.key), YZ_OK);
    assert_int_equal(wk_store_get(store, WK_MEMBERS, id, &file, &stored.file), YZ_OK);
    if (stored.file) {
        assert_true(stored.key);
        assert_int_equal(wk_vault_open_value(d.vault, &key, &place, &file, value), YZ_OK);
        assert_string_equal(value, PHONE);
    }
    bson_destroy(&key);
    bson_destroy(&file);
    return stored;
}

/* Whoever has the event next: it was decided, so only its effects come again, over what is stored.
 */
static void replay(void)
{
    bool again = false;

    wk_fold_reset(d.fold);
    do {
        if (again)
            wk_fold_again(d.fold);
        wk_fold_need(d.fold, wk_registry_event(d.event.type->name), &d.event);
        assert_int_equal(wk_fold_load(d.fold, store), YZ_OK);
        assert_int_equal(drive_apply(&d, &d.event), YZ_OK);
        assert_int_equal(write_bulks(INT_MAX, &again), YZ_OK);
    } while (again);
}

/* The first member's worker ends before its first write, the next one's after it, and so on. */
static void test_a_file_is_never_stored_without_its_key(void **state)
{
    bool ended = true, key_alone = false;

    (void)state;
    for (int bulks = 0; ended; bulks++) {
        Yizhan__V1__MemberFile file = new_file("Zhang");
        Yizhan__V1__MemberRegistered message;
        struct stored stored;
        char member[16];
        bool again;

        snprintf(member, sizeof member, "m%d", bulks);
        message = registration(member, "g1/b1", &file);
        wk_fold_reset(d.fold);
        preset_org("g1/b1", true);
        assert_int_equal(drive(&d, "sec", "g1", "member.registered", &message.base), YZ_OK);
        ended = write_bulks(bulks, &again) != YZ_OK;
        assert_false(again);
        stored = look(member);
        key_alone = key_alone || (stored.key && !stored.file);
        replay();
        stored = look(member);
        assert_true(stored.key && stored.file);
    }
    assert_true(key_alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_file_is_never_stored_without_its_key),
    };

    return cmocka_run_group_tests(tests, start_database, database_rig_stop);
}
