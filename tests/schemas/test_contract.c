#include "tests/schemas/sample.h"

#include "schemas/field.h"

#include <client.pb-c.h>
#include <envelope.pb-c.h>

static void types_are_found_by_name(void **state)
{
    static const char *const events[] = {"notice.published", "notice.read",    "meeting.convened",
                                         "meeting.opened",   "meeting.closed", "checkin.recorded",
                                         "thread.posted",    "auth.revoked",   "auth.restored"};
    static const char *const queries[] = {"event.outcome", "notice.list",      "notice.receipts",
                                          "meeting.get",   "meeting.code_key", "meeting.attendance",
                                          "thread.page",   "auth.revocations"};
    static const char *const pushes[] = {"event.outcome",
                                         "notice.posted",
                                         "notice.receipt_count",
                                         "meeting.announced",
                                         "meeting.state_changed",
                                         "checkin.confirmed",
                                         "meeting.attendance_count",
                                         "thread.post",
                                         "auth.revocation"};
    const struct yz_domain_schema *domain = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT(events); i++)
        assert_string_equal(yz_event_type_find(events[i], NULL)->name, events[i]);
    for (size_t i = 0; i < COUNT(queries); i++)
        assert_string_equal(yz_query_type_find(queries[i], NULL)->name, queries[i]);
    for (size_t i = 0; i < COUNT(pushes); i++)
        assert_string_equal(yz_push_type_find(pushes[i])->name, pushes[i]);
    yz_event_type_find("checkin.recorded", &domain);
    assert_ptr_equal(domain, &yz_schema_meeting);
    yz_query_type_find("thread.page", &domain);
    assert_ptr_equal(domain, &yz_schema_thread);
    assert_null(yz_event_type_find("thread.page", NULL));
    assert_null(yz_event_type_find("", NULL));
    assert_null(yz_query_type_find("notice.posted", NULL));
    assert_null(yz_push_type_find("notice.published"));
}

static bool needs_no_org(enum yz_authority authority)
{
    return authority == YZ_BY_ANYONE || authority == YZ_BY_MEMBER_DISCREETLY ||
           authority == YZ_BY_SYSTEM;
}

/* Each table is whole, and no name stands twice. */
static void tables_are_whole(void **state)
{
    (void)state;
    assert_true(yz_schema_count > 0);
    for (size_t i = 0; i < yz_schema_count; i++) {
        for (const struct yz_event_type *t = yz_schemas[i]->events; t->name; t++) {
            assert_ptr_equal(yz_event_type_find(t->name, NULL), t);
            assert_true(t->payload && t->check && t->aggregate);
            assert_true(strlen(t->name) < YZ_TYPE_MAX);
            assert_true(t->authority == YZ_BY_MEMBER || needs_no_org(t->authority) || t->org_path);
        }
        for (const struct yz_query_type *t = yz_schemas[i]->queries; t->name; t++) {
            assert_ptr_equal(yz_query_type_find(t->name, NULL), t);
            assert_true(t->request && t->reply);
            assert_true(t->authority == YZ_BY_MEMBER || needs_no_org(t->authority) || t->org_path);
        }
        for (const struct yz_push_type *t = yz_schemas[i]->pushes; t->name; t++)
            assert_ptr_equal(yz_push_type_find(t->name), t);
    }
}

static void payloads_are_resolved_by_container(void **state)
{
    const struct yz_query_type *query = yz_query_type_find("event.outcome", NULL);

    (void)state;
    assert_ptr_equal(yz_payload_resolve(&yizhan__v1__emit__descriptor, "notice.read"),
                     yz_event_type_find("notice.read", NULL)->payload);
    assert_ptr_equal(yz_payload_resolve(&yizhan__v1__query__descriptor, "event.outcome"),
                     query->request);
    assert_ptr_equal(yz_payload_resolve(&yizhan__v1__query_result__descriptor, "event.outcome"),
                     query->reply);
    assert_ptr_equal(yz_payload_resolve(&yizhan__v1__push__descriptor, "event.outcome"),
                     &yizhan__v1__outcome__descriptor);
    assert_null(yz_payload_resolve(&yizhan__v1__emit__descriptor, "event.outcome"));
    assert_null(yz_payload_resolve(&yizhan__v1__push__descriptor, "notice.read"));
    assert_null(yz_payload_resolve(&yizhan__v1__hello__descriptor, "notice.read"));
}

