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

static const char filed[] =
    "{\"receipt\":\"8305926174402958\",\"orgPath\":\"g1/"
    "c1\",\"category\":\"CONDUCT\",\"accused\":{\"orgPath\":\"g1/"
    "c2\",\"memberId\":\"u9\"},\"content\":[{\"keyId\":\"k1\",\"sealed\":"
    "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}],"
    "\"replyKey\":\"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\",\"copy\":"
    "\"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF\"}";

static const struct refusal of_filed[] = {
    {"8305926174402958", "", YZ_MISSING_FIELD, "receipt"},
    {"8305926174402958", "1111111111111111", YZ_INVALID_VALUE, "receipt"},
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
    {"[{\"keyId\":\"k1\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}]",
     "[]", YZ_MISSING_FIELD, "content"},
    {"[{\"keyId\":\"k1\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}]",
     "[{\"keyId\":\"k0\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k1\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k2\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k3\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k4\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k5\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k6\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k7\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k8\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k9\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k10\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k11\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k12\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k13\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k14\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k15\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k16\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}]",
     YZ_TOO_MANY, "content"},
    {"\"k1\"", "\"\"", YZ_MISSING_FIELD, "content[0].keyId"},
    {"\"k1\"", "\"k 1\"", YZ_INVALID_VALUE, "content[0].keyId"},
    {"[{\"keyId\":\"k1\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}]",
     "[{\"keyId\":\"k1\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k1\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}]",
     YZ_INVALID_VALUE, "content[1].keyId"},
    {"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH", "",
     YZ_MISSING_FIELD, "content[0].sealed"},
    {"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH",
     "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH", YZ_INVALID_VALUE,
     "content[0].sealed"},
    {"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH", BIG,
     YZ_TOO_LONG, "content[0].sealed"},
    {"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=", "", YZ_MISSING_FIELD, "replyKey"},
    {"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQ==",
     YZ_INVALID_VALUE, "replyKey"},
    {"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
     YZ_INVALID_VALUE, "replyKey"},
    {"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF", "", YZ_OK,
     ""},
    {"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF",
     "BQUFBQUFBQUFBQUFBQUFBQUFBQU=", YZ_INVALID_VALUE, "copy"},
};

static void filed_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("complaint.filed", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, filed, of_filed, COUNT(of_filed));
}

static const char added[] =
    "{\"receipt\":\"8305926174402958\",\"content\":[{\"keyId\":\"k1\",\"sealed\":"
    "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}],"
    "\"copy\":"
    "\"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF\"}";

static const struct refusal of_added[] = {
    {"8305926174402958", "12", YZ_INVALID_VALUE, "receipt"},
    {"8305926174402958", "", YZ_MISSING_FIELD, "receipt"},
    {"[{\"keyId\":\"k1\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}]",
     "[]", YZ_MISSING_FIELD, "content"},
    {"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF",
     "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF", YZ_INVALID_VALUE, "copy"},
    {"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF", BIG,
     YZ_TOO_LONG, "copy"},
};

static void added_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("complaint.message_added", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, added, of_added, COUNT(of_added));
}

static const char rated[] = "{\"receipt\":\"8305926174402958\",\"rating\":5}";

static const struct refusal of_rated[] = {
    {"8305926174402958", "", YZ_MISSING_FIELD, "receipt"},
    {":5", ":0", YZ_MISSING_FIELD, "rating"},
    {":5", ":6", YZ_INVALID_VALUE, "rating"},
    {":5", ":1", YZ_OK, ""},
};

static void rated_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("complaint.rated", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, rated, of_rated, COUNT(of_rated));
}

static const char handler[] =
    "{\"orgPath\":\"g1\",\"memberId\":\"h1\",\"homePath\":\"g1/"
    "o\",\"keyId\":\"k1\",\"publicKey\":\"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\",\"from\":"
    "\"2026-01-01T00:00:00Z\",\"until\":\"2027-01-01T00:00:00Z\",\"independent\":true,\"leads\":["
    "\"g1/c1\"]}";

