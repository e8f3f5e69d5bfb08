/* The contracts of complaints: what may be said, with the code and field of each refusal. */
#include "tests/schemas/sample.h"

#include "schemas/receipt.h"

#include <complaint.pb-c.h>

/* 8,208 bytes in base64 */
#define BIG4    "AAAAAAAAAAAAAAAA"
#define BIG64   BIG4 BIG4 BIG4 BIG4 BIG4 BIG4 BIG4 BIG4 BIG4 BIG4 BIG4 BIG4 BIG4 BIG4 BIG4 BIG4
#define BIG1024 BIG64 BIG64 BIG64 BIG64
#define BIG                                                                                        \
    BIG1024 BIG1024 BIG1024 BIG1024 BIG1024 BIG1024 BIG1024 BIG1024 BIG1024 BIG1024 BIG64 BIG64    \
        BIG64

#define RECEIPT "8305926174402958"
#define KEY     "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk="
#define SEALED  "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"
#define COPY    "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF"

#define ENTRY(key)       "{\"keyId\":\"" key "\",\"sealed\":\"" SEALED "\"}"
#define FOUR(a, b, c, d) ENTRY(a) "," ENTRY(b) "," ENTRY(c) "," ENTRY(d) ","
#define SEVENTEEN                                                                                  \
    "[" FOUR("k0", "k1", "k2", "k3") FOUR("k4", "k5", "k6", "k7") FOUR("k8", "k9", "k10", "k11")   \
        FOUR("k12", "k13", "k14", "k15") ENTRY("k16") "]"

static const char filed[] =
    "{\"receipt\":\"" RECEIPT "\",\"orgPath\":\"g1/c1\",\"category\":\"CONDUCT\","
    "\"accused\":{\"orgPath\":\"g1/c2\",\"memberId\":\"u9\"},"
    "\"content\":[" ENTRY("k1") "],\"replyKey\":\"" KEY "\",\"copy\":\"" COPY "\"}";

