/* lookup.h: the last message of each of many subjects of one stream, asked together (direct get,
 * multi_last).
 *
 * Lifetime  one lookup per stream. An entry is the caller's; it is linked in from gw_lookup_ask
 * until done or cancelled. Thread    loop. Limits    LOOKUP_BATCH subjects a request,
 * LOOKUP_FLIGHTS requests at a time; what is asked meanwhile goes into the next one. A wildcard
 * filter with more than 1,024 subjects behind it is read by itself, in pages.
 */
#ifndef GW_LOOKUP_H
#define GW_LOOKUP_H

#include "gateway/link.h"
#include "gateway/stream.h"

#include "common/table.h"
#include <sys/queue.h>

struct gw_lookup;
struct gw_flight;

struct gw_lookup_entry {
    /* Set by the caller. filter: a subject, or one ending in ".>", which may hold '*'; borrowed.
     * from: only messages from this sequence on. */
    const char *filter;
    uint64_t from;
    /* A last message; borrowed. */
    void (*on_found)(struct gw_lookup_entry *e, natsMsg *msg, uint64_t seq);
    /* The last call. YZ_OK: there was nothing else up to the stream's sequence upto (0: not told).
     */
    void (*on_done)(struct gw_lookup_entry *e, uint64_t upto, enum yz_err err);

    /* The lookup's own. */
    TAILQ_ENTRY(gw_lookup_entry) entry;
    UT_hash_handle hh;
    struct gw_flight *flight;
    size_t key_len; /* of filter, without ".>" */
    bool waiting, alone, starred;
};

YZ_MUST_USE enum yz_err gw_lookup_new(struct gw_link *link, enum gw_stream_id stream,
                                      struct gw_lookup **lookup);
/* No entry may be linked in. */
void gw_lookup_free(struct gw_lookup *lookup);

/* While the bus is away on_done comes inside, with its error; do not ask again there. An entry that
 * is asked for already stays as it is. */
void gw_lookup_ask(struct gw_lookup *lookup, struct gw_lookup_entry *entry);
void gw_lookup_cancel(struct gw_lookup *lookup, struct gw_lookup_entry *entry);

#endif