struct authority_case {
    const char *roles, *home, *org;
    bool member, of_org, overseer, secretary, admin;
};

static const struct authority_case authorities[] = {
    {"member", "g1/c1/b1", "g1/c1/b1", true, true, false, false, false},
    {"member", "g1/c1/b1", "g1/c1", true, true, false, false, false},
    {"member", "g1/c1/b1", "g1", true, true, false, false, false},
    {"member", "g1/c1/b1", "g1/c1/b2", true, false, false, false, false},
    {"member", "g1/c1/b1", "g1/c1/b1/x", true, false, false, false, false},
    {"member", "g1/c1/b1", "g1/c1/b", true, false, false, false, false},
    {"member", "g1/c1/b1", "", true, false, false, false, false},
    {"", "g1/c1/b1", "g1/c1/b1", false, false, false, false, false},
    {"public", "g1/c1/b1", "g1/c1/b1", false, false, false, false, false},
    {"public@g1", "g1/c1/b1", "g1/c1/b1", false, false, false, false, false},
    {"members", "g1/c1/b1", "g1/c1/b1", false, false, false, false, false},
    {"secretary@g1/c1", "g1/c1/b1", "g1/c1", true, true, true, true, false},
    {"secretary@g1/c1", "g1/c1/b1", "g1/c1/b9", true, true, true, true, false},
    {"secretary@g1/c1", "g1/c1/b1", "g1", true, true, false, false, false},
    {"secretary@g1/c1", "g1/c1/b1", "g1/c10", true, false, false, false, false},
    {"secretary@g1/c1", "g1/c1/b1", "g2/c1", true, false, false, false, false},
    {"secretary", "g1/c1/b1", "g1/c1/b1", true, true, false, false, false},
    {"secretary@", "g1/c1/b1", "g1/c1/b1", true, true, false, false, false},
    {"inspector@g1", "g1/c1/b1", "g1/c2/b7", true, true, true, false, false},
    {"admin@g1", "g1/c1/b1", "g1/c2/b7", true, true, true, true, true},
    {"admin@g1/c1", "g1/c1/b1", "g1", true, true, false, false, false},
    {"admin", "g1/c1/b1", "g1/c1/b1", true, true, false, false, false},
    {"member,public,secretary@g2", "g1/c1/b1", "g2/c5", true, true, true, true, false},
    {"member,inspector@g2/c5", "g1/c1/b1", "g2/c5/b1", true, true, true, false, false},
};

static void roles_decide(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(authorities); i++) {
        const struct authority_case *c = &authorities[i];
        struct yz_actor actor = {.tenant = "t1", .member = "u1"};

        snprintf(actor.roles, sizeof actor.roles, "%s", c->roles);
        snprintf(actor.org_path, sizeof actor.org_path, "%s", c->home);
        if ((yz_authorize(YZ_BY_MEMBER, &actor, c->org) == YZ_OK) != c->member ||
            (yz_authorize(YZ_BY_MEMBER_OF_ORG, &actor, c->org) == YZ_OK) != c->of_org ||
            (yz_authorize(YZ_BY_OVERSEER, &actor, c->org) == YZ_OK) != c->overseer ||
            (yz_authorize(YZ_BY_SECRETARY, &actor, c->org) == YZ_OK) != c->secretary ||
            (yz_authorize(YZ_BY_ADMIN, &actor, c->org) == YZ_OK) != c->admin)
            fail_msg("roles %s at %s over %s", c->roles, c->home, c->org);
    }
}