static const struct refusal of_filed[] = {
    {RECEIPT, "", YZ_MISSING_FIELD, "receipt"},
    {RECEIPT, "1111111111111111", YZ_INVALID_VALUE, "receipt"},
    {"\"orgPath\":\"g1/c1\"", "\"orgPath\":\"\"", YZ_MISSING_FIELD, "orgPath"},
    {"\"orgPath\":\"g1/c1\"", "\"orgPath\":\"g1/\"", YZ_INVALID_VALUE, "orgPath"},
    {"\"CONDUCT\"", "\"CATEGORY_UNSPECIFIED\"", YZ_MISSING_FIELD, "category"},
    {"\"g1/c2\",\"memberId\":\"u9\"", "\"\",\"memberId\":\"\"", YZ_MISSING_FIELD,
     "accused.orgPath"},
    {"\"g1/c2\",\"memberId\":\"u9\"", "\"g1//\",\"memberId\":\"\"", YZ_INVALID_VALUE,
     "accused.orgPath"},
    {"\"g1/c2\",\"memberId\":\"u9\"", "\"\",\"memberId\":\"u.9\"", YZ_INVALID_VALUE,
     "accused.memberId"},
    {"\"g1/c2\",\"memberId\":\"u9\"", "\"\",\"memberId\":\"u9\"", YZ_OK, ""},
    {"\"g1/c2\",\"memberId\":\"u9\"", "\"g1/c2\",\"memberId\":\"\"", YZ_OK, ""},
    {",\"accused\":{\"orgPath\":\"g1/c2\",\"memberId\":\"u9\"}", "", YZ_OK, ""},
    {"[" ENTRY("k1") "]", "[]", YZ_MISSING_FIELD, "content"},
    {"[" ENTRY("k1") "]", SEVENTEEN, YZ_TOO_MANY, "content"},
    {"\"k1\"", "\"\"", YZ_MISSING_FIELD, "content[0].keyId"},
    {"\"k1\"", "\"k 1\"", YZ_INVALID_VALUE, "content[0].keyId"},
    {"[" ENTRY("k1") "]", "[" ENTRY("k1") "," ENTRY("k1") "]", YZ_INVALID_VALUE,
     "content[1].keyId"},
    {SEALED, "", YZ_MISSING_FIELD, "content[0].sealed"},
    {SEALED, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH", YZ_INVALID_VALUE,
     "content[0].sealed"},
    {SEALED, BIG, YZ_TOO_LONG, "content[0].sealed"},
    {KEY, "", YZ_MISSING_FIELD, "replyKey"},
    {KEY, "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQ==", YZ_INVALID_VALUE, "replyKey"},
    {KEY, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", YZ_INVALID_VALUE, "replyKey"},
    {COPY, "", YZ_OK, ""},
    {COPY, "BQUFBQUFBQUFBQUFBQUFBQUFBQU=", YZ_INVALID_VALUE, "copy"},
};

static const char added[] =
    "{\"receipt\":\"" RECEIPT "\",\"content\":[" ENTRY("k1") "],\"copy\":\"" COPY "\"}";

static const struct refusal of_added[] = {
    {RECEIPT, "12", YZ_INVALID_VALUE, "receipt"},
    {RECEIPT, "", YZ_MISSING_FIELD, "receipt"},
    {"[" ENTRY("k1") "]", "[]", YZ_MISSING_FIELD, "content"},
    {COPY, "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF", YZ_INVALID_VALUE,
     "copy"},
    {COPY, BIG, YZ_TOO_LONG, "copy"},
    {"\"copy\"", "\"orgPath\":\"g1/c1\",\"copy\"", YZ_OK, ""},
    {"\"copy\"", "\"orgPath\":\"g1//\",\"copy\"", YZ_INVALID_VALUE, "orgPath"},
    {"\"copy\"", "\"accused\":{\"memberId\":\"u9\"},\"copy\"", YZ_MISSING_FIELD, "orgPath"},
    {"\"copy\"", "\"orgPath\":\"g1\",\"accused\":{\"memberId\":\"u 9\"},\"copy\"", YZ_INVALID_VALUE,
     "accused.memberId"},
};

static const char rated[] = "{\"receipt\":\"" RECEIPT "\",\"rating\":5}";

static const struct refusal of_rated[] = {
    {RECEIPT, "", YZ_MISSING_FIELD, "receipt"},
    {":5", ":0", YZ_MISSING_FIELD, "rating"},
    {":5", ":6", YZ_INVALID_VALUE, "rating"},
    {":5", ":1", YZ_OK, ""},
};

static const char handler[] =
    "{\"orgPath\":\"g1\",\"memberId\":\"h1\",\"homePath\":\"g1/o\",\"keyId\":\"k1\","
    "\"publicKey\":\"" KEY "\",\"from\":\"2026-01-01T00:00:00Z\","
    "\"until\":\"2027-01-01T00:00:00Z\",\"independent\":true,\"leads\":[\"g1/c1\"]}";

static const struct refusal of_handler[] = {
    {"\"orgPath\":\"g1\"", "\"orgPath\":\"\"", YZ_MISSING_FIELD, "orgPath"},
    {"\"h1\"", "\"\"", YZ_MISSING_FIELD, "memberId"},
    {"\"h1\"", "\"h/1\"", YZ_INVALID_VALUE, "memberId"},
    {"\"g1/o\"", "\"\"", YZ_MISSING_FIELD, "homePath"},
    {"\"k1\"", "\"\"", YZ_MISSING_FIELD, "keyId"},
    {KEY, "", YZ_MISSING_FIELD, "publicKey"},
    {KEY, "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ", YZ_INVALID_VALUE, "publicKey"},
    {"\"from\":\"2026-01-01T00:00:00Z\",", "", YZ_MISSING_FIELD, "from"},
    {",\"until\":\"2027-01-01T00:00:00Z\"", "", YZ_MISSING_FIELD, "until"},
    {"2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z", YZ_INVALID_VALUE, "until"},
    {"2027-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", YZ_OK, ""},
    {"\"g1/c1\"", "\"g1/c1/\"", YZ_INVALID_VALUE, "leads[0]"},
    {"[\"g1/c1\"]", "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]", YZ_TOO_MANY,
     "leads"},
};

static const char acknowledged[] = "{\"complaintId\":\"c1\"}";

static const struct refusal of_acknowledged[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"c1", "c|1", YZ_INVALID_VALUE, "complaintId"},
};

