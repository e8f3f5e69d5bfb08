/* greeting.h: a hello whose channels have not all answered yet. Its Welcome names each of them, in
 * the order asked, and comes before what was missed: until then the session says that it has no
 * room.
 *
 * Lifetime  from the accepted token until the Welcome is sent or the session is gone.
 * Thread    loop.
 * Limits    a result for each channel; no pushes.
 */
#ifndef GW_GREETING_H
#define GW_GREETING_H

#include "gateway/frame.h"

struct gw_greeting {
    uint32_t id; /* of the hello */
    size_t count, waiting;
    struct gw_subscribed *results; /* channel and epoch are ours */
    struct gw_subscriber **subs;   /* NULL: answered, or refused from the start */
};

/* NULL: out of memory. */
struct gw_greeting *gw_greeting_new(uint32_t id, size_t count);
void gw_greeting_free(struct gw_greeting *greeting);

/* Name result i, before anything else is told of it. false: out of memory. */
bool gw_greeting_name(struct gw_greeting *greeting, size_t i, const char *channel);
void gw_greeting_refuse(struct gw_greeting *greeting, size_t i, const struct yz_violation *v);
void gw_greeting_wait(struct gw_greeting *greeting, size_t i, struct gw_subscriber *sub);
/* An answer for sub. false: it is none of this greeting's. */
bool gw_greeting_subscribed(struct gw_greeting *greeting, const struct gw_subscriber *sub,
                            const char *epoch, uint64_t offset, bool recovered, uint32_t missed);
bool gw_greeting_refused(struct gw_greeting *greeting, const struct gw_subscriber *sub,
                         enum yz_err err);

#endif
