/* letter.h: dead letters: reading, replaying, removing.
 *
 * Lifetime  no state; JSON values and messages returned are the caller's.
 * Thread    main.
 * Failure   a command's error is printed where it is found. A letter is removed only behind the
 * PubAck of its replay: a crash between the two leaves it, and replaying it again is harmless (the
 * same message id; and beyond the duplicate window the outcome's key).
 */
#ifndef CTL_LETTER_H
#define CTL_LETTER_H

#include "workers/ctl/command.h"

#include <jansson.h>
#include <nats/nats.h>
#include <stdbool.h>
#include <stdint.h>

#define CTL_LETTERS_PAGE 100

/* A dead letter as JSON: where it stands, the reason, the event and its payload. Of an event that
 * no document tells the sender of, it does not either. */
json_t *ctl_letter_json(natsMsg *letter);
/* On the subject (wildcards), from a sequence on, at most `limit`, as an array; *pending: how many
 * more there are. NULL: it failed, and was printed. */
json_t *ctl_letters(const struct ctl *ctl, natsConnection *nc, const char *subject, uint64_t from,
                    int64_t limit, uint64_t *pending);
/* The one of this sequence; NULL: there is none, which was printed. */
natsMsg *ctl_letter_get(const struct ctl *ctl, natsConnection *nc, uint64_t sequence);

/* The event as it goes back to EVENTS: its headers and body, where it came from, and a message id
 * of its own. NULL: the letter does not say where it came from. */
natsMsg *ctl_letter_event(natsMsg *letter, uint64_t sequence);
/* Remove it for good; false: printed. */
bool ctl_letter_remove(const struct ctl *ctl, natsConnection *nc, uint64_t sequence);

/* A sequence as a word of the command line; false: it is none, which was printed. */
bool ctl_letter_number(const struct ctl *ctl, const char *word, uint64_t *sequence);

#endif
