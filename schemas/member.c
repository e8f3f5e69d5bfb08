/* The domain `member`: members' files. */
#include "schemas/contract.h"

#include "schemas/check.h"

#include <member.pb-c.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_CHARS  64
#define TEXT_MAX_CHARS  64
#define BASIS_MAX_CHARS 200
#define CURSOR_MAX      256
#define ID_NUMBER_LEN   18
#define PHONE_MIN       5
#define PHONE_MAX       20
#define DUES_BASE_MAX   UINT64_C(1000000000000)
#define ROLES_COUNT_MAX 16
#define PAGE_MAX        100
#define LAST_CHANGEABLE YIZHAN__V1__MEMBER_FIELD__FIELD_ROLES

static bool all_digits(const char *text, size_t len)
{
    return strspn(text, "0123456789") >= len;
}

static int number_of(const char *digits, size_t len)
{
    int number = 0;

    for (size_t i = 0; i < len; i++)
        number = number * 10 + digits[i] - '0';
    return number;
}

static bool day_exists(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return year >= 1900 && year <= 2200 && month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && leap);
}

static enum yz_err check_date(const char *text, const char *field, struct yz_violation *v)
{
    if (!*text)
        return YZ_OK;
    if (strlen(text) == 10 && all_digits(text, 4) && text[4] == '-' && all_digits(text + 5, 2) &&
        text[7] == '-' && all_digits(text + 8, 2) &&
        day_exists(number_of(text, 4), number_of(text + 5, 2), number_of(text + 8, 2)))
        return YZ_OK;
    return yz_violate(v, YZ_INVALID_VALUE, field, "A date is a day that exists, as 1990-03-07.");
}

/* GB 11643-1999: seventeen digits, weighted, modulo 11 give the eighteenth. */
static enum yz_err check_id_number(const char *text, struct yz_violation *v)
{
    static const int weights[] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
    int sum = 0;

    if (!*text)
        return YZ_OK;
    if (strlen(text) != ID_NUMBER_LEN || !all_digits(text, ID_NUMBER_LEN - 1) ||
        !day_exists(number_of(text + 6, 4), number_of(text + 10, 2), number_of(text + 12, 2)))
        return yz_violate(v, YZ_INVALID_VALUE, "file.idNumber",
                          "An id number is 17 digits, with a day of birth, and a check digit.");
    for (int i = 0; i < ID_NUMBER_LEN - 1; i++)
        sum += (text[i] - '0') * weights[i];
    if (text[ID_NUMBER_LEN - 1] != "10X98765432"[sum % 11])
        return yz_violate(v, YZ_INVALID_VALUE, "file.idNumber",
                          "The check digit of the id number is wrong.");
    return YZ_OK;
}

static enum yz_err check_phone(const char *text, struct yz_violation *v)
{
    const char *digits = text + (*text == '+');
    size_t len = strlen(digits);

    if (!*text || (len >= PHONE_MIN && len <= PHONE_MAX && all_digits(digits, len)))
        return YZ_OK;
    return yz_violate(v, YZ_INVALID_VALUE, "file.phone",
                      "A phone number is 5 to 20 digits, + before them or not.");
}

static enum yz_err check_role(const Yizhan__V1__MemberRoleTerm *term, size_t index,
                              struct yz_violation *v)
{
    char field[YZ_FIELD_MAX];
    enum yz_err err;

    snprintf(field, sizeof field, "file.roles[%zu].role", index);
    if ((err = yz_check_enum(&yizhan__v1__member_role__descriptor, (int)term->role, field, v)))
        return err;
    snprintf(field, sizeof field, "file.roles[%zu].scope", index);
    if ((err = yz_check_org_path(term->scope, field, v)))
        return err;
    snprintf(field, sizeof field, "file.roles[%zu].from", index);
    if ((err = yz_check_optional_time(term->from, field, v)))
        return err;
    snprintf(field, sizeof field, "file.roles[%zu].until", index);
    if ((err = yz_check_optional_time(term->until, field, v)))
        return err;
    if (term->from && term->until && term->until->seconds <= term->from->seconds)
        return yz_violate(v, YZ_INVALID_VALUE, field, "A term ends after it begins.");
    return YZ_OK;
}

