#include "tests/schemas/sample.h"

#include <member.pb-c.h>

static const char registered[] =
    "{\"orgPath\":\"g1/c1/b1\",\"memberId\":\"m1\",\"file\":{\"name\":\"张三\",\"kind\":\"FULL\","
    "\"gender\":\"MALE\",\"birthday\":\"1990-03-07\",\"joinedOn\":\"2012-02-29\",\"fullOn\":"
    "\"2013-03-01\",\"education\":\"本科\",\"position\":\"组长\",\"idNumber\":"
    "\"11010119900307803X\",\"phone\":\"13800138000\",\"duesBaseFen\":\"500000\",\"roles\":[{"
    "\"role\":\"ROLE_SECRETARY\",\"scope\":\"g1/c1\",\"from\":\"2026-01-01T00:00:00Z\",\"until\":"
    "\"2029-01-01T00:00:00Z\"}]},\"basis\":\"党章\"}";

static const struct refusal of_registered[] = {
    {"g1/c1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1/b1", "g1 c1", YZ_INVALID_VALUE, "orgPath"},
    {"\"m1\"", "\"\"", YZ_MISSING_FIELD, "memberId"},
    {"\"m1\"", "\"张\"", YZ_INVALID_VALUE, "memberId"},
    {"张三", "", YZ_MISSING_FIELD, "file.name"},
    {"张三", Z64, YZ_OK, ""},
    {"张三", Z64 "站", YZ_TOO_LONG, "file.name"},
    {"\"FULL\"", "\"MEMBER_KIND_UNSPECIFIED\"", YZ_MISSING_FIELD, "file.kind"},
    {"1990-03-07", "1990-3-7", YZ_INVALID_VALUE, "file.birthday"},
    {"1990-03-07", "1990-02-29", YZ_INVALID_VALUE, "file.birthday"},
    {"1990-03-07", "1990-13-01", YZ_INVALID_VALUE, "file.birthday"},
    {"1990-03-07", "1990-03-00", YZ_INVALID_VALUE, "file.birthday"},
    {"1990-03-07", "1990-03-07 ", YZ_INVALID_VALUE, "file.birthday"},
    {"1990-03-07", "", YZ_OK, ""},
    {"2012-02-29", "2100-02-29", YZ_INVALID_VALUE, "file.joinedOn"},
    {"2012-02-29", "2000-02-29", YZ_OK, ""},
    {"2012-02-29", "1990-03-07", YZ_OK, ""},
    {"2012-02-29", "1990-03-06", YZ_INVALID_VALUE, "file.joinedOn"},
    {"2012-02-29", "", YZ_OK, ""},
    {"2013-03-01", "01.03.2013", YZ_INVALID_VALUE, "file.fullOn"},
    {"本科", Z64 "站", YZ_TOO_LONG, "file.education"},
    {"组长", Z64 "站", YZ_TOO_LONG, "file.position"},
    {"11010119900307803X", "110101199003078031", YZ_INVALID_VALUE, "file.idNumber"},
    {"11010119900307803X", "11010119900307803x", YZ_INVALID_VALUE, "file.idNumber"},
    {"11010119900307803X", "110101900307803", YZ_INVALID_VALUE, "file.idNumber"},
    {"11010119900307803X", "11010119901307803X", YZ_INVALID_VALUE, "file.idNumber"},
    {"11010119900307803X", "11010119900307803XX", YZ_INVALID_VALUE, "file.idNumber"},
    {"11010119900307803X", "", YZ_OK, ""},
    {"13800138000", "+8613800138000", YZ_OK, ""},
    {"13800138000", "1380", YZ_INVALID_VALUE, "file.phone"},
    {"13800138000", "138-0013-8000", YZ_INVALID_VALUE, "file.phone"},
    {"13800138000", "138001380001380013800", YZ_INVALID_VALUE, "file.phone"},
    {"500000", "1000000000000", YZ_OK, ""},
    {"500000", "1000000000001", YZ_INVALID_VALUE, "file.duesBaseFen"},
    {"ROLE_SECRETARY", "MEMBER_ROLE_UNSPECIFIED", YZ_MISSING_FIELD, "file.roles[0].role"},
    {"\"g1/c1\"", "\"\"", YZ_MISSING_FIELD, "file.roles[0].scope"},
    {"\"g1/c1\"", "\"g1/\"", YZ_INVALID_VALUE, "file.roles[0].scope"},
    {"2029-01-01", "2026-01-01", YZ_INVALID_VALUE, "file.roles[0].until"},
    {"党章", "", YZ_MISSING_FIELD, "basis"},
};

