/* check.h: the checks of which the domains' contracts are made. Each fills v with the field and
 * says the error, or YZ_OK.
 *
 * Lifetime  none.
 * Thread    any.
 * Limits    lengths are in characters (code points), as a person counts them; counts in entries.
 *
 * field is the name as in JSON ("meetingId").
 */
#ifndef YZ_CHECK_H
#define YZ_CHECK_H

#include "common/err.h"

#include <google/protobuf/timestamp.pb-c.h>
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

YZ_MUST_USE enum yz_err yz_check_id(const char *id, const char *field, struct yz_violation *v);
YZ_MUST_USE enum yz_err yz_check_org_path(const char *path, const char *field,
                                          struct yz_violation *v);
/* At most max characters, whatever they are: what is no text of a person's, as a cursor. */
YZ_MUST_USE enum yz_err yz_check_length(const char *text, size_t max, const char *field,
                                        struct yz_violation *v);
/* At most max characters, of which a reader sees one; none at all only where it is optional. */
YZ_MUST_USE enum yz_err yz_check_text(const char *text, size_t max, const char *field,
                                      struct yz_violation *v);
YZ_MUST_USE enum yz_err yz_check_optional_text(const char *text, size_t max, const char *field,
                                               struct yz_violation *v);
/* A name or a title: such a text, on one line, without control characters. */
YZ_MUST_USE enum yz_err yz_check_name(const char *name, size_t max, const char *field,
                                      struct yz_violation *v);
YZ_MUST_USE enum yz_err yz_check_optional_name(const char *name, size_t max, const char *field,
                                               struct yz_violation *v);
/* Set, and a value that the schema knows. */
YZ_MUST_USE enum yz_err yz_check_enum(const ProtobufCEnumDescriptor *desc, int value,
                                      const char *field, struct yz_violation *v);
/* 0 (the default is meant) or low to high. */
YZ_MUST_USE enum yz_err yz_check_range(uint32_t value, uint32_t low, uint32_t high,
                                       const char *field, struct yz_violation *v);
YZ_MUST_USE enum yz_err yz_check_time(const Google__Protobuf__Timestamp *time, const char *field,
                                      struct yz_violation *v);
YZ_MUST_USE enum yz_err yz_check_optional_time(const Google__Protobuf__Timestamp *time,
                                               const char *field, struct yz_violation *v);
/* 1 to max ids, each once; the first that is wrong or stands again is named ("roster[3]"). max at
 * most YZ_CHECK_IDS_MAX. */
#define YZ_CHECK_IDS_MAX 5000
YZ_MUST_USE enum yz_err yz_check_ids(char *const *ids, size_t count, size_t max, const char *field,
                                     struct yz_violation *v);

#endif
