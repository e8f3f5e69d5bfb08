/* The registry of domains against the contracts: what may be sent is handled, and nothing else. */
#include "workers/registry.h"

#include <bson/bson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_every_contract_has_its_handler(void **state)
{
    (void)state;
    assert_int_equal(wk_registry_domain_count, yz_schema_count);
    for (size_t i = 0; i < yz_schema_count; i++) {
        assert_string_equal(wk_registry_domains[i]->name, yz_schemas[i]->name);
        for (const struct yz_event_type *e = yz_schemas[i]->events; e && e->name; e++) {
            const struct wk_event_handler *handler = wk_registry_event(e->name);

            assert_non_null(handler);
            assert_non_null(handler->judge);
            assert_non_null(handler->apply);
        }
        for (const struct yz_query_type *q = yz_schemas[i]->queries; q && q->name; q++)
            assert_non_null(wk_registry_query(q->name));
    }
}

static void test_every_handler_has_its_contract(void **state)
{
    (void)state;
    for (size_t i = 0; i < wk_registry_domain_count; i++) {
        const struct wk_domain *domain = wk_registry_domains[i];

        for (const struct wk_event_handler *e = domain->events; e->type; e++)
            assert_non_null(yz_event_type_find(e->type, NULL));
        for (const struct wk_query_handler *q = domain->queries; q->type; q++)
            assert_non_null(yz_query_type_find(q->type, NULL));
    }
}

static void test_unknown_types(void **state)
{
    (void)state;
    assert_null(wk_registry_event("meeting.abolished"));
    assert_null(wk_registry_event(""));
    assert_null(wk_registry_query("thread.posted"));
}

static void check_collections(const struct wk_collection *collection)
{
    for (; collection && collection->name; collection++) {
        for (const struct wk_index *i = collection->indexes; i && i->name; i++) {
            bson_error_t error;
            bson_t *keys = bson_new_from_json((const uint8_t *)i->keys, -1, &error);

            assert_non_null(keys);
            assert_true(bson_count_keys(keys) > 0);
            /* A TTL index has one field. */
            assert_true(i->expire_after_s == 0 || bson_count_keys(keys) == 1);
            bson_destroy(keys);
        }
    }
}

static void test_index_declarations(void **state)
{
    (void)state;
    check_collections(wk_registry_frame_collections);
    for (size_t i = 0; i < wk_registry_domain_count; i++)
        check_collections(wk_registry_domains[i]->collections);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_contract_has_its_handler),
        cmocka_unit_test(test_every_handler_has_its_contract),
        cmocka_unit_test(test_unknown_types),
        cmocka_unit_test(test_index_declarations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
