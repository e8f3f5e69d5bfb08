/* epoch.h: the epoch of a stream: what tells clients that its history was made anew.
 *
 * Lifetime  none.
 * Thread    main.
 * Failure   text says why and what to do. Raising may be repeated after a crash at any point.
 */
#ifndef CTL_EPOCH_H
#define CTL_EPOCH_H

#include "workers/ctl/jetstream.h"
#include "workers/ctl/stream.h"
#include "workers/store.h"

#define CTL_TEXT_MAX 320

/* The stream's epoch in its configuration; NULL when it has none. Borrowed. */
const char *ctl_epoch_of(const json_t *config);
void ctl_epoch_put(json_t *config, const char *epoch);

/* Give the stream a new generation and epoch. EVENTS gets a new first sequence too, so that no
 * sequence repeats against the documents: it must be empty, and takes no event during the moment
 * this needs (clients get a temporary error). */
bool ctl_epoch_raise(natsConnection *nc, struct wk_store *store, const struct ctl_stream *stream,
                     char epoch[CTL_EPOCH_MAX], char text[CTL_TEXT_MAX]);

#endif