static const char replied[] =
    "{\"complaintId\":\"c1\",\"sealed\":\"" COPY "\",\"copies\":[" ENTRY("k1") "]}";

static const struct refusal of_replied[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {COPY, "", YZ_MISSING_FIELD, "sealed"},
    {COPY, "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF", YZ_INVALID_VALUE,
     "sealed"},
    {"[" ENTRY("k1") "]", "[]", YZ_OK, ""},
    {"\"k1\"", "\"\"", YZ_MISSING_FIELD, "copies[0].keyId"},
};

static const char asked[] = "{\"complaintId\":\"c1\",\"days\":30}";

static const struct refusal of_asked[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"30", "0", YZ_MISSING_FIELD, "days"},
    {"30", "366", YZ_INVALID_VALUE, "days"},
};

static const char extended[] = "{\"complaintId\":\"c1\",\"days\":30}";

static const struct refusal of_extended[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"30", "0", YZ_MISSING_FIELD, "days"},
    {"30", "400", YZ_INVALID_VALUE, "days"},
};

static const char resolved[] = "{\"complaintId\":\"c1\",\"result\":\"UPHELD\",\"sealed\":\"" COPY
                               "\",\"copies\":[" ENTRY("k1") "]}";

static const struct refusal of_resolved[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"UPHELD", "RESULT_UNSPECIFIED", YZ_MISSING_FIELD, "result"},
    {COPY, "", YZ_MISSING_FIELD, "sealed"},
    {"[" ENTRY("k1") "]", SEVENTEEN, YZ_TOO_MANY, "copies"},
};

static const char rung[] =
    "{\"complaintId\":\"c1\",\"clock\":\"RESOLVE\",\"dueAt\":\"2026-01-01T00:00:00Z\"}";

static const struct refusal of_rung[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"\"RESOLVE\"", "\"CLOCK_UNSPECIFIED\"", YZ_MISSING_FIELD, "clock"},
    {",\"dueAt\":\"2026-01-01T00:00:00Z\"", "", YZ_MISSING_FIELD, "dueAt"},
};

static const char keys[] = "{\"orgPath\":\"g1/c1\",\"accused\":{\"memberId\":\"u9\"}}";

static const struct refusal of_keys[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"u9", "u 9", YZ_INVALID_VALUE, "accused.memberId"},
    {"\"memberId\":\"u9\"", "", YZ_MISSING_FIELD, "accused.orgPath"},
};

static const char read[] = "{\"receipt\":\"" RECEIPT "\",\"limit\":50}";

static const struct refusal of_read[] = {
    {RECEIPT, "0000000000000000", YZ_INVALID_VALUE, "receipt"},
    {"50", "51", YZ_INVALID_VALUE, "limit"},
    {"50", "0", YZ_OK, ""},
};

static const char mine[] = "{\"cursor\":\"000\",\"limit\":100}";

static const struct refusal of_mine[] = {
    {"100", "101", YZ_INVALID_VALUE, "limit"},
    {"000", "", YZ_OK, ""},
    {"000", A64 A64 "a", YZ_TOO_LONG, "cursor"},
};

static const char got[] = "{\"complaintId\":\"c1\",\"limit\":50,\"purpose\":\"办理\"}";

static const struct refusal of_got[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"50", "51", YZ_INVALID_VALUE, "limit"},
    {"办理", A64 A64 A64 "aaaaaaaaa", YZ_TOO_LONG, "purpose"},
    {"办理", "", YZ_OK, ""},
};

