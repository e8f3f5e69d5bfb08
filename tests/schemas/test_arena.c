#include "tests/schemas/sample.h"

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
    struct yz_arena arena;
    uint8_t *last = NULL;

    (void)state;
    yz_arena_init(&arena, (size_t)1 << 20);
    for (int round = 0; round < 2; round++) {
        for (size_t size = 0; size < 300; size++) {
            uint8_t *piece = yz_arena_alloc(&arena, size);

            if (!piece || piece == last) {
                fail_msg("a piece of %zu bytes", size);
                return;
            }
            assert_int_equal((uintptr_t)piece % 8, 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(piece[i], 0);
            memset(piece, 0xAA, size);
            last = piece;
        }
        yz_arena_reset(&arena);
        assert_int_equal(arena.used_bytes, 0);
    }
    yz_arena_deinit(&arena);
}

static void maximum_holds(void **state)
{
    struct yz_arena arena;

    (void)state;
    yz_arena_init(&arena, 100000);
    assert_null(yz_arena_alloc(&arena, 100001));
    assert_null(yz_arena_alloc(&arena, SIZE_MAX));
    assert_null(yz_arena_alloc(&arena, SIZE_MAX - 6));
    assert_non_null(yz_arena_alloc(&arena, 60000));
    assert_non_null(yz_arena_alloc(&arena, 40000));
    assert_null(yz_arena_alloc(&arena, 1));
    assert_null(yz_arena_alloc(&arena, 0));
    yz_arena_reset(&arena);
    assert_non_null(yz_arena_alloc(&arena, 100000));
    yz_arena_deinit(&arena);
    yz_arena_deinit(&arena);
}

static void first_chunk_is_kept(void **state)
{
    struct yz_arena arena;
    void *first;

    (void)state;
    yz_arena_init(&arena, (size_t)1 << 20);
    first = yz_arena_alloc(&arena, 8);
    assert_non_null(yz_arena_alloc(&arena, 500000));
    yz_arena_reset(&arena);
    assert_ptr_equal(yz_arena_alloc(&arena, 8), first);
    yz_arena_deinit(&arena);
}

static void buffer_has_its_maximum(void **state)
{
    struct yz_buf buf;

    (void)state;
    yz_buf_init(&buf, 1000);
    for (int i = 0; i < 1000; i++)
        yz_buf_append(&buf, "x", 1);
    assert_false(buf.failed);
    assert_int_equal(buf.len, 1000);
    yz_buf_append(&buf, "", 0);
    assert_false(buf.failed);
    yz_buf_append(&buf, "y", 1);
    assert_true(buf.failed);
    assert_int_equal(buf.len, 1000);
    assert_int_equal(buf.data[999], 'x');
    assert_null(yz_buf_extend(&buf, 0));
    yz_buf_deinit(&buf);
    assert_int_equal(buf.len, 0);
    assert_false(buf.failed);
}

static void extended_room_is_the_callers(void **state)
{
    struct yz_buf buf;
    uint8_t *room;

    (void)state;
    yz_buf_init(&buf, SIZE_MAX);
    yz_buf_append(&buf, "ab", 2);
    room = yz_buf_extend(&buf, 500);
    assert_non_null(room);
    memset(room, 'c', 500);
    assert_int_equal(buf.len, 502);
    assert_memory_equal(buf.data, "abcc", 4);
    yz_buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(maximum_holds),
        cmocka_unit_test(first_chunk_is_kept),
        cmocka_unit_test(buffer_has_its_maximum),
        cmocka_unit_test(extended_room_is_the_callers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
