/* The ledger of study hours: insert-only, an entry for each source of a member. What the hours of a
 * year are is the sum over its entries, which whoever reads makes. */
#include "workers/calendar.h"
#include "workers/document.h"
#include "workers/domains/study.h"

#include <stdio.h>

static void entry_id(const struct wk_event *event, const struct wk_study_credit *credit,
                     char out[WK_ID_MAX])
{
    wk_id(out, event->env->actor.tenant, credit->member,
          wk_document_enum_name(&yizhan__v1__study_source__descriptor, (int)credit->kind),
          credit->source, NULL);
}

void wk_study_credit_need(const struct wk_event *event, const struct wk_study_credit *credit,
                          struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    entry_id(event, credit, id);
    wk_need_own(needs, WK_STUDY_HOURS, id);
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
    BSON_APPEND_INT32(entry, "seconds", (int32_t)credit->seconds);
    BSON_APPEND_UTF8(entry, "org_path", credit->org_path);
    BSON_APPEND_DATE_TIME(entry, "ended_at", credit->ended_at_ms);
    BSON_APPEND_DATE_TIME(entry, "credited_at", event->received_at_ms);
    BSON_APPEND_UTF8(entry, "rules", hours->rules_version);
    return entry;
}

/* The year and the rules are those of the time at which it ended, not of when it was told. */
void wk_study_credit(const struct wk_event *event, struct wk_fold *fold,
                     const struct wk_study_credit *credit)
{
    const struct wk_rules *rules = wk_fold_context(fold)->rules;
    Yizhan__V1__StudyHours hours = YIZHAN__V1__STUDY_HOURS__INIT;
    Google__Protobuf__Timestamp ended_at = wk_timestamp(credit->ended_at_ms);
    char id[WK_ID_MAX], channel[YZ_CHANNEL_MAX];
    const bson_t *entry;

    entry_id(event, credit, id);
    entry = wk_get(fold, WK_STUDY_HOURS, id);
    if (entry && wk_document_number(entry, "sequence") != (int64_t)event->sequence)
        return;
    hours.source_kind = credit->kind;
    hours.source = (char *)(uintptr_t)credit->source;
    hours.seconds = credit->seconds;
    hours.org_path = (char *)(uintptr_t)credit->org_path;
    hours.ended_at = &ended_at;
    hours.year = (uint32_t)wk_calendar_year(wk_rules_calendar_at(rules, credit->ended_at_ms),
                                            credit->ended_at_ms);
    hours.rules_version = (char *)(uintptr_t)wk_rules_study_at(rules, credit->ended_at_ms)->version;
    hours.sequence = event->sequence;
    wk_put(fold, WK_STUDY_HOURS, id, new_entry(event, credit, &hours));
    snprintf(channel, sizeof channel, "member.%s", credit->member);
    wk_push(fold, channel, "study.credited", &hours.base, NULL);
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
