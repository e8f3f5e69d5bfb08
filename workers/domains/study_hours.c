/* The ledger of study hours: insert-only. What the hours of a year are is the sum over its entries,
 * which whoever reads makes.
 *
 * A source that can change its mind (a meeting whose attendance is corrected) says what it counts
 * as of a revision, and the ledger takes the difference to what stood. Which of two revisions is
 * told first does not matter: an older one has no effect. */
#include "workers/calendar.h"
#include "workers/document.h"
#include "workers/domains/study.h"

#include <stdio.h>
#include <string.h>

static void entry_id(const struct wk_event *event, const struct wk_study_credit *credit,
                     char out[WK_ID_MAX])
{
    wk_id(out, event->env->actor.tenant, credit->member,
          wk_document_enum_name(&yizhan__v1__study_source__descriptor, (int)credit->kind),
          credit->source, NULL);
}

/* Of the entry that this event makes of a source which is there already. */
static void further_id(const struct wk_event *event, const struct wk_study_credit *credit,
                       char out[WK_ID_MAX])
{
    size_t len;

    entry_id(event, credit, out);
    len = strlen(out);
    snprintf(out + len, WK_ID_MAX - len, "|%020llu", (unsigned long long)event->sequence);
}

void wk_study_credit_need(const struct wk_event *event, const struct wk_study_credit *credit,
                          struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    entry_id(event, credit, id);
    wk_need_own(needs, WK_STUDY_HOURS, id);
    if (credit->revision == 0)
        return;
    wk_need_own(needs, WK_STUDY_SOURCES, id);
    further_id(event, credit, id);
    wk_need_own(needs, WK_STUDY_HOURS, id);
}

/* The year and the rules are those of the time at which it ended, not of when it was told. */
static Yizhan__V1__StudyHours hours_of(const struct wk_event *event, struct wk_fold *fold,
                                       const struct wk_study_credit *credit, int64_t seconds)
{
    const struct wk_rules *rules = wk_fold_context(fold)->rules;
    Yizhan__V1__StudyHours hours = YIZHAN__V1__STUDY_HOURS__INIT;

    hours.source_kind = credit->kind;
    hours.source = (char *)(uintptr_t)credit->source;
    hours.seconds = (uint32_t)(seconds > 0 ? seconds : 0);
    hours.taken_back_seconds = (uint32_t)(seconds < 0 ? -seconds : 0);
    hours.org_path = (char *)(uintptr_t)credit->org_path;
    hours.year = (uint32_t)wk_calendar_year(wk_rules_calendar_at(rules, credit->ended_at_ms),
                                            credit->ended_at_ms);
    hours.rules_version = (char *)(uintptr_t)wk_rules_study_at(rules, credit->ended_at_ms)->version;
    hours.sequence = event->sequence;
    hours.reason = (char *)(uintptr_t)credit->reason;
    return hours;
}

static bson_t *new_entry(const struct wk_event *event, const struct wk_study_credit *credit,
                         const Yizhan__V1__StudyHours *hours)
{
    bson_t *entry = bson_new();

    BSON_APPEND_UTF8(entry, "member", credit->member);
    BSON_APPEND_INT32(entry, "year", (int32_t)hours->year);
    BSON_APPEND_INT64(entry, "sequence", (int64_t)event->sequence);
    BSON_APPEND_UTF8(
        entry, "source_kind",
        wk_document_enum_name(&yizhan__v1__study_source__descriptor, (int)credit->kind));
    BSON_APPEND_UTF8(entry, "source", credit->source);
    BSON_APPEND_INT32(entry, "seconds",
                      (int32_t)hours->seconds - (int32_t)hours->taken_back_seconds);
    BSON_APPEND_UTF8(entry, "org_path", credit->org_path);
    BSON_APPEND_DATE_TIME(entry, "ended_at", credit->ended_at_ms);
    BSON_APPEND_DATE_TIME(entry, "credited_at", event->received_at_ms);
    BSON_APPEND_UTF8(entry, "rules", hours->rules_version);
    if (credit->revision)
        BSON_APPEND_INT64(entry, "revision", (int64_t)credit->revision);
    if (*credit->reason) {
        BSON_APPEND_UTF8(entry, "reason", credit->reason);
        BSON_APPEND_UTF8(entry, "by", event->env->actor.member);
    }
    return entry;
}