static void own_org_is_meant_when_none_is_named(void **state)
{
    struct yz_actor actor = {"t1", "u1", "g1/c1", "secretary@g1"};

    (void)state;
    assert_int_equal(yz_authorize(YZ_BY_SECRETARY, &actor, NULL), YZ_OK);
    snprintf(actor.roles, sizeof actor.roles, "member,secretary@g2");
    assert_int_equal(yz_authorize(YZ_BY_SECRETARY, &actor, NULL), YZ_FORBIDDEN);
    assert_int_equal(yz_authorize(YZ_BY_MEMBER_OF_ORG, &actor, NULL), YZ_OK);
}

struct channel_case {
    const char *roles, *channel;
    bool allowed;
};

/* The actor is u1 of g1/c1/b1. */
static const struct channel_case channels[] = {
    {"member", "member.u1", true},
    {"member", "member.u2", false},
    {"admin@g1", "member.u2", false},
    {"public", "member.u1", false},
    {"member", "org.g1/c1/b1", true},
    {"member", "org.g1/c1", true},
    {"member", "org.g1", true},
    {"member", "org.g1/c1/b2", false},
    {"member", "org.g1/c1/b1/x", false},
    {"public", "org.g1", false},
    {"member", "meeting.g1/c1/b1.m1", true},
    {"member", "meeting.g1.m1", true},
    {"member", "meeting.g1/c2.m1", false},
    {"member", "thread.g1/c1/b1.t1", true},
    {"member", "thread.g2.t1", false},
    {"public", "thread.g1/c1/b1.t1", false},
    {"secretary@g1/c2", "org.g1/c2/b5", true},
    {"secretary@g1/c2", "meeting.g1/c2/b5.m", true},
    {"inspector@g1/c2", "thread.g1/c2.t", true},
    {"inspector@g1/c2", "thread.g1/c3.t", false},
};

static void channels_follow_the_token(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(channels); i++) {
        struct yz_actor actor = {"t1", "u1", "g1/c1/b1", ""};
        struct yz_channel channel;

        snprintf(actor.roles, sizeof actor.roles, "%s", channels[i].roles);
        assert_true(yz_channel_parse(channels[i].channel, &channel));
        if (yz_may_subscribe(&actor, &channel) != channels[i].allowed)
            fail_msg("roles %s, channel %s", channels[i].roles, channels[i].channel);
    }
}

/* The codec's bound on fields and on depth holds for every message of the system. */
static int depth_of(const ProtobufCMessageDescriptor *desc, int depth)
{
    int deepest = depth;

    assert_true(desc->n_fields <= YZ_FIELDS_MAX);
    assert_true(depth <= YZ_DEPTH_MAX / 2);
    for (unsigned i = 0; i < desc->n_fields; i++) {
        int below = desc->fields[i].type == PROTOBUF_C_TYPE_MESSAGE
                        ? depth_of(desc->fields[i].descriptor, depth + 1)
                        : depth;

        deepest = below > deepest ? below : deepest;
    }
    return deepest;
}

static void messages_fit_the_codec(void **state)
{
    (void)state;
    depth_of(&yizhan__v1__client_frame__descriptor, 1);
    depth_of(&yizhan__v1__server_frame__descriptor, 1);
    for (size_t i = 0; i < yz_schema_count; i++) {
        for (const struct yz_event_type *t = yz_schemas[i]->events; t->name; t++)
            depth_of(t->payload, 1);
        for (const struct yz_query_type *t = yz_schemas[i]->queries; t->name; t++) {
            depth_of(t->request, 1);
            depth_of(t->reply, 1);
        }
        for (const struct yz_push_type *t = yz_schemas[i]->pushes; t->name; t++)
            depth_of(t->payload, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_found_by_name),
        cmocka_unit_test(tables_are_whole),
        cmocka_unit_test(payloads_are_resolved_by_container),
        cmocka_unit_test(roles_decide),
        cmocka_unit_test(own_org_is_meant_when_none_is_named),
        cmocka_unit_test(channels_follow_the_token),
        cmocka_unit_test(messages_fit_the_codec),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
