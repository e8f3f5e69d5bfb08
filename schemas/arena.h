/* arena.h: memory for one decoded message: taken piece by piece, given back all at once.
 *
 * Lifetime  what was allocated lives until yz_arena_reset or _deinit; single pieces are never
 * freed. An arena must not move in memory between _init and _deinit (its allocator points to it).
 * Thread    any; an arena belongs to one thread at a time.
 * Limits    max_bytes over all pieces; beyond it NULL. Decoding needs a multiple of the input:
 *           YZ_ARENA_FACTOR times the largest input plus YZ_ARENA_BASE holds every message that a
 *           limit on its input lets in.
 */
#ifndef YZ_ARENA_H
#define YZ_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#define YZ_ARENA_FACTOR 96
#define YZ_ARENA_BASE   65536

struct yz_arena {
    ProtobufCAllocator allocator;  /* hand this to protobuf-c */
    struct yz_arena_chunk *chunks; /* the newest first; the oldest is kept over resets */
    size_t used_bytes, max_bytes;
};

void yz_arena_init(struct yz_arena *arena, size_t max_bytes);
/* 8-byte aligned, zeroed; NULL when max_bytes is reached or memory runs out. */
void *yz_arena_alloc(struct yz_arena *arena, size_t size);
/* Forget everything allocated; keeps the first chunk. */
void yz_arena_reset(struct yz_arena *arena);
void yz_arena_deinit(struct yz_arena *arena);

#endif