static const char accesses[] = "{\"complaintId\":\"c1\",\"limit\":100,\"cursor\":\"000\"}";

static const struct refusal of_accesses[] = {
    {"c1", "c 1", YZ_INVALID_VALUE, "complaintId"},
    {"100", "101", YZ_INVALID_VALUE, "limit"},
    {"000", A64 A64 "a", YZ_TOO_LONG, "cursor"},
};

struct contract {
    const char *type, *good;
    const struct refusal *cases;
    size_t count;
};

static void is_checked(void **state)
{
    const struct contract *contract = *state;

    assert_contract(contract->type, contract->good, contract->cases, contract->count);
}

/* A test of its own, with the type's name. */
#define CHECKED(type, good, cases)                                                                 \
    {                                                                                              \
        type, is_checked, sample_begin, sample_done, &(struct contract)                            \
        {                                                                                          \
            type, good, cases, COUNT(cases)                                                        \
        }                                                                                          \
    }

/* What opens a case and what names it lead to the same aggregate. */
static void receipt_and_id_are_one_aggregate(void **state)
{
    const struct yz_event_type *by_receipt = yz_event_type_find("complaint.rated", NULL);
    const struct yz_event_type *by_id = yz_event_type_find("complaint.resolved", NULL);
    Yizhan__V1__ComplaintRated m = YIZHAN__V1__COMPLAINT_RATED__INIT;
    Yizhan__V1__ComplaintResolved r = YIZHAN__V1__COMPLAINT_RESOLVED__INIT;
    const struct yz_actor nobody = {.tenant = "t1"};
    char a[YZ_AGGREGATE_MAX], b[YZ_AGGREGATE_MAX], id[YZ_RECEIPT_CASE_MAX];

    (void)state;
    m.receipt = "$r1$0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    yz_receipt_case(m.receipt, id);
    r.complaint_id = id;
    by_receipt->aggregate(&m.base, &nobody, a);
    by_id->aggregate(&r.base, &nobody, b);
    assert_string_equal(a, b);
}

static void authority_is_as_said(void **state)
{
    (void)state;
    assert_int_equal(yz_event_type_find("complaint.filed", NULL)->authority, YZ_BY_ANYONE);
    assert_int_equal(yz_event_type_find("complaint.message_added", NULL)->authority, YZ_BY_ANYONE);
    assert_int_equal(yz_event_type_find("complaint.rated", NULL)->authority, YZ_BY_ANYONE);
    assert_int_equal(yz_event_type_find("complaint.filed_named", NULL)->authority,
                     YZ_BY_MEMBER_DISCREETLY);
    assert_int_equal(yz_event_type_find("complaint.clock_rung", NULL)->authority, YZ_BY_SYSTEM);
    assert_int_equal(yz_query_type_find("complaint.read", NULL)->authority, YZ_BY_ANYONE);
    assert_int_equal(yz_query_type_find("complaint.get", NULL)->authority, YZ_BY_MEMBER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECKED("complaint.filed", filed, of_filed),
        CHECKED("complaint.filed_named", filed, of_filed),
        CHECKED("complaint.message_added", added, of_added),
        CHECKED("complaint.rated", rated, of_rated),
        CHECKED("complaint.handler_registered", handler, of_handler),
        CHECKED("complaint.acknowledged", acknowledged, of_acknowledged),
        CHECKED("complaint.replied", replied, of_replied),
        CHECKED("complaint.extension_requested", asked, of_asked),
        CHECKED("complaint.extended", extended, of_extended),
        CHECKED("complaint.resolved", resolved, of_resolved),
        CHECKED("complaint.clock_rung", rung, of_rung),
        CHECKED("complaint.keys", keys, of_keys),
        CHECKED("complaint.read", read, of_read),
        CHECKED("complaint.mine", mine, of_mine),
        CHECKED("complaint.get", got, of_got),
        CHECKED("complaint.accesses", accesses, of_accesses),
        sample_test(receipt_and_id_are_one_aggregate),
        sample_test(authority_is_as_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