/* Together they must go into a token: "member,secretary@g1/c1,…". */
static enum yz_err check_roles(const Yizhan__V1__MemberFile *file, struct yz_violation *v)
{
    size_t len = strlen("member");

    if (file->n_roles > ROLES_COUNT_MAX)
        return yz_violate(v, YZ_TOO_MANY, "file.roles", NULL);
    for (size_t i = 0; i < file->n_roles; i++) {
        enum yz_err err = check_role(file->roles[i], i, v);

        if (err)
            return err;
        len += strlen(",secretary@") + strlen(file->roles[i]->scope);
    }
    return len < YZ_ROLES_MAX ? YZ_OK : yz_violate(v, YZ_TOO_LONG, "file.roles", NULL);
}

/* What a file may hold, whether there or not. */
static enum yz_err check_values(const Yizhan__V1__MemberFile *file, struct yz_violation *v)
{
    enum yz_err err;

    if ((err = yz_check_optional_name(file->name, NAME_MAX_CHARS, "file.name", v)) ||
        (file->kind && (err = yz_check_enum(&yizhan__v1__member_kind__descriptor, (int)file->kind,
                                            "file.kind", v))) ||
        (file->gender && (err = yz_check_enum(&yizhan__v1__member_gender__descriptor,
                                              (int)file->gender, "file.gender", v))) ||
        (err = check_date(file->birthday, "file.birthday", v)) ||
        (err = check_date(file->joined_on, "file.joinedOn", v)) ||
        (err = check_date(file->full_on, "file.fullOn", v)) ||
        (err = yz_check_optional_name(file->education, TEXT_MAX_CHARS, "file.education", v)) ||
        (err = yz_check_optional_name(file->position, TEXT_MAX_CHARS, "file.position", v)) ||
        (err = check_id_number(file->id_number, v)) || (err = check_phone(file->phone, v)))
        return err;
    if (file->dues_base_fen > DUES_BASE_MAX)
        return yz_violate(v, YZ_INVALID_VALUE, "file.duesBaseFen", NULL);
    return check_roles(file, v);
}

/* Nobody is without a name and a kind. */
static enum yz_err check_name(const Yizhan__V1__MemberFile *file, struct yz_violation *v)
{
    return *file->name ? YZ_OK : yz_violate(v, YZ_MISSING_FIELD, "file.name", NULL);
}

static enum yz_err check_kind(const Yizhan__V1__MemberFile *file, struct yz_violation *v)
{
    return yz_check_enum(&yizhan__v1__member_kind__descriptor, (int)file->kind, "file.kind", v);
}

/* Of a change the worker judges it: the other day may stand in the file. */
static enum yz_err check_days(const Yizhan__V1__MemberFile *file, struct yz_violation *v)
{
    if (*file->birthday && *file->joined_on && strcmp(file->joined_on, file->birthday) < 0)
        return yz_violate(v, YZ_INVALID_VALUE, "file.joinedOn", "It is before the birthday.");
    return YZ_OK;
}

static enum yz_err check_registered(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberRegistered *registered = (const Yizhan__V1__MemberRegistered *)message;
    enum yz_err err;

    if ((err = yz_check_org_path(registered->org_path, "orgPath", v)) ||
        (err = yz_check_id(registered->member_id, "memberId", v)))
        return err;
    if (!registered->file)
        return yz_violate(v, YZ_MISSING_FIELD, "file", NULL);
    if ((err = check_name(registered->file, v)) || (err = check_kind(registered->file, v)) ||
        (err = check_values(registered->file, v)) || (err = check_days(registered->file, v)))
        return err;
    return yz_check_text(registered->basis, BASIS_MAX_CHARS, "basis", v);
}

/* Orgs, member and revision, which every change of a file names. */
static enum yz_err check_named(const char *org_path, const char *member_id, uint64_t revision,
                               struct yz_violation *v)
{
    enum yz_err err;