static const struct refusal of_handler[] = {
    {"\"orgPath\":\"g1\"", "\"orgPath\":\"\"", YZ_MISSING_FIELD, "orgPath"},
    {"\"h1\"", "\"\"", YZ_MISSING_FIELD, "memberId"},
    {"\"h1\"", "\"h/1\"", YZ_INVALID_VALUE, "memberId"},
    {"\"g1/o\"", "\"\"", YZ_MISSING_FIELD, "homePath"},
    {"\"k1\"", "\"\"", YZ_MISSING_FIELD, "keyId"},
    {"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=", "", YZ_MISSING_FIELD, "publicKey"},
    {"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ",
     YZ_INVALID_VALUE, "publicKey"},
    {"\"from\":\"2026-01-01T00:00:00Z\",", "", YZ_MISSING_FIELD, "from"},
    {",\"until\":\"2027-01-01T00:00:00Z\"", "", YZ_MISSING_FIELD, "until"},
    {"2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z", YZ_INVALID_VALUE, "until"},
    {"2027-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", YZ_OK, ""},
    {"\"g1/c1\"", "\"g1/c1/\"", YZ_INVALID_VALUE, "leads[0]"},
    {"[\"g1/c1\"]", "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]", YZ_TOO_MANY,
     "leads"},
};

static void handler_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("complaint.handler_registered", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, handler, of_handler, COUNT(of_handler));
}

static const char acknowledged[] = "{\"complaintId\":\"c1\"}";

static const struct refusal of_acknowledged[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"c1", "c|1", YZ_INVALID_VALUE, "complaintId"},
};

static void acknowledged_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("complaint.acknowledged", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, acknowledged, of_acknowledged,
                    COUNT(of_acknowledged));
}

static const char replied[] =
    "{\"complaintId\":\"c1\",\"sealed\":"
    "\"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF\","
    "\"copies\":[{\"keyId\":\"k1\",\"sealed\":"
    "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}]}";

static const struct refusal of_replied[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF", "",
     YZ_MISSING_FIELD, "sealed"},
    {"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF",
     "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF", YZ_INVALID_VALUE,
     "sealed"},
    {"[{\"keyId\":\"k1\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}]",
     "[]", YZ_OK, ""},
    {"\"k1\"", "\"\"", YZ_MISSING_FIELD, "copies[0].keyId"},
};

static void replied_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("complaint.replied", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, replied, of_replied, COUNT(of_replied));
}

static const char asked[] = "{\"complaintId\":\"c1\",\"days\":30}";

static const struct refusal of_asked[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"30", "0", YZ_MISSING_FIELD, "days"},
    {"30", "366", YZ_INVALID_VALUE, "days"},
};

static void asked_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("complaint.extension_requested", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, asked, of_asked, COUNT(of_asked));
}

static const char extended[] = "{\"complaintId\":\"c1\",\"days\":30}";

static const struct refusal of_extended[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"30", "0", YZ_MISSING_FIELD, "days"},
    {"30", "400", YZ_INVALID_VALUE, "days"},
};

static void extended_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("complaint.extended", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, extended, of_extended, COUNT(of_extended));
}

static const char resolved[] =
    "{\"complaintId\":\"c1\",\"result\":\"UPHELD\",\"sealed\":"
    "\"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF\","
    "\"copies\":[{\"keyId\":\"k1\",\"sealed\":"
    "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}]}";

static const struct refusal of_resolved[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"UPHELD", "RESULT_UNSPECIFIED", YZ_MISSING_FIELD, "result"},
    {"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF", "",
     YZ_MISSING_FIELD, "sealed"},
    {"[{\"keyId\":\"k1\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}]",
     "[{\"keyId\":\"k0\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k1\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k2\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k3\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k4\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k5\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k6\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k7\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k8\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k9\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k10\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k11\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k12\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k13\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k14\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k15\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"},{"
     "\"keyId\":\"k16\",\"sealed\":"
     "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"}]",
     YZ_TOO_MANY, "copies"},
};

static void resolved_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("complaint.resolved", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, resolved, of_resolved, COUNT(of_resolved));
}

static const char rung[] =
    "{\"complaintId\":\"c1\",\"clock\":\"RESOLVE\",\"dueAt\":\"2026-01-01T00:00:00Z\"}";

