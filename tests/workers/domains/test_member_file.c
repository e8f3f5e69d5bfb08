/* The values of a file as texts. */
#include "drive.h"

#include "common/subject.h"
#include "workers/domains/member.h"

#include <member.pb-c.h>

#define ROLES YIZHAN__V1__MEMBER_FIELD__FIELD_ROLES

/* As many roles as a file has, over orgs whose paths are as long as paths are, with terms of both
 * ends: moves of orgs may make it so. */
struct longest {
    Yizhan__V1__MemberFile file;
    Yizhan__V1__MemberRoleTerm roles[WK_MEMBER_TERMS_MAX], *list[WK_MEMBER_TERMS_MAX];
    Google__Protobuf__Timestamp from, until[WK_MEMBER_TERMS_MAX];
    char scopes[WK_MEMBER_TERMS_MAX][YZ_ORG_PATH_MAX];
};

static void fill(struct longest *l)
{
    yizhan__v1__member_file__init(&l->file);
    l->from = wk_timestamp(INT64_C(1767225600000));
    for (size_t i = 0; i < WK_MEMBER_TERMS_MAX; i++) {
        l->scopes[i][0] = (char)('a' + i);
        for (size_t at = 1; at < YZ_ORG_PATH_MAX - 1; at++)
            l->scopes[i][at] = at % 60 == 59 ? '/' : 'x';
        l->scopes[i][YZ_ORG_PATH_MAX - 1] = '\0';
        assert_true(yz_org_path_valid(l->scopes[i]));
        l->until[i] = wk_timestamp(INT64_C(1798761600000));
        yizhan__v1__member_role_term__init(&l->roles[i]);
        l->roles[i].role = YIZHAN__V1__MEMBER_ROLE__ROLE_SECRETARY;
        l->roles[i].scope = l->scopes[i];
        l->roles[i].from = &l->from;
        l->roles[i].until = &l->until[i];
        l->list[i] = &l->roles[i];
    }
    l->file.roles = l->list;
    l->file.n_roles = WK_MEMBER_TERMS_MAX;
}

static void the_longest_roles_are_whole(void **state)
{
    static const char end[] = " 1767225600000-1798761600000";
    char value[WK_FIELD_TEXT_MAX];
    static struct longest l;
    const char *at = value;

    (void)state;
    fill(&l);
    wk_member_value(&l.file, ROLES, value);
    for (size_t i = 0; i < WK_MEMBER_TERMS_MAX; i++) {
        char wanted[YZ_ORG_PATH_MAX + 64];
        int len =
            snprintf(wanted, sizeof wanted, "%ssecretary@%s%s", i ? "," : "", l.scopes[i], end);

        assert_int_equal(strncmp(at, wanted, (size_t)len), 0);
        at += len;
    }
    assert_string_equal(at, "");
}

/* What is behind the first two thousand bytes stands in the history as well. */
static void a_change_of_the_last_role_is_in_the_history(void **state)
{
    struct wk_member_patch patch = {.set = WK_MEMBER_BIT(ROLES), .org_path = "g1", .revision = 2};
    bson_t *old, *changed, *history;
    static struct longest l;
    bson_iter_t fields;
    struct drive d;
    bson_t entry;

    (void)state;
    drive_init(&d);
    d.event.env = &d.env;
    fill(&l);
    patch.file = &l.file;
    old = wk_member_patched(&d.context, &d.event, "m1", NULL, NULL, &patch);
    l.until[WK_MEMBER_TERMS_MAX - 1].seconds += 86400;
    changed = wk_member_patched(&d.context, &d.event, "m1", old, NULL, &patch);
    history = wk_member_change(&d.event, "m1", old, changed, &patch, "换届");
    assert_true(wk_document_array(history, "fields", &fields));
    assert_true(bson_iter_next(&fields) && wk_document_at(&fields, &entry));
    assert_string_equal(wk_document_text(&entry, "field"), "FIELD_ROLES");
    assert_non_null(strstr(wk_document_text(&entry, "before"), "1798761600000"));
    assert_non_null(strstr(wk_document_text(&entry, "after"), "-1798848000000"));
    bson_destroy(history);
    bson_destroy(changed);
    bson_destroy(old);
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_roles_are_whole),
        cmocka_unit_test(a_change_of_the_last_role_is_in_the_history),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
