/* document.h: fields of a stored document, and their protobuf counterparts.
 *
 * Lifetime  texts are borrowed from the document; wk_document_keep moves a row into an arena, where
 *           its texts then live as long as the reply does.
 * Thread    any; pure.
 * Limits    none of its own.
 *
 * A field that is absent or of another type reads as "", 0 or nothing, as in protobuf: documents of
 * earlier versions stay readable.
 */
#ifndef WK_DOCUMENT_H
#define WK_DOCUMENT_H

#include "schemas/arena.h"

#include <bson/bson.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

const char *wk_document_text(const bson_t *document, const char *field);
int64_t wk_document_number(const bson_t *document, const char *field);
/* A date as Unix milliseconds; 0: there is none. */
int64_t wk_document_time_ms(const bson_t *document, const char *field);
/* Borrowed; NULL and a length of 0: there are none. */
const uint8_t *wk_document_bytes(const bson_t *document, const char *field, uint32_t *len);
/* Begin to walk an array; false: there is none. */
bool wk_document_array(const bson_t *document, const char *field, bson_iter_t *entries);
/* The document at the iterator, a view; false: what is there is none. */
bool wk_document_at(const bson_iter_t *at, bson_t *view);
/* On to the next document of the array; false: there is no other. */
bool wk_document_next(bson_iter_t *entries, bson_t *view);

/* Its bytes as BSON. Not row->len: the library asks for more alignment of a bson_t than its own
 * allocations have. */
uint32_t wk_document_size(const bson_t *row);
/* Copy the row into the arena; *kept is a view of the copy and needs no destroying. false: the
 * arena is full. */
bool wk_document_keep(struct yz_arena *arena, const bson_t *row, bson_t *kept);

/* Enums are stored by name, "OPEN". A name that no longer exists reads as 0. */
const char *wk_document_enum_name(const ProtobufCEnumDescriptor *desc, int value);
int wk_document_enum(const bson_t *document, const char *field,
                     const ProtobufCEnumDescriptor *desc);

int64_t wk_timestamp_ms(const Google__Protobuf__Timestamp *time);
Google__Protobuf__Timestamp wk_timestamp(int64_t ms);
/* One in the arena; NULL when ms is 0 (no time) or the arena is full. */
Google__Protobuf__Timestamp *wk_timestamp_new(struct yz_arena *arena, int64_t ms);

#endif