static const struct refusal of_rung[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"\"RESOLVE\"", "\"CLOCK_UNSPECIFIED\"", YZ_MISSING_FIELD, "clock"},
    {",\"dueAt\":\"2026-01-01T00:00:00Z\"", "", YZ_MISSING_FIELD, "dueAt"},
};

static void rung_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("complaint.clock_rung", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, rung, of_rung, COUNT(of_rung));
}

static const char keys[] = "{\"orgPath\":\"g1/c1\",\"accused\":{\"memberId\":\"u9\"}}";

static const struct refusal of_keys[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"u9", "u 9", YZ_INVALID_VALUE, "accused.memberId"},
    {"\"memberId\":\"u9\"", "", YZ_MISSING_FIELD, "accused.orgPath"},
};

static void keys_is_checked(void **state)
{
    const struct yz_query_type *type = yz_query_type_find("complaint.keys", NULL);

    (void)state;
    assert_refusals(type->request, type->check, keys, of_keys, COUNT(of_keys));
}

static const char read[] = "{\"receipt\":\"8305926174402958\",\"limit\":50}";

static const struct refusal of_read[] = {
    {"8305926174402958", "0000000000000000", YZ_INVALID_VALUE, "receipt"},
    {"50", "51", YZ_INVALID_VALUE, "limit"},
    {"50", "0", YZ_OK, ""},
};

static void read_is_checked(void **state)
{
    const struct yz_query_type *type = yz_query_type_find("complaint.read", NULL);

    (void)state;
    assert_refusals(type->request, type->check, read, of_read, COUNT(of_read));
}

static const char mine[] = "{\"cursor\":\"000\",\"limit\":100}";

static const struct refusal of_mine[] = {
    {"100", "101", YZ_INVALID_VALUE, "limit"},
    {"000", "", YZ_OK, ""},
    {"000",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     YZ_TOO_LONG, "cursor"},
};

static void mine_is_checked(void **state)
{
    const struct yz_query_type *type = yz_query_type_find("complaint.mine", NULL);

    (void)state;
    assert_refusals(type->request, type->check, mine, of_mine, COUNT(of_mine));
}

static const char got[] = "{\"complaintId\":\"c1\",\"limit\":50,\"purpose\":\"办理\"}";

static const struct refusal of_got[] = {
    {"c1", "", YZ_MISSING_FIELD, "complaintId"},
    {"50", "51", YZ_INVALID_VALUE, "limit"},
    {"办理",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaa",
     YZ_TOO_LONG, "purpose"},
    {"办理", "", YZ_OK, ""},
};

static void got_is_checked(void **state)
{
    const struct yz_query_type *type = yz_query_type_find("complaint.get", NULL);

    (void)state;
    assert_refusals(type->request, type->check, got, of_got, COUNT(of_got));
}

static const char accesses[] = "{\"complaintId\":\"c1\",\"limit\":100,\"cursor\":\"000\"}";

static const struct refusal of_accesses[] = {
    {"c1", "c 1", YZ_INVALID_VALUE, "complaintId"},
    {"100", "101", YZ_INVALID_VALUE, "limit"},
    {"000",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     YZ_TOO_LONG, "cursor"},
};

static void accesses_is_checked(void **state)
{
    const struct yz_query_type *type = yz_query_type_find("complaint.accesses", NULL);

    (void)state;
    assert_refusals(type->request, type->check, accesses, of_accesses, COUNT(of_accesses));
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
        sample_test(filed_is_checked),        sample_test(added_is_checked),
        sample_test(rated_is_checked),        sample_test(handler_is_checked),
        sample_test(acknowledged_is_checked), sample_test(replied_is_checked),
        sample_test(asked_is_checked),        sample_test(extended_is_checked),
        sample_test(resolved_is_checked),     sample_test(rung_is_checked),
        sample_test(keys_is_checked),         sample_test(read_is_checked),
        sample_test(mine_is_checked),         sample_test(got_is_checked),
        sample_test(accesses_is_checked),     sample_test(receipt_and_id_are_one_aggregate),
        sample_test(authority_is_as_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
