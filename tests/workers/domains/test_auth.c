/* Revocations: one document and one value of each member; the later time counts. */
#include "drive.h"

#include <auth.pb-c.h>
#include <stdio.h>

#define DOCUMENT "t1|u7"

static Yizhan__V1__AuthRevoked revoked(char *org_path, char *token_id)
{
    Yizhan__V1__AuthRevoked r = YIZHAN__V1__AUTH_REVOKED__INIT;

    r.org_path = org_path;
    r.member_id = "u7";
    r.token_id = token_id;
    return r;
}

static Yizhan__V1__AuthRestored restored(char *org_path, char *token_id)
{
    Yizhan__V1__AuthRestored r = YIZHAN__V1__AUTH_RESTORED__INIT;

    r.org_path = org_path;
    r.member_id = "u7";
    r.token_id = token_id;
    return r;
}

static enum yz_err void_tokens(struct drive *d, char *org_path, char *token_id,
                               int64_t not_before_ms)
{
    Yizhan__V1__AuthRevoked r = revoked(org_path, token_id);
    Google__Protobuf__Timestamp time = wk_timestamp(not_before_ms);

    if (not_before_ms)
        r.not_before = &time;
    return drive(d, "a1", "g1", "auth.revoked", &r.base);
}

/* The value that went out last (the caller frees it). */
static Yizhan__V1__AuthRevocation *last_value(const struct drive *d)
{
    size_t count;
    const struct wk_fold_push *values = wk_fold_values(d->fold, &count);

    assert_true(count > 0);
    assert_string_equal(values[count - 1].name, "revoked.u7");
    assert_int_equal(values[count - 1].sequence, d->event.sequence);
    return (Yizhan__V1__AuthRevocation *)drive_last(&values[count - 1], "auth", "auth.revocation");
}

static void assert_void(const Yizhan__V1__AuthVoid *each, const char *org_path,
                        const char *token_id, int64_t not_before_ms)
{
    assert_string_equal(each->org_path, org_path);
    assert_string_equal(each->token_id, token_id);
    assert_int_equal(wk_timestamp_ms(each->not_before), not_before_ms);
}

static void test_revoked(void **state)
{
    Yizhan__V1__AuthRevocation *value;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(void_tokens(&d, "g1", "", 0), YZ_OK);
    assert_int_equal(void_tokens(&d, "g1/c1", "k9", DRIVE_START + 5000), YZ_OK);
    value = last_value(&d);
    assert_string_equal(value->member_id, "u7");
    assert_int_equal(value->n_voids, 2);
    assert_void(value->voids[0], "g1", "", DRIVE_START);
    assert_void(value->voids[1], "g1/c1", "k9", DRIVE_START + 5000);
    yizhan__v1__auth_revocation__free_unpacked(value, NULL);
    assert_string_equal(wk_document_text(drive_document(&d, "revocations", DOCUMENT), "member_id"),
                        "u7");
    drive_deinit(&d);
}

static void test_the_later_time_counts(void **state)
{
    Yizhan__V1__AuthRevocation *value;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(void_tokens(&d, "g1", "", DRIVE_START + 9000), YZ_OK);
    assert_int_equal(void_tokens(&d, "g1", "", 0), YZ_OK);
    value = last_value(&d);
    assert_int_equal(value->n_voids, 1);
    assert_void(value->voids[0], "g1", "", DRIVE_START + 9000);
    yizhan__v1__auth_revocation__free_unpacked(value, NULL);
    assert_int_equal(void_tokens(&d, "g1", "", DRIVE_START + 10000), YZ_OK);
    value = last_value(&d);
    assert_void(value->voids[0], "g1", "", DRIVE_START + 10000);
    yizhan__v1__auth_revocation__free_unpacked(value, NULL);
    drive_deinit(&d);
}

static void test_restored(void **state)
{
    Yizhan__V1__AuthRestored all = restored("g1", ""), other = restored("g1/c1", "");
    Yizhan__V1__AuthRevocation *value;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(drive(&d, "a1", "g1", "auth.restored", &all.base), YZ_NOT_FOUND);
    assert_int_equal(void_tokens(&d, "g1", "", 0), YZ_OK);
    assert_int_equal(void_tokens(&d, "g1", "k1", 0), YZ_OK);
    assert_int_equal(void_tokens(&d, "g1", "k2", 0), YZ_OK);
    assert_int_equal(drive(&d, "a1", "g1", "auth.restored", &other.base), YZ_NOT_FOUND);
    assert_string_equal(d.v.field, "memberId");
    assert_int_equal(drive(&d, "a1", "g1", "auth.restored", &all.base), YZ_OK);
    value = last_value(&d);
    assert_int_equal(value->n_voids, 2);
    assert_void(value->voids[0], "g1", "k1", DRIVE_START);
    assert_void(value->voids[1], "g1", "k2", DRIVE_START);
    yizhan__v1__auth_revocation__free_unpacked(value, NULL);
    drive_deinit(&d);
}

static void test_the_list_is_bounded(void **state)
{
    char id[16];
    struct drive d;

    (void)state;
    drive_init(&d);
    for (int i = 0; i < 64; i++) {
        snprintf(id, sizeof id, "k%d", i);
        assert_int_equal(void_tokens(&d, "g1", id, 0), YZ_OK);
    }
    assert_int_equal(void_tokens(&d, "g1", "k64", 0), YZ_TOO_MANY);
    assert_int_equal(void_tokens(&d, "g1", "k63", DRIVE_START + 1), YZ_OK);
    drive_deinit(&d);
}

static void test_replay(void **state)
{
    Yizhan__V1__AuthRevoked r = revoked("g1", "");
    Yizhan__V1__AuthRevocation *value;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(drive(&d, "a1", "g1", "auth.revoked", &r.base), YZ_OK);
    assert_int_equal(drive_apply(&d, &d.event), YZ_OK);
    value = last_value(&d);
    assert_int_equal(value->n_voids, 1);
    yizhan__v1__auth_revocation__free_unpacked(value, NULL);
    drive_deinit(&d);
}

/* What was revoked since stays revoked. */
static void test_a_restoring_that_comes_back_late(void **state)
{
    Yizhan__V1__AuthRestored all = restored("g1", "");
    struct drive_past past;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(void_tokens(&d, "g1", "", 0), YZ_OK);
    d.now_ms += 1000;
    assert_int_equal(drive(&d, "a1", "g1", "auth.restored", &all.base), YZ_OK);
    drive_keep(&d, &past);
    d.now_ms += 1000;
    assert_int_equal(void_tokens(&d, "g1", "", 0), YZ_OK);
    assert_int_equal(drive_bring_back(&d, &past), YZ_STALE_REVISION);
    assert_string_equal(d.v.field, "memberId");
    past.event.received_at_ms = d.now_ms;
    assert_int_equal(drive_bring_back(&d, &past), YZ_OK);
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revoked),  cmocka_unit_test(test_the_later_time_counts),
        cmocka_unit_test(test_restored), cmocka_unit_test(test_the_list_is_bounded),
        cmocka_unit_test(test_replay),   cmocka_unit_test(test_a_restoring_that_comes_back_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
