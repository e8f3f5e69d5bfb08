/* edge.h: the gateway's edge in the fuzz target's process: real sessions, HTTP, contract and
 * tokens; what stands behind them on the bus is answered by the target, from its input.
 *
 * The functions of channel.h, uplink.h and query.h that the edge calls are defined here instead of
 * there, as in tests/gateway/test_session.c.
 *
 * Lifetime  one in a process, from edge_open to its end: a target uses it for all inputs. The key
 *           hs (HS256, EDGE_SECRET) is the only one, so that a token can stand in a corpus.
 * Thread    one.
 * Limits    EDGE_WAITING_MAX of each kind wait; more are refused as busy.
 */
#ifndef EDGE_H
#define EDGE_H

#include "gateway/http.h"
#include "gateway/session.h"

#define EDGE_SECRET      "0123456789abcdef0123456789abcdef"
#define EDGE_WAITING_MAX 64

struct edge {
    struct yz_conf conf;
    struct gw_metrics metrics;
    struct gw_auth *auth;
    struct gw_files *files;
    struct gw_intake *intake;
    struct gw_sessions *sessions;
    struct gw_http *http;
};

/* Of m1 of g1/c1/b1, member and secretary@g1/c1, until 2100; the same in each run. */
const char *edge_token(void);
/* An output for who asks for what waits by himself. */
extern const struct gw_session_output edge_deaf;
void edge_open(struct edge *edge, const struct gw_session_output *output,
               void (*answered)(void *peer));

/* The bus answers the oldest that waits; nothing when none does. Inside, promises are kept that it
 * could not know: an event has passed its contract, a channel may be subscribed to. */
void edge_accept(struct edge *edge, uint8_t how);
void edge_answer(struct edge *edge, uint8_t how, const void *payload, size_t len);
/* Of the subscriptions: how says which one and what comes. */
void edge_channel(struct edge *edge, uint8_t how, const void *body, size_t len);
/* Subscriptions that were not left again. */
size_t edge_held(void);
/* What waits is forgotten. */
void edge_forget(void);

#endif