    if ((err = yz_check_org_path(org_path, "orgPath", v)) ||
        (err = yz_check_id(member_id, "memberId", v)))
        return err;
    if (revision == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "revision", NULL);
    return revision > 1 && revision <= INT64_MAX
               ? YZ_OK
               : yz_violate(v, YZ_INVALID_VALUE, "revision",
                            "The first change of a file is its revision 2.");
}

static enum yz_err check_field(const Yizhan__V1__MemberChanged *changed, size_t index,
                               struct yz_violation *v)
{
    Yizhan__V1__MemberField field = changed->fields[index];
    char name[YZ_FIELD_MAX];

    snprintf(name, sizeof name, "fields[%zu]", index);
    if (field == 0 || field > LAST_CHANGEABLE ||
        !protobuf_c_enum_descriptor_get_value(&yizhan__v1__member_field__descriptor, (int)field))
        return yz_violate(v, YZ_INVALID_VALUE, name, "There is no such field to be changed.");
    for (size_t i = 0; i < index; i++) {
        if (changed->fields[i] == field)
            return yz_violate(v, YZ_INVALID_VALUE, name, "The entry stands twice.");
    }
    if (field == YIZHAN__V1__MEMBER_FIELD__FIELD_NAME)
        return check_name(changed->file, v);
    return field == YIZHAN__V1__MEMBER_FIELD__FIELD_KIND ? check_kind(changed->file, v) : YZ_OK;
}

static enum yz_err check_fields(const Yizhan__V1__MemberChanged *changed, struct yz_violation *v)
{
    enum yz_err err = YZ_OK;

    if (changed->n_fields == 0 && !*changed->new_org_path)
        return yz_violate(v, YZ_MISSING_FIELD, "fields", NULL);
    if (changed->n_fields > LAST_CHANGEABLE)
        return yz_violate(v, YZ_TOO_MANY, "fields", NULL);
    if (changed->n_fields > 0 && !changed->file)
        return yz_violate(v, YZ_MISSING_FIELD, "file", NULL);
    for (size_t i = 0; !err && i < changed->n_fields; i++)
        err = check_field(changed, i, v);
    if (!err && changed->file)
        err = check_values(changed->file, v);
    return err;
}

static enum yz_err check_changed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberChanged *changed = (const Yizhan__V1__MemberChanged *)message;
    enum yz_err err;

    if ((err = check_named(changed->org_path, changed->member_id, changed->revision, v)) ||
        (*changed->new_org_path &&
         (err = yz_check_org_path(changed->new_org_path, "newOrgPath", v))) ||
        (err = check_fields(changed, v)))
        return err;
    if (strcmp(changed->org_path, changed->new_org_path) == 0)
        return yz_violate(v, YZ_INVALID_VALUE, "newOrgPath", "This is the member's branch now.");
    return yz_check_text(changed->basis, BASIS_MAX_CHARS, "basis", v);
}

static enum yz_err check_archived(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberArchived *archived = (const Yizhan__V1__MemberArchived *)message;
    enum yz_err err;

    if ((err = check_named(archived->org_path, archived->member_id, archived->revision, v)) ||
        (err = yz_check_text(archived->reason, BASIS_MAX_CHARS, "reason", v)))
        return err;
    return yz_check_text(archived->basis, BASIS_MAX_CHARS, "basis", v);
}

static enum yz_err check_key_deleted(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberKeyDeleted *deleted = (const Yizhan__V1__MemberKeyDeleted *)message;
    enum yz_err err = check_named(deleted->org_path, deleted->member_id, deleted->revision, v);

    return err ? err : yz_check_text(deleted->basis, BASIS_MAX_CHARS, "basis", v);
}

/* The system's own are checked as well: a row may be of another version. */
static enum yz_err check_placed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberPlaced *placed = (const Yizhan__V1__MemberPlaced *)message;
    enum yz_err err = yz_check_org_path(placed->org_path, "orgPath", v);

    return err ? err : yz_check_id(placed->member_id, "memberId", v);
}

