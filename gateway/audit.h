/* audit.h: looks again, in turn, at the last message of every held channel: a lost last push has no
 * successor to show it.
 *
 * Lifetime  one per process; a gw_watch is the caller's, linked in from gw_watch_start until
 *           gw_watch_stop.
 * Thread    loop.
 * Limits    each watch at least every audit_interval_ms, and WATCH_SOON_MS after it was started or
 *           the bus came back (a follower of a replicated stream may have been behind). Nothing is
 *           asked while the stream's last sequence stands still; that sequence is known as it was
 *           up to a second ago, so a look that came soon and was spared is repeated once,
 *           WATCH_SOON_MS later.
 */
#ifndef GW_AUDIT_H
#define GW_AUDIT_H

#include "gateway/lookup.h"

#define WATCH_SOON_MS 1000

struct gw_audit;
struct gw_watch;
TAILQ_HEAD(gw_watch_list, gw_watch);

struct gw_watch {
    /* Set by the caller. filter as in lookup.h. on_done with an error: the look failed; it is
     * repeated soon unless the watch is stopped there. */
    enum gw_stream_id stream;
    const char *filter;
    void (*on_found)(void *arg, natsMsg *msg, uint64_t seq);
    void (*on_done)(void *arg, enum yz_err err);
    void *arg;

    /* Read only: everything up to here was looked at. */
    uint64_t upto;

    /* The audit's own. */
    TAILQ_ENTRY(gw_watch) entry;
    struct gw_lookup_entry lookup;
    struct gw_audit *audit;
    struct gw_watch_list *list; /* where it waits for its time; NULL: being looked up */
    int64_t due_mono_ms;
    uint64_t known_seq; /* the stream's last sequence before the lookup */
    bool soon;          /* once more in WATCH_SOON_MS */
    bool checked;       /* soon once, and there was nothing new as far as was known */
};

YZ_MUST_USE enum yz_err gw_audit_new(const struct yz_conf *conf, uv_loop_t *loop,
                                     struct gw_link *link, struct gw_audit **audit);
void gw_audit_free(struct gw_audit *audit);

/* Look now at everything, and from then on again and again. While the bus is away on_done comes
 * inside. */
void gw_watch_start(struct gw_audit *audit, struct gw_watch *watch);
/* Look now at what is new, and once more soon. */
void gw_watch_again(struct gw_watch *watch);
/* Look once more in WATCH_SOON_MS, whatever its turn would be; also from on_done. */
void gw_watch_soon(struct gw_watch *watch);
void gw_watch_stop(struct gw_watch *watch);

#endif
