#include "schemas/arena.h"

#include "common/memory.h"

#include <sanitizer/asan_interface.h> /* nothing without AddressSanitizer */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 16384

struct yz_arena_chunk {
    struct yz_arena_chunk *older;
    size_t size, used;
    uint64_t data[]; /* for its alignment */
};

static void *allocator_alloc(void *arena, size_t size)
{
    return yz_arena_alloc(arena, size);
}

static void allocator_free(void *arena, void *piece)
{
    (void)arena;
    (void)piece;
}

void yz_arena_init(struct yz_arena *arena, size_t max_bytes)
{
    *arena = (struct yz_arena){
        .allocator = {allocator_alloc, allocator_free, arena},
        .max_bytes = max_bytes,
    };
}

static struct yz_arena_chunk *add_chunk(struct yz_arena *arena, size_t size)
{
    size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
    struct yz_arena_chunk *chunk = yz_malloc(sizeof *chunk + room);

    if (!chunk)
        return NULL;
    chunk->older = arena->chunks;
    chunk->size = room;
    chunk->used = 0;
    arena->chunks = chunk;
    ASAN_POISON_MEMORY_REGION(chunk->data, room);
    return chunk;
}

void *yz_arena_alloc(struct yz_arena *arena, size_t size)
{
    struct yz_arena_chunk *chunk = arena->chunks;
    size_t rounded = (size + 7) & ~(size_t)7;
    void *piece;

    /* An empty piece has an address of its own too, so that NULL means failure only. */
    if (size == 0)
        rounded = 8;
    if (rounded < size || rounded > arena->max_bytes - arena->used_bytes)
        return NULL;
    if (!chunk || rounded > chunk->size - chunk->used) {
        chunk = add_chunk(arena, rounded);
        if (!chunk)
            return NULL;
    }
    piece = (uint8_t *)chunk->data + chunk->used;
    chunk->used += rounded;
    arena->used_bytes += rounded;
    ASAN_UNPOISON_MEMORY_REGION(piece, size);
    return memset(piece, 0, size);
}

void yz_arena_reset(struct yz_arena *arena)
{
    while (arena->chunks && arena->chunks->older) {
        struct yz_arena_chunk *chunk = arena->chunks;

        arena->chunks = chunk->older;
        free(chunk);
    }
    if (arena->chunks) {
        arena->chunks->used = 0;
        ASAN_POISON_MEMORY_REGION(arena->chunks->data, arena->chunks->size);
    }
    arena->used_bytes = 0;
}

void yz_arena_deinit(struct yz_arena *arena)
{
    yz_arena_reset(arena);
    free(arena->chunks);
    arena->chunks = NULL;
}