static enum yz_err check_role_held(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberRoleHeld *held = (const Yizhan__V1__MemberRoleHeld *)message;
    enum yz_err err = yz_check_org_path(held->org_path, "orgPath", v);

    return err ? err : yz_check_id(held->member_id, "memberId", v);
}

static enum yz_err check_term_passed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberTermPassed *passed = (const Yizhan__V1__MemberTermPassed *)message;
    enum yz_err err;

    if ((err = yz_check_org_path(passed->org_path, "orgPath", v)) ||
        (err = yz_check_id(passed->member_id, "memberId", v)))
        return err;
    return yz_check_time(passed->at, "at", v);
}

static enum yz_err check_branch_moved(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberBranchMoved *moved = (const Yizhan__V1__MemberBranchMoved *)message;
    enum yz_err err = yz_check_org_path(moved->org_path, "orgPath", v);

    return err || !*moved->to ? err : yz_check_org_path(moved->to, "to", v);
}

static enum yz_err check_followed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberFollowed *followed = (const Yizhan__V1__MemberFollowed *)message;
    enum yz_err err;

    if ((err = yz_check_org_path(followed->org_path, "orgPath", v)) ||
        (err = yz_check_id(followed->member_id, "memberId", v)))
        return err;
    return yz_check_org_path(followed->to, "to", v);
}

#define OF_MEMBER(name, Message)                                                                   \
    static const char *org_of_##name(const ProtobufCMessage *message)                              \
    {                                                                                              \
        return ((const Message *)message)->org_path;                                               \
    }                                                                                              \
    static void aggregate_of_##name(const ProtobufCMessage *message, const struct yz_actor *actor, \
                                    char out[YZ_AGGREGATE_MAX])                                    \
    {                                                                                              \
        (void)actor;                                                                               \
        snprintf(out, YZ_AGGREGATE_MAX, "member|%s", ((const Message *)message)->member_id);       \
    }
#define OF_BRANCH(name, Message)                                                                   \
    static const char *org_of_##name(const ProtobufCMessage *message)                              \
    {                                                                                              \
        return ((const Message *)message)->org_path;                                               \
    }                                                                                              \
    static void aggregate_of_##name(const ProtobufCMessage *message, const struct yz_actor *actor, \
                                    char out[YZ_AGGREGATE_MAX])                                    \
    {                                                                                              \
        (void)actor;                                                                               \
        snprintf(out, YZ_AGGREGATE_MAX, "branch|%s", ((const Message *)message)->org_path);        \
    }
OF_MEMBER(registered, Yizhan__V1__MemberRegistered)
OF_MEMBER(changed, Yizhan__V1__MemberChanged)
OF_MEMBER(archived, Yizhan__V1__MemberArchived)
OF_MEMBER(key_deleted, Yizhan__V1__MemberKeyDeleted)
OF_MEMBER(term_passed, Yizhan__V1__MemberTermPassed)
OF_MEMBER(followed, Yizhan__V1__MemberFollowed)
OF_BRANCH(placed, Yizhan__V1__MemberPlaced)
OF_BRANCH(role_held, Yizhan__V1__MemberRoleHeld)
OF_BRANCH(branch_moved, Yizhan__V1__MemberBranchMoved)
#undef OF_MEMBER
#undef OF_BRANCH

static enum yz_err check_cursor(const char *text, const char *field, struct yz_violation *v)
{
    return yz_check_length(text, CURSOR_MAX, field, v);
}

static enum yz_err check_search(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberSearchRequest *request =
        (const Yizhan__V1__MemberSearchRequest *)message;
    enum yz_err err;

    if ((err = yz_check_org_path(request->org_path, "orgPath", v)) ||
        (err = yz_check_length(request->name_prefix, NAME_MAX_CHARS, "namePrefix", v)) ||
        (request->status && (err = yz_check_enum(&yizhan__v1__member_status__descriptor,
                                                 (int)request->status, "status", v))) ||
        (err = check_cursor(request->after, "after", v)))
        return err;
    return yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static const char *org_of_search(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__MemberSearchRequest *)message)->org_path;
}

