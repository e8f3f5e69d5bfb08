/* Receipts: which are taken, in which form, where they stand. */
#include "tests/schemas/sample.h"

#include "schemas/receipt.h"

#include <complaint.pb-c.h>
#include <thread.pb-c.h>

#define H16       "0123456789abcdef"
#define CONCEALED "$r1$" H16 H16 H16 H16

static void only_random_digits_are_taken(void **state)
{
    static const struct {
        const char *text;
        enum yz_err err;
    } cases[] = {
        {"8305926174402958", YZ_OK},
        {CONCEALED, YZ_OK},
        {"", YZ_MISSING_FIELD},
        {"830592617440295", YZ_INVALID_VALUE},
        {"83059261744029588", YZ_INVALID_VALUE},
        {"830592617440295a", YZ_INVALID_VALUE},
        {"8305 92617440295", YZ_INVALID_VALUE},
        {"0000000000000000", YZ_INVALID_VALUE},
        {"1234567890123456", YZ_INVALID_VALUE},
        {"9876543210987654", YZ_INVALID_VALUE},
        {"1357913579135791", YZ_INVALID_VALUE},
        {"1212343412123434", YZ_INVALID_VALUE},
        {"8305830583058305", YZ_INVALID_VALUE},
        {"8305192683051926", YZ_INVALID_VALUE},
        {"$r1$" H16 H16 H16, YZ_INVALID_VALUE},
        {"$r1$" H16 H16 H16 "0123456789abcdeF", YZ_INVALID_VALUE},
        {CONCEALED "0", YZ_INVALID_VALUE},
        {"$r2$" H16 H16 H16 H16, YZ_INVALID_VALUE},
    };
    struct yz_violation v;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum yz_err err = yz_check_receipt(cases[i].text, "receipt", &v);

        if (err != cases[i].err)
            fail_msg("%s: %s", cases[i].text, yz_err_code(err));
        if (err)
            assert_string_equal(v.field, "receipt");
    }
}

static void the_field_is_found_by_its_name(void **state)
{
    Yizhan__V1__ComplaintRated rated = YIZHAN__V1__COMPLAINT_RATED__INIT;
    Yizhan__V1__ThreadPosted posted = YIZHAN__V1__THREAD_POSTED__INIT;

    (void)state;
    assert_ptr_equal(yz_receipt_field(&rated.base), &rated.receipt);
    assert_null(yz_receipt_field(&posted.base));
    assert_false(yz_receipt_in_clear(&posted.base));
    rated.receipt = "8305926174402958";
    assert_true(yz_receipt_in_clear(&rated.base));
    rated.receipt = CONCEALED;
    assert_false(yz_receipt_in_clear(&rated.base));
}

static void a_case_is_named_by_a_hash(void **state)
{
    char id[YZ_RECEIPT_CASE_MAX], other[YZ_RECEIPT_CASE_MAX];

    (void)state;
    yz_receipt_case(CONCEALED, id);
    assert_int_equal(strlen(id), 32);
    assert_null(strstr(CONCEALED, id));
    yz_receipt_case("$r1$" H16 H16 H16 "0123456789abcdee", other);
    assert_string_not_equal(id, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_random_digits_are_taken),
        cmocka_unit_test(the_field_is_found_by_its_name),
        cmocka_unit_test(a_case_is_named_by_a_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