static void push_hours(struct wk_fold *fold, const struct wk_study_credit *credit,
                       Yizhan__V1__StudyHours hours)
{
    Google__Protobuf__Timestamp ended_at = wk_timestamp(credit->ended_at_ms);
    char channel[YZ_CHANNEL_MAX];

    hours.ended_at = &ended_at;
    snprintf(channel, sizeof channel, "member.%s", credit->member);
    wk_push(fold, channel, "study.credited", &hours.base, NULL);
}

static void put_source(const struct wk_event *event, struct wk_fold *fold,
                       const struct wk_study_credit *credit)
{
    bson_t *source = bson_new();
    char id[WK_ID_MAX];

    BSON_APPEND_UTF8(source, "member", credit->member);
    BSON_APPEND_INT64(source, "revision", (int64_t)credit->revision);
    BSON_APPEND_INT32(source, "seconds", (int32_t)credit->seconds);
    entry_id(event, credit, id);
    wk_put(fold, WK_STUDY_SOURCES, id, source);
}

/* stands: the source or the entry that says what stands; NULL: nothing does. Entries are inserts
 * and are written before any source: a replay that finds the source new finds every entry, too. */
static void change(const struct wk_event *event, struct wk_fold *fold,
                   const struct wk_study_credit *credit, const bson_t *stands)
{
    bool newer = !stands || (int64_t)credit->revision > wk_document_number(stands, "revision");
    int64_t before = stands ? wk_document_number(stands, "seconds") : 0, seconds;
    Yizhan__V1__StudyHours hours;
    const bson_t *made;
    char id[WK_ID_MAX];

    further_id(event, credit, id);
    made = wk_get(fold, WK_STUDY_HOURS, id);
    if (!made && !newer)
        return;
    seconds = made ? wk_document_number(made, "seconds") : (int64_t)credit->seconds - before;
    if (newer)
        put_source(event, fold, credit);
    if (seconds == 0)
        return;
    hours = hours_of(event, fold, credit, seconds);
    wk_insert(fold, WK_STUDY_HOURS, id, new_entry(event, credit, &hours), YZ_EXISTS, "source");
    push_hours(fold, credit, hours);
}

void wk_study_credit(const struct wk_event *event, struct wk_fold *fold,
                     const struct wk_study_credit *credit)
{
    const bson_t *entry, *source = NULL;
    Yizhan__V1__StudyHours hours;
    char id[WK_ID_MAX];

    entry_id(event, credit, id);
    entry = wk_get(fold, WK_STUDY_HOURS, id);
    if (credit->revision)
        source = wk_get(fold, WK_STUDY_SOURCES, id);
    if (entry ? wk_document_number(entry, "sequence") == (int64_t)event->sequence
              : !source && credit->seconds > 0) {
        hours = hours_of(event, fold, credit, credit->seconds);
        wk_insert(fold, WK_STUDY_HOURS, id, new_entry(event, credit, &hours), YZ_EXISTS, "source");
        push_hours(fold, credit, hours);
    } else if (credit->revision) {
        change(event, fold, credit, source ? source : entry);
    }
}

static struct wk_study_credit credit_of(const struct wk_event *event)
{
    const Yizhan__V1__StudyCredited *credited = (const Yizhan__V1__StudyCredited *)event->payload;

    return (struct wk_study_credit){
        .member = credited->member,
        .kind = credited->source_kind,
        .source = credited->source,
        .seconds = credited->minutes * 60,
        .org_path = credited->org_path,
        .ended_at_ms = wk_timestamp_ms(credited->ended_at),
        .revision = credited->revision,
        .reason = credited->reason,
    };
}

void wk_study_needs_credited(const struct wk_event *event, struct wk_needs *needs)
{
    struct wk_study_credit credit = credit_of(event);

    wk_study_credit_need(event, &credit, needs);
}

/* Told twice is no mistake of the member whose event it stands for. */
enum yz_err wk_study_judge_always(const struct wk_event *event, struct wk_fold *fold,
                                  struct yz_violation *v)
{
    (void)event;
    (void)fold;
    (void)v;
    return YZ_OK;
}

void wk_study_apply_credited(const struct wk_event *event, struct wk_fold *fold)
{
    struct wk_study_credit credit = credit_of(event);

    wk_study_credit(event, fold, &credit);
}
