/* receipt.h: the receipt by which somebody who is nobody finds his case again: 16 digits that the
 * client draws at random, and the form in which everybody behind the gateway knows it.
 *
 * In every message a string field with the name `receipt` is such a secret. A client sends the
 * digits; the gateway puts "$r1$" and 64 hex digits of their Argon2id hash in their place (see
 * receipt_hash.h) before anything is published; a worker refuses what is not in that form, as
 * the gateway refuses what is. So bus, database and logs never hold one, and who reads a hash there
 * cannot use it.
 *
 * Lifetime  none; the field is borrowed from its message.
 * Thread    any; pure.
 */
#ifndef YZ_RECEIPT_H
#define YZ_RECEIPT_H

#include "common/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#define YZ_RECEIPT_DIGITS        16
#define YZ_RECEIPT_HASH_BYTES    32
#define YZ_RECEIPT_MARK          "$r1$"
#define YZ_RECEIPT_CONCEALED_MAX (4 + 2 * YZ_RECEIPT_HASH_BYTES + 1)

/* The message's field; NULL: it has none. */
char **yz_receipt_field(const ProtobufCMessage *message);
bool yz_receipt_concealed(const char *text);
/* The message has the field, and it is not concealed. */
bool yz_receipt_in_clear(const ProtobufCMessage *message);
/* Id of the case that a concealed receipt opens: its hash, so that who knows the one does not know
 * the other. */
#define YZ_RECEIPT_CASE_MAX 33
void yz_receipt_case(const char *concealed, char out[YZ_RECEIPT_CASE_MAX]);
/* Either form. Of the digits: 16 of them, and not such as people choose (few different ones, a
 * row, a pattern that repeats). */
YZ_MUST_USE enum yz_err yz_check_receipt(const char *text, const char *field,
                                         struct yz_violation *v);

#endif
