/* item.h: one event of a batch, from the broker's message to its decision.
 *
 * Lifetime  for one batch; payload and texts live in the batch's arena and in the message.
 * Thread    its consumer thread; no I/O.
 */
#ifndef WK_ITEM_H
#define WK_ITEM_H

#include "schemas/arena.h"
#include "workers/outcome.h"
#include "workers/pull.h"

enum wk_fate {
    WK_FATE_NEW,       /* decide it, insert its outcome */
    WK_FATE_REDECIDED, /* a dead letter replayed: decide it, replace its outcome */
    WK_FATE_REPLAY,    /* its outcome stands: have the effects again */
    WK_FATE_AMENDED,   /* its outcome stood, but its key is taken or it kills its worker */
    WK_FATE_DUPLICATE, /* settled under another sequence: nothing to do */
    WK_FATE_CONFLICT,  /* its id belongs to another event: tell the actor, change nothing */
};

struct wk_item {
    struct wk_delivery delivery;
    struct yz_envelope env;
    bool readable;              /* env is whole: there is an actor to tell */
    bool by_row;                /* a row of the outbox became it: it has a cause, and no sender */
    struct yz_violation poison; /* err not YZ_OK: cannot be processed */
    bool set_aside;             /* DEADLETTERS has it */
    const struct wk_event_handler *handler;
    struct wk_event event;
    int64_t attempts;
    bool lost; /* its lease is gone: no effect, no ack */
    enum wk_fate fate;
    struct wk_outcome outcome; /* as decided; id, hash, sequence from the start */
    uint64_t guard;            /* evt_seq of the outcome that this one replaces */
    bool redelivered;          /* it came before, maybe long ago, and its pushes may be stored */
};

/* Read headers and payload and check the contract anew; what does not hold is in item->poison. */
void wk_item_read(struct wk_item *item, struct yz_arena *arena,
                  const struct wk_event_handler *(*find_handler)(const char *type));
/* What becomes of it, given `other`: the outcome of its id, stored or of the same batch; NULL:
 * none. */
enum wk_fate wk_item_fate(const struct wk_item *item, const struct wk_outcome *other);

#endif
