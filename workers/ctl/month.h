/* month.h: a month in the life of a made-up tenant, as events in the order of their days: who is
 * founded and registered, what is published, read, learned, met for, discussed and complained of.
 *
 * Lifetime  a ctl_month is the caller's; past and cast outlive it.
 * Thread    main.
 * Errors    those of past.h; false ends it.
 */
#ifndef CTL_MONTH_H
#define CTL_MONTH_H

#include "schemas/receipt_hash.h"
#include "workers/ctl/cast.h"
#include "workers/ctl/past.h"

#define CTL_MONTH_CASES 5

/* Of a complaint. */
struct ctl_month_case {
    char receipt[YZ_RECEIPT_DIGITS + 1];
    char concealed[YZ_RECEIPT_CONCEALED_MAX];
    char id[YZ_RECEIPT_CASE_MAX];
    uint8_t reply_key[crypto_box_PUBLICKEYBYTES];
};

struct ctl_month {
    struct ctl_past *past;
    struct ctl_cast *cast;
    struct ctl_dice dice;
    int64_t midnight_ms; /* of the first day, local */
    int days;
    uint64_t seed;
    unsigned events; /* emitted so far: the ids count them */
    uint8_t handler_public[crypto_box_PUBLICKEYBYTES], handler_secret[crypto_box_SECRETKEYBYTES];
    struct ctl_month_case cases[CTL_MONTH_CASES];
};

/* The orgs and their members, on the day before the first. */
bool ctl_month_found(struct ctl_month *month);
/* All that happens on a day, 0 to days - 1; settled when it returns. */
bool ctl_month_day(struct ctl_month *month, int day);

/* What the files of the month share. Time of a day, give or take a few minutes. */
int64_t ctl_month_time(struct ctl_month *month, int day, int hour, int minute);
/* One event; payload is taken. */
bool ctl_month_emit(struct ctl_month *month, const struct yz_actor *actor, int64_t at_ms,
                    const char *type, json_t *payload);
json_t *ctl_month_rfc3339(int64_t at_ms);

/* month_notice.c, month_lesson.c, month_meeting.c, month_thread.c, month_complaint.c: what a day
 * has of each.
 * `publish` is what others react to: it is settled before their reactions. */
bool ctl_month_notices_publish(struct ctl_month *month, int day);
bool ctl_month_notices_read(struct ctl_month *month, int day);
bool ctl_month_lessons_publish(struct ctl_month *month, int day);
bool ctl_month_lessons_study(struct ctl_month *month, int day);
bool ctl_month_meetings_hold(struct ctl_month *month, int day);
bool ctl_month_threads_begin(struct ctl_month *month, int day);
bool ctl_month_threads_go_on(struct ctl_month *month, int day);
/* Draws the receipts and keys, which need about 0.2 s each. YZ_BUSY: the memory is not there. */
YZ_MUST_USE enum yz_err ctl_month_complaints_draw(struct ctl_month *month,
                                                  const struct yz_receipt_key *key);
bool ctl_month_complaints_begin(struct ctl_month *month);
bool ctl_month_complaints_go_on(struct ctl_month *month, int day);
/* How many are filed by the last day. */
int ctl_month_complaints(const struct ctl_month *month);

#endif
