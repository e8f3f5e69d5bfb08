/* signal.h: what is worth nothing a moment later ("is typing"): a session's signal to the others
 * that hold its channel, on every gateway, now. Core NATS carries it (yz_signal_subject); no
 * stream, no document and no queue of a session keeps it, and nobody is told what was lost.
 *
 * Lifetime  a gw_signal for the call that hands it round; an allowance is a plain struct.
 * Thread    loop.
 * Limits    signals_per_s to the bus, and none while half of what may wait for it does;
 *           signal_deliveries_per_s to sessions; none in a thread with more than
 *           thread_batch_viewers here; half of the queue of what comes in. What is more is dropped
 *           and counted.
 *
 * Its member's own sessions are not told, whichever of them it came from.
 */
#ifndef GW_SIGNAL_H
#define GW_SIGNAL_H

#include "common/envelope.h"
#include "gateway/burst.h"

/* Texts are borrowed. */
struct gw_signal {
    const char *channel, *member;
    int kind; /* of SignalKind */
    bool tried[GW_ENCODINGS];
    struct gw_wire wires[GW_ENCODINGS];
    struct yz_buf buffers[GW_ENCODINGS];
};
void gw_signal_init(struct gw_signal *signal, const char *channel, const char *member, int kind);
void gw_signal_deinit(struct gw_signal *signal);
/* Made once for all sessions of the encoding, until deinit. NULL: no memory. */
const struct gw_wire *gw_signal_wire(struct gw_signal *signal, enum gw_encoding encoding);

/* The actor may give it where it may send the event that it announces. */
YZ_MUST_USE enum yz_err gw_signal_authorize(int kind, const struct yz_actor *actor,
                                            const char *org_path);

#endif