static void registered_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("member.registered", NULL);
    struct yz_violation v = {0};
    Yizhan__V1__MemberRegistered *message;

    (void)state;
    assert_contract("member.registered", registered, of_registered, COUNT(of_registered));
    message = sample_json(type->payload, registered);
    message->file = NULL;
    assert_int_equal(type->check(&message->base, &v), YZ_MISSING_FIELD);
    assert_violation(&v, YZ_MISSING_FIELD, "file");
}

/* As many roles as a token can hold. */
static void roles_are_bounded(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("member.registered", NULL);
    Yizhan__V1__MemberRegistered *message = sample_json(type->payload, registered);
    Yizhan__V1__MemberRoleTerm *roles[17];
    struct yz_violation v = {0};
    char scope[YZ_ORG_PATH_MAX] = "";

    (void)state;
    for (size_t i = 0; i < COUNT(roles); i++)
        roles[i] = message->file->roles[0];
    message->file->roles = roles;
    message->file->n_roles = 16;
    assert_int_equal(type->check(&message->base, &v), YZ_OK);
    message->file->n_roles = 17;
    assert_int_equal(type->check(&message->base, &v), YZ_TOO_MANY);
    assert_violation(&v, YZ_TOO_MANY, "file.roles");
    memset(scope, 'a', 64);
    roles[0]->scope = scope;
    message->file->n_roles = 8;
    assert_int_equal(type->check(&message->base, &v), YZ_TOO_LONG);
    assert_violation(&v, YZ_TOO_LONG, "file.roles");
}

static const char changed[] =
    "{\"orgPath\":\"g1/b1\",\"memberId\":\"m1\",\"revision\":\"2\",\"fields\":[\"FIELD_NAME\","
    "\"FIELD_PHONE\",\"FIELD_KIND\"],\"file\":{\"name\":\"李四\",\"kind\":\"FULL\",\"phone\":"
    "\"13800138000\"},\"newOrgPath\":\"g1/b2\",\"basis\":\"改\"}";

static const struct refusal of_changed[] = {
    {"g1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"\"m1\"", "\"\"", YZ_MISSING_FIELD, "memberId"},
    {"\"2\"", "\"0\"", YZ_MISSING_FIELD, "revision"},
    {"\"2\"", "\"1\"", YZ_INVALID_VALUE, "revision"},
    {"\"2\"", "\"18446744073709551615\"", YZ_INVALID_VALUE, "revision"},
    {"FIELD_PHONE", "FIELD_NAME", YZ_INVALID_VALUE, "fields[1]"},
    {"FIELD_PHONE", "FIELD_ORG", YZ_INVALID_VALUE, "fields[1]"},
    {"FIELD_PHONE", "FIELD_STATUS", YZ_INVALID_VALUE, "fields[1]"},
    {"FIELD_PHONE", "FIELD_KEY", YZ_INVALID_VALUE, "fields[1]"},
    {"FIELD_PHONE", "MEMBER_FIELD_UNSPECIFIED", YZ_INVALID_VALUE, "fields[1]"},
    {"李四", "", YZ_MISSING_FIELD, "file.name"},
    {"\"FULL\"", "\"MEMBER_KIND_UNSPECIFIED\"", YZ_MISSING_FIELD, "file.kind"},
    {"13800138000", "1380", YZ_INVALID_VALUE, "file.phone"},
    {"13800138000", "", YZ_OK, ""},
    {"g1/b2", "", YZ_OK, ""},
    {"g1/b2", "g1/", YZ_INVALID_VALUE, "newOrgPath"},
    {"g1/b2", "g1/b1", YZ_INVALID_VALUE, "newOrgPath"},
    {"\"FIELD_NAME\",\"FIELD_PHONE\",\"FIELD_KIND\"", "", YZ_OK, ""},
    {"改", "", YZ_MISSING_FIELD, "basis"},
    {"改", Z64 Z64 Z64 Z8 "站", YZ_TOO_LONG, "basis"},
};

