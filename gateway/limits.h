/* limits.h: how much one client may ask for: a token bucket for frames, and connections counted by
 * address.
 *
 * Lifetime  a bucket is a plain struct; gw_addresses from start to the last connection's end.
 * Thread    loop.
 * Limits    an address is remembered while it has a connection and until its buckets are full
 * again, ADDRESSES_IDLE_MAX of the latter; the one that left first is forgotten first.
 */
#ifndef GW_LIMITS_H
#define GW_LIMITS_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESSES_IDLE_MAX 65536

/* Frames of one session, or connections of one address. The level falls by one a frame and rises
 * with time; below 0 frames are refused, and each refused one still counts, so a client that does
 * not slow down gets deeper into debt until it is cut off. */
struct gw_bucket {
    int64_t level_milli; /* thousandths of a frame; may be negative */
    int64_t filled_ms;   /* monotonic */
};

enum gw_verdict { GW_ALLOWED, GW_REFUSED, GW_FLOOD };

/* Full: burst frames may come at once. */
void gw_bucket_init(struct gw_bucket *bucket, int64_t burst, int64_t now_ms);
/* Take one frame. GW_FLOOD: the debt is larger than four times the burst. */
enum gw_verdict gw_bucket_take(struct gw_bucket *bucket, int64_t per_s, int64_t burst,
                               int64_t now_ms);
/* Take so many, or none: false. Nobody gets into debt by it. */
bool gw_bucket_draw(struct gw_bucket *bucket, int64_t per_s, int64_t burst, size_t count,
                    int64_t now_ms);
/* Time until the next frame is allowed, 0 when it is now. */
uint32_t gw_bucket_wait_ms(const struct gw_bucket *bucket, int64_t per_s);

/* Key of a peer's address: IPv4 as a mapped address, IPv6 by its /64 (one household, one key). */
struct gw_address {
    uint8_t bytes[16];
};
void gw_address_of(const struct sockaddr *sa, struct gw_address *address);

/* A time between half of this and one and a half of it, so that those told to wait at one moment do
 * not come back at one moment. */
uint32_t gw_jitter_ms(uint32_t ms);

/* What one address may have. A stranger is a connection over which no token was accepted yet. */
struct gw_address_limits {
    size_t connections, strangers;
    int64_t per_s, burst;               /* new connections */
    int64_t frames_per_s, frames_burst; /* frames and HTTP requests; frames_per_s 0: no limit */
};

struct gw_addresses;
struct gw_addresses *gw_addresses_new(const struct gw_address_limits *limits); /* NULL: no memory */
void gw_addresses_free(struct gw_addresses *addresses);
/* Count a connection, a stranger's; false when one of the limits is reached (or memory ran out): do
 * not count it. */
bool gw_addresses_enter(struct gw_addresses *addresses, const struct gw_address *address,
                        int64_t now_ms);
/* One of its strangers is one no longer. */
void gw_addresses_known(struct gw_addresses *addresses, const struct gw_address *address);
void gw_addresses_leave(struct gw_addresses *addresses, const struct gw_address *address,
                        bool stranger);
/* Take one frame or request of an address that has a connection. 0: it is allowed; else the
 * milliseconds until the next one is. */
uint32_t gw_addresses_take(struct gw_addresses *addresses, const struct gw_address *address,
                           int64_t now_ms);

#endif
