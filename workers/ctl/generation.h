/* generation.h: how often a stream was made anew, kept in the database, which outlives the stream.
 *
 * A document of `generations` is {_id: "_|<stream>", generation, evt_seq, raised_at}: evt_seq
 * repeats the generation, so that the store's compare-and-set guards it. It is raised before the
 * stream is created: a crash between the two skips a generation and repeats none.
 *
 * Lifetime  none.
 * Thread    main.
 */
#ifndef CTL_GENERATION_H
#define CTL_GENERATION_H

#include "workers/store.h"

#define CTL_GENERATION_MAX ((INT64_C(1) << 23) - 1)

/* 0: the stream was never created. */
YZ_MUST_USE enum yz_err ctl_generation_get(struct wk_store *store, const char *stream,
                                           int64_t *generation);
/* The last sequence of the stream that any worker has seen (its watch writes it); 0: none. */
YZ_MUST_USE enum yz_err ctl_generation_reached(struct wk_store *store, const char *stream,
                                               int64_t *reached);
/* Raise it to one more than the greater of itself and `above`. YZ_TOO_MANY at the end of the
 * numbers. */
YZ_MUST_USE enum yz_err ctl_generation_raise(struct wk_store *store, const char *stream,
                                             int64_t above, int64_t *generation);
/* Give back one that no stream got, since somebody else was faster to create it; a later raise by
 * yet another stands. */
YZ_MUST_USE enum yz_err ctl_generation_return(struct wk_store *store, const char *stream,
                                              int64_t generation);

#endif