/* Whether a purpose is needed is known with the actor. */
static enum yz_err check_get(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberGetRequest *request = (const Yizhan__V1__MemberGetRequest *)message;
    enum yz_err err;

    if (*request->member_id && (err = yz_check_id(request->member_id, "memberId", v)))
        return err;
    return yz_check_optional_text(request->purpose, BASIS_MAX_CHARS, "purpose", v);
}

static enum yz_err check_changes(const ProtobufCMessage *message, struct yz_violation *v)
{
    return yz_check_range(((const Yizhan__V1__MemberChangesRequest *)message)->limit, 1, PAGE_MAX,
                          "limit", v);
}

static enum yz_err check_accesses(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberAccessesRequest *request =
        (const Yizhan__V1__MemberAccessesRequest *)message;
    enum yz_err err = check_cursor(request->before, "before", v);

    return err ? err : yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static enum yz_err check_roster(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MemberRosterRequest *request =
        (const Yizhan__V1__MemberRosterRequest *)message;
    enum yz_err err = yz_check_org_path(request->org_path, "orgPath", v);

    return err ? err : yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static const char *org_of_roster(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__MemberRosterRequest *)message)->org_path;
}

static const struct yz_event_type events[] = {
    {"member.registered", &yizhan__v1__member_registered__descriptor, YZ_BY_SECRETARY,
     check_registered, org_of_registered, aggregate_of_registered},
    {"member.changed", &yizhan__v1__member_changed__descriptor, YZ_BY_SECRETARY, check_changed,
     org_of_changed, aggregate_of_changed},
    {"member.archived", &yizhan__v1__member_archived__descriptor, YZ_BY_SECRETARY, check_archived,
     org_of_archived, aggregate_of_archived},
    {"member.key_deleted", &yizhan__v1__member_key_deleted__descriptor, YZ_BY_SECRETARY,
     check_key_deleted, org_of_key_deleted, aggregate_of_key_deleted},
    {"member.placed", &yizhan__v1__member_placed__descriptor, YZ_BY_SYSTEM, check_placed,
     org_of_placed, aggregate_of_placed},
    {"member.term_passed", &yizhan__v1__member_term_passed__descriptor, YZ_BY_SYSTEM,
     check_term_passed, org_of_term_passed, aggregate_of_term_passed},
    {"member.role_held", &yizhan__v1__member_role_held__descriptor, YZ_BY_SYSTEM, check_role_held,
     org_of_role_held, aggregate_of_role_held},
    {"member.branch_moved", &yizhan__v1__member_branch_moved__descriptor, YZ_BY_SYSTEM,
     check_branch_moved, org_of_branch_moved, aggregate_of_branch_moved},
    {"member.followed", &yizhan__v1__member_followed__descriptor, YZ_BY_SYSTEM, check_followed,
     org_of_followed, aggregate_of_followed},
    {0},
};

static const struct yz_query_type queries[] = {
    {"member.search", &yizhan__v1__member_search_request__descriptor,
     &yizhan__v1__member_search_reply__descriptor, YZ_BY_OVERSEER, check_search, org_of_search,
     YZ_BY_POST},
    {"member.get", &yizhan__v1__member_get_request__descriptor,
     &yizhan__v1__member_get_reply__descriptor, YZ_BY_MEMBER, check_get, NULL, YZ_BY_GET},
    {"member.changes", &yizhan__v1__member_changes_request__descriptor,
     &yizhan__v1__member_changes_reply__descriptor, YZ_BY_MEMBER, check_changes, NULL, YZ_BY_GET},
    {"member.accesses", &yizhan__v1__member_accesses_request__descriptor,
     &yizhan__v1__member_accesses_reply__descriptor, YZ_BY_MEMBER, check_accesses, NULL, YZ_BY_GET},
    {"member.roster", &yizhan__v1__member_roster_request__descriptor,
     &yizhan__v1__member_roster_reply__descriptor, YZ_BY_OVERSEER, check_roster, org_of_roster,
     YZ_BY_GET},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"member.file_changed", &yizhan__v1__member_file_changed__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_member = {"member", events, queries, pushes};