static void changed_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("member.changed", NULL);
    Yizhan__V1__MemberChanged *message;
    struct yz_violation v = {0};

    (void)state;
    assert_contract("member.changed", changed, of_changed, COUNT(of_changed));
    message = sample_json(type->payload, changed);
    message->file = NULL;
    assert_int_equal(type->check(&message->base, &v), YZ_MISSING_FIELD);
    assert_violation(&v, YZ_MISSING_FIELD, "file");
    message->n_fields = 0;
    assert_int_equal(type->check(&message->base, &v), YZ_OK);
    message->new_org_path[0] = '\0';
    assert_int_equal(type->check(&message->base, &v), YZ_MISSING_FIELD);
    assert_violation(&v, YZ_MISSING_FIELD, "fields");
}

static const struct refusal of_archived[] = {
    {"g1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"\"m1\"", "\"\"", YZ_MISSING_FIELD, "memberId"},
    {"\"3\"", "\"1\"", YZ_INVALID_VALUE, "revision"},
    {"离开", "", YZ_MISSING_FIELD, "reason"},
    {"依据", "", YZ_MISSING_FIELD, "basis"},
};

static const struct refusal of_key_deleted[] = {
    {"g1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"\"m1\"", "\"m 1\"", YZ_INVALID_VALUE, "memberId"},
    {"\"3\"", "\"0\"", YZ_MISSING_FIELD, "revision"},
    {"依据", "", YZ_MISSING_FIELD, "basis"},
};

static void others_are_checked(void **state)
{
    (void)state;
    assert_contract("member.archived",
                    "{\"orgPath\":\"g1/b1\",\"memberId\":\"m1\",\"revision\":\"3\",\"reason\":"
                    "\"离开\",\"basis\":\"依据\"}",
                    of_archived, COUNT(of_archived));
    assert_contract(
        "member.key_deleted",
        "{\"orgPath\":\"g1/b1\",\"memberId\":\"m1\",\"revision\":\"3\",\"basis\":\"依据\"}",
        of_key_deleted, COUNT(of_key_deleted));
}

static const struct refusal of_search[] = {
    {"g1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"张", Z64 "站", YZ_TOO_LONG, "namePrefix"},
    {"100", "101", YZ_INVALID_VALUE, "limit"},
    {"MEMBER_ARCHIVED", "MEMBER_STATUS_UNSPECIFIED", YZ_OK, ""},
};

static const struct refusal of_get[] = {
    {"m2", "m 2", YZ_INVALID_VALUE, "memberId"},
    {"年审", Z64 Z64 Z64 Z8 "站", YZ_TOO_LONG, "purpose"},
    {"m2", "", YZ_OK, ""},
};

static void queries_are_checked(void **state)
{
    (void)state;
    assert_contract("member.search",
                    "{\"orgPath\":\"g1/b1\",\"namePrefix\":\"张\",\"status\":\"MEMBER_ARCHIVED\","
                    "\"limit\":100}",
                    of_search, COUNT(of_search));
    assert_contract("member.get", "{\"memberId\":\"m2\",\"purpose\":\"年审\"}", of_get,
                    COUNT(of_get));
    assert_contract("member.roster", "{\"orgPath\":\"g1/b1\",\"limit\":100}", of_search, 1);
}

static void aggregates(void **state)
{
    const struct yz_actor actor = {"t1", "sec", "g1/c1/b1", "member"};
    const struct yz_event_type *type = yz_event_type_find("member.changed", NULL);
    char aggregate[YZ_AGGREGATE_MAX];

    (void)state;
    type->aggregate(sample_json(type->payload, changed), &actor, aggregate);
    assert_string_equal(aggregate, "member|m1");
    type = yz_event_type_find("member.placed", NULL);
    assert_int_equal(type->authority, YZ_BY_SYSTEM);
    type->aggregate(sample_json(type->payload, "{\"orgPath\":\"g1/b1\",\"memberId\":\"m1\"}"),
                    &actor, aggregate);
    assert_string_equal(aggregate, "branch|g1/b1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(registered_is_checked), sample_test(roles_are_bounded),
        sample_test(changed_is_checked),    sample_test(others_are_checked),
        sample_test(queries_are_checked),   sample_test(aggregates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
