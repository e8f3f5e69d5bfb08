/* frame_checks.h: what must hold of every client frame that a decoder let in.
 *
 * Lifetime  the frame is borrowed.
 * Thread    one.
 */
#ifndef FRAME_CHECKS_H
#define FRAME_CHECKS_H

#include "schemas/codec.h"

#include <client.pb-c.h>

/* Its protobuf decodes into the same bytes again; so does its JSON when each payload is one that is
 * known; and a payload is judged by its contract without harm. */
void frame_checks_run(const ProtobufCMessage *frame);
/* What a refusal must look like. */
void frame_checks_refusal(enum yz_err err, const struct yz_violation *v);

#endif
