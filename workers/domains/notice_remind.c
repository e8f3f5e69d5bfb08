/* Reminding those of a branch who have not read a notice, and nobody else: the one push that goes
 * into inboxes one by one. Outside the quiet hours, and within each member's number of a day. */
#include "workers/domains/notice.h"

#include "common/memory.h"
#include "workers/calendar.h"
#include "workers/document.h"
#include "workers/domains/org.h"
#include "workers/rules.h"

#include <stdlib.h>
#include <string.h>

/* Ordinals of rows: the rest of a branch, and the orgs below it by their places. */
enum { REST = 0, FIRST_BELOW = 1 };
/* So many are reminded by one event; the rest by one that follows. */
#define AT_ONCE 200
/* Decisions that are kept for replays: those of so many days, and not more than this, which is more
 * than one batch has events. */
#define KEPT_DAYS   2
#define KEPT_MAX    300
#define COUNT_BYTES 2

/* What one event does: decided once, told again by a replay. */
struct decision {
    char members[AT_ONCE][YZ_ID_MAX];
    size_t count;
    uint32_t read_already, over_budget;
    uint32_t next;         /* place to go on from; 0: done */
    char after[YZ_ID_MAX]; /* behind all places: the member to go on behind */
};

/* From where on a branch is reminded. */
struct start {
    uint32_t place;
    const char *after; /* of those who have no place; "": from the first of them */
};
static const struct start from_the_top = {0, ""};

/* The numbers of one local day, being brought up to date. */
struct budget {
    int64_t day;
    uint8_t counts[WK_BRANCH_PLACES_MAX * COUNT_BYTES];
    uint32_t len;
    const bson_t *before; /* NULL: nobody was reminded on that day */
    int64_t allowed;
    bool unlimited;
};

static void reminders_id(const struct wk_event *event, const char *branch, char out[WK_ID_MAX])
{
    wk_id(out, event->env->actor.tenant, branch, NULL);
}

static void needs_branch(const struct wk_event *event, struct wk_needs *needs,
                         const char *notice_id, const char *branch)
{
    const struct yz_actor *actor = &event->env->actor;
    char id[WK_ID_MAX];

    wk_notice_id(actor, notice_id, id);
    wk_need(needs, WK_NOTICES, id);
    wk_branch_id(id, actor->tenant, branch);
    wk_need(needs, WK_BRANCHES, id);
    wk_receipts_id(actor->tenant, notice_id, branch, id);
    wk_need(needs, WK_NOTICE_RECEIPTS, id);
    reminders_id(event, branch, id);
    wk_need_own(needs, WK_NOTICE_REMINDERS, id);
    wk_org_id(id, actor->tenant, branch);
    wk_need(needs, WK_ORGS, id);
}

static const bson_t *get_notice(const struct wk_event *event, struct wk_fold *fold,
                                const char *notice_id)
{
    char id[WK_ID_MAX];

    wk_notice_id(&event->env->actor, notice_id, id);
    return wk_get(fold, WK_NOTICES, id);
}

static const struct wk_rules_calendar *calendar_of(const struct wk_event *event,
                                                   struct wk_fold *fold)
{
    return wk_rules_calendar_at(wk_fold_context(fold)->rules, event->received_at_ms);
}

/* the day's numbers */

static void begin_budget(struct budget *budget, const struct wk_rules_calendar *calendar,
                         int64_t at_ms, const bson_t *reminders)
{
    const uint8_t *counts;

    memset(budget, 0, sizeof *budget);
    budget->day = wk_calendar_day(calendar, at_ms);
    budget->allowed = calendar->pushes_per_day;
    if (!reminders || wk_document_number(reminders, "day") < budget->day)
        return;
    budget->day = wk_document_number(reminders, "day");
    budget->before = reminders;
    counts = wk_document_bytes(reminders, "counts", &budget->len);
    if (budget->len > sizeof budget->counts)
        budget->len = sizeof budget->counts;
    if (counts)
        memcpy(budget->counts, counts, budget->len);
}

static bool may_remind_place(struct budget *budget, uint32_t place)
{
    uint8_t *count = &budget->counts[place * COUNT_BYTES];
    uint32_t sent = count[0] | (uint32_t)count[1] << 8;

    if (budget->unlimited)
        return true;
    if (sent >= budget->allowed)
        return false;
    sent++;
    count[0] = (uint8_t)sent;
    count[1] = (uint8_t)(sent >> 8);
    if (budget->len < (place + 1) * COUNT_BYTES)
        budget->len = (place + 1) * COUNT_BYTES;
    return true;
}

/* Of somebody without a place: as the day's document says. */
static int64_t sent_to_other(const bson_t *reminders, const char *member)
{
    bson_iter_t entries, fields;

    if (!reminders || !wk_document_array(reminders, "others", &entries))
        return 0;
    while (bson_iter_next(&entries)) {
        int64_t sent = 0;
        bool his = false;

        if (!bson_iter_recurse(&entries, &fields))
            continue;
        while (bson_iter_next(&fields)) {
            if (BSON_ITER_HOLDS_UTF8(&fields))
                his = strcmp(bson_iter_utf8(&fields, NULL), member) == 0;
            else
                sent = bson_iter_as_int64(&fields);
        }
        if (his)
            return sent;
    }
    return 0;
}

/* deciding */

/* false: there is room for no more. */
static bool add_member(struct decision *decision, const char *member)
{
    if (decision->count == AT_ONCE)
        return false;
    snprintf(decision->members[decision->count++], YZ_ID_MAX, "%s", member);
    return true;
}

/* Those on the roster, from a place on. */
static void decide_listed(struct decision *decision, struct budget *budget, const bson_t *notice,
                          const bson_t *branch, const bson_t *receipts, uint32_t from)
{
    struct wk_branch_member member;
    struct wk_branch_walk walk;

    for (wk_branch_begin(&walk, branch); wk_branch_next(&walk, &member);) {
        if (member.place < from || member.place >= WK_BRANCH_PLACES_MAX || member.left_at_ms ||
            !wk_notice_addresses_listed(notice, &member))
            continue;
        if (decision->count == AT_ONCE) {
            decision->next = member.place;
            return;
        }
        if (wk_receipts_has(receipts, WK_READ, member.member, &member))
            decision->read_already++;
        else if (may_remind_place(budget, member.place))
            add_member(decision, member.member);
        else
            decision->over_budget++;
    }
}

static int by_member(const void *a, const void *b)
{
    return strcmp(((const struct wk_other_receipt *)a)->member,
                  ((const struct wk_other_receipt *)b)->member);
}

/* Those whom the roster does not know and whose phones have told that they have it, behind `after`.
 * In the order of their ids: the list changes from one part to the next. */
static struct wk_other_receipt *find_others(const bson_t *branch, const bson_t *receipts,
                                            const char *after, size_t *count)
{
    struct wk_branch_member member;
    struct wk_other_receipt other, *others;
    struct wk_branch_walk walk;
    size_t room = 0;

    for (wk_receipts_others(receipts, &walk); wk_receipts_next_other(&walk, &other);)
        room++;
    others = yz_calloc(room + 1, sizeof *others);
    *count = 0;
    for (wk_receipts_others(receipts, &walk); wk_receipts_next_other(&walk, &other);) {
        if (strcmp(other.member, after) > 0 && !wk_branch_find(branch, other.member, &member))
            others[(*count)++] = other;
    }
    qsort(others, *count, sizeof *others, by_member);
    return others;
}

static void decide_others(struct decision *decision, const struct budget *budget,
                          const bson_t *branch, const bson_t *receipts, const char *after)
{
    size_t count;
    struct wk_other_receipt *others = find_others(branch, receipts, after, &count);

    for (size_t i = 0; i < count; i++) {
        const struct wk_other_receipt *other = &others[i];

        if (decision->count == AT_ONCE) {
            decision->next = WK_BRANCH_PLACES_MAX;
            snprintf(decision->after, sizeof decision->after, "%s",
                     i > 0 ? others[i - 1].member : after);
            break;
        }
        if (other->read)
            decision->read_already++;
        else if (budget->unlimited ||
                 sent_to_other(budget->before, other->member) < budget->allowed)
            add_member(decision, other->member);
        else
            decision->over_budget++;
    }
    free(others);
}

/* writing it down */

static void append_others(bson_t *document, const struct budget *budget,
                          const struct decision *decision, const bson_t *branch)
{
    struct wk_branch_member listed;
    bson_iter_t entries;
    uint32_t count = 0;
    bson_t list, entry;
    char key[16];

    BSON_APPEND_ARRAY_BEGIN(document, "others", &list);
    for (size_t i = 0; !budget->unlimited && i < decision->count; i++) {
        const char *member = decision->members[i];

        if (wk_branch_find(branch, member, &listed))
            continue;
        snprintf(key, sizeof key, "%u", count++);
        BSON_APPEND_DOCUMENT_BEGIN(&list, key, &entry);
        BSON_APPEND_UTF8(&entry, "m", member);
        BSON_APPEND_INT32(&entry, "n", (int32_t)sent_to_other(budget->before, member) + 1);
        bson_append_document_end(&list, &entry);
    }
    /* The newest number of a member stands first. */
    if (budget->before && wk_document_array(budget->before, "others", &entries)) {
        while (bson_iter_next(&entries) && count < WK_BRANCH_PLACES_MAX) {
            bson_iter_t fields;
            bool again = false;

            if (!bson_iter_recurse(&entries, &fields) || !bson_iter_find(&fields, "m"))
                continue;
            for (size_t i = 0; !budget->unlimited && i < decision->count; i++)
                again = again || strcmp(decision->members[i], bson_iter_utf8(&fields, NULL)) == 0;
            if (again)
                continue;
            snprintf(key, sizeof key, "%u", count++);
            bson_append_iter(&list, key, -1, &entries);
        }
    }
    bson_append_array_end(document, &list);
}

static void append_decision(bson_t *list, const char *key, uint64_t sequence, int64_t day,
                            const struct decision *decision)
{
    bson_t entry, members;
    char place[24];

    BSON_APPEND_DOCUMENT_BEGIN(list, key, &entry);
    BSON_APPEND_INT64(&entry, "s", (int64_t)sequence);
    BSON_APPEND_INT64(&entry, "d", day);
    BSON_APPEND_INT32(&entry, "r", (int32_t)decision->read_already);
    BSON_APPEND_INT32(&entry, "o", (int32_t)decision->over_budget);
    BSON_APPEND_INT32(&entry, "f", (int32_t)decision->next);
    BSON_APPEND_UTF8(&entry, "a", decision->after);
    BSON_APPEND_ARRAY_BEGIN(&entry, "m", &members);
    for (size_t i = 0; i < decision->count; i++) {
        snprintf(place, sizeof place, "%zu", i);
        BSON_APPEND_UTF8(&members, place, decision->members[i]);
    }
    bson_append_array_end(&entry, &members);
    bson_append_document_end(list, &entry);
}

/* A replay may still ask for it. One that does not say its day goes with the day on which the
 * document was written last. */
static bool is_kept(const bson_iter_t *entry, int64_t written, int64_t today)
{
    bson_iter_t fields;

    if (!bson_iter_recurse(entry, &fields) || !bson_iter_find(&fields, "d"))
        return written == today;
    return bson_iter_as_int64(&fields) > today - KEPT_DAYS;
}

static void append_done(bson_t *document, const bson_t *reminders, uint64_t sequence, int64_t today,
                        const struct decision *decision)
{
    int64_t written = reminders ? wk_document_number(reminders, "day") : 0;
    bson_iter_t entries;
    uint32_t count = 1;
    bson_t list;
    char key[16];

    BSON_APPEND_ARRAY_BEGIN(document, "done", &list);
    append_decision(&list, "0", sequence, today, decision);
    if (reminders && wk_document_array(reminders, "done", &entries)) {
        while (count < KEPT_MAX && bson_iter_next(&entries)) {
            if (!is_kept(&entries, written, today))
                continue;
            snprintf(key, sizeof key, "%u", count++);
            bson_append_iter(&list, key, -1, &entries);
        }
    }
    bson_append_array_end(document, &list);
}

/* The decision of this very event, if it was taken before. */
static bool find_decision(const bson_t *reminders, uint64_t sequence, struct decision *out)
{
    bson_iter_t entries, it, fields, members;

    if (!reminders || !wk_document_array(reminders, "done", &entries))
        return false;
    while (bson_iter_next(&entries)) {
        if (!bson_iter_recurse(&entries, &it) || !bson_iter_find(&it, "s") ||
            (uint64_t)bson_iter_as_int64(&it) != sequence)
            continue;
        bson_iter_recurse(&entries, &fields);
        while (bson_iter_next(&fields)) {
            const char *key = bson_iter_key(&fields);

            if (*key == 'r')
                out->read_already = (uint32_t)bson_iter_as_int64(&fields);
            else if (*key == 'o')
                out->over_budget = (uint32_t)bson_iter_as_int64(&fields);
            else if (*key == 'f')
                out->next = (uint32_t)bson_iter_as_int64(&fields);
            else if (*key == 'a')
                snprintf(out->after, sizeof out->after, "%s", bson_iter_utf8(&fields, NULL));
            else if (*key == 'm' && bson_iter_recurse(&fields, &members)) {
                while (bson_iter_next(&members))
                    add_member(out, bson_iter_utf8(&members, NULL));
            }
        }
        return true;
    }
    return false;
}

static void decide(const struct wk_event *event, struct wk_fold *fold, const bson_t *notice,
                   const char *branch_path, struct start from, struct decision *decision)
{
    const char *tenant = event->env->actor.tenant;
    const bson_t *branch, *receipts, *reminders;
    struct budget *budget = malloc(sizeof *budget);
    bson_t *document;
    char id[WK_ID_MAX];

    if (!budget)
        abort();
    wk_branch_id(id, tenant, branch_path);
    branch = wk_get(fold, WK_BRANCHES, id);
    wk_receipts_id(tenant, wk_document_text(notice, "notice_id"), branch_path, id);
    receipts = wk_get(fold, WK_NOTICE_RECEIPTS, id);
    reminders_id(event, branch_path, id);
    reminders = wk_get(fold, WK_NOTICE_REMINDERS, id);
    begin_budget(budget, calendar_of(event, fold), event->received_at_ms, reminders);
    budget->unlimited = wk_notice_passes(notice);
    decide_listed(decision, budget, notice, branch, receipts, from.place);
    if (!decision->next)
        decide_others(decision, budget, branch, receipts, from.after);
    document = bson_new();
    BSON_APPEND_UTF8(document, "org_path", branch_path);
    BSON_APPEND_INT64(document, "day", budget->day);
    BSON_APPEND_UTF8(document, "rules", calendar_of(event, fold)->version);
    bson_append_binary(document, "counts", -1, BSON_SUBTYPE_BINARY, budget->counts, budget->len);
    append_others(document, budget, decision, branch);
    append_done(document, reminders, event->sequence, budget->day, decision);
    wk_put(fold, WK_NOTICE_REMINDERS, id, document);
    free(budget);
}

/* telling */

static void push_reminders(const struct wk_event *event, struct wk_fold *fold, const bson_t *notice,
                           const struct decision *decision)
{
    Yizhan__V1__NoticeReminder reminder = YIZHAN__V1__NOTICE_REMINDER__INIT;
    Google__Protobuf__Timestamp at = wk_timestamp(event->received_at_ms);
    char channel[YZ_CHANNEL_MAX];

    reminder.notice_id = (char *)(uintptr_t)wk_document_text(notice, "notice_id");
    reminder.notice_class = wk_notice_class(notice);
    reminder.title = (char *)(uintptr_t)wk_document_text(notice, "title");
    reminder.reminded_by = (char *)(uintptr_t)event->env->actor.member;
    reminder.reminded_at = &at;
    for (size_t i = 0; i < decision->count; i++) {
        snprintf(channel, sizeof channel, "member.%s", decision->members[i]);
        wk_push(fold, channel, "notice.reminder", &reminder.base, NULL);
    }
}

/* Of a subtree it is a value for each branch: half a million members are no flood of an inbox. */
static void push_sent(const struct wk_event *event, struct wk_fold *fold, const char *notice_id,
                      const char *org_path, const struct decision *decision, int64_t deferred_ms,
                      bool subtree)
{
    Yizhan__V1__NoticeReminderSent sent = YIZHAN__V1__NOTICE_REMINDER_SENT__INIT;
    Google__Protobuf__Timestamp until = wk_timestamp(deferred_ms);
    char channel[YZ_CHANNEL_MAX], name[YZ_CHANNEL_MAX];

    sent.notice_id = (char *)(uintptr_t)notice_id;
    sent.org_path = (char *)(uintptr_t)org_path;
    sent.deferred_until = deferred_ms ? &until : NULL;
    if (decision) {
        sent.reminded = (uint32_t)decision->count;
        sent.read_already = decision->read_already;
        sent.over_budget = decision->over_budget;
        sent.more = decision->next != 0;
    }
    snprintf(channel, sizeof channel, "member.%s", event->env->actor.member);
    snprintf(name, sizeof name, "reminders.%s.%s", notice_id, org_path);
    if (subtree)
        wk_value(fold, channel, name, "notice.reminder_sent", &sent.base, NULL);
    else
        wk_push(fold, channel, "notice.reminder_sent", &sent.base, NULL);
}

static void remind_later(struct wk_fold *fold, int ordinal, int64_t due_ms, const char *notice_id,
                         const char *branch, struct start from, bool subtree)
{
    Yizhan__V1__NoticeRemindDue due = YIZHAN__V1__NOTICE_REMIND_DUE__INIT;

    due.org_path = (char *)(uintptr_t)branch;
    due.notice_id = (char *)(uintptr_t)notice_id;
    due.from_place = from.place;
    due.after_member = (char *)(uintptr_t)from.after;
    due.subtree = subtree;
    wk_later(fold, ordinal, due_ms, "notice.remind_due", &due.base);
}

static void remind(const struct wk_event *event, struct wk_fold *fold, const bson_t *notice,
                   const char *branch, struct start from, bool subtree)
{
    const char *notice_id = wk_document_text(notice, "notice_id");
    struct decision *decision = calloc(1, sizeof *decision);
    char id[WK_ID_MAX];

    if (!decision)
        abort();
    reminders_id(event, branch, id);
    if (!find_decision(wk_get(fold, WK_NOTICE_REMINDERS, id), event->sequence, decision))
        decide(event, fold, notice, branch, from, decision);
    push_reminders(event, fold, notice, decision);
    push_sent(event, fold, notice_id, branch, decision, 0, subtree);
    if (decision->next)
        remind_later(fold, REST, event->received_at_ms, notice_id, branch,
                     (struct start){decision->next, decision->after}, subtree);
    free(decision);
}

/* An event for each org right below, which does the same for those below it. Each is named by its
 * place: a replay, which may find one more of them, names the others as before. */
static void descend(const struct wk_event *event, struct wk_fold *fold, const bson_t *notice,
                    const char *org_path)
{
    char id[WK_ID_MAX], below[YZ_ORG_PATH_MAX + YZ_ID_MAX];
    bson_iter_t children;
    const bson_t *org;

    wk_org_id(id, event->env->actor.tenant, org_path);
    org = wk_get(fold, WK_ORGS, id);
    if (!org || !wk_document_array(org, "children", &children))
        return;
    for (size_t i = 0; bson_iter_next(&children); i++) {
        bson_t child;

        if (!wk_document_at(&children, &child))
            continue;
        snprintf(below, sizeof below, "%s/%s", org_path, wk_document_text(&child, "c"));
        if (yz_org_path_valid(below) &&
            (wk_notice_covering(notice, below) || wk_notice_addresses_below(notice, below)))
            remind_later(fold, FIRST_BELOW + (int)wk_org_child_place(&child, i),
                         event->received_at_ms, wk_document_text(notice, "notice_id"), below,
                         from_the_top, true);
    }
}

static bool is_quiet(const struct wk_event *event, struct wk_fold *fold, const bson_t *notice,
                     int64_t *until_ms)
{
    return !wk_notice_passes(notice) &&
           wk_calendar_quiet(calendar_of(event, fold), event->received_at_ms, until_ms);
}

void wk_notice_needs_reminded(const struct wk_event *event, struct wk_needs *needs)
{
    const Yizhan__V1__NoticeReminded *reminded = (const Yizhan__V1__NoticeReminded *)event->payload;

    needs_branch(event, needs, reminded->notice_id, reminded->org_path);
}

enum yz_err wk_notice_judge_reminded(const struct wk_event *event, struct wk_fold *fold,
                                     struct yz_violation *v)
{
    const Yizhan__V1__NoticeReminded *reminded = (const Yizhan__V1__NoticeReminded *)event->payload;
    const bson_t *notice = get_notice(event, fold, reminded->notice_id);
    char field[YZ_FIELD_MAX];

    if (!notice)
        return yz_violate(v, YZ_NOT_FOUND, "noticeId", "There is no such notice.");
    if (wk_notice_state(notice) == YIZHAN__V1__NOTICE_STATE__NOTICE_PENDING)
        return yz_violate(v, YZ_NOTICE_PENDING, "noticeId", NULL);
    if (wk_notice_state(notice) == YIZHAN__V1__NOTICE_STATE__NOTICE_RECALLED)
        return yz_violate(v, YZ_NOTICE_RECALLED, "noticeId", NULL);
    if (wk_notice_expired(notice, event->received_at_ms))
        return yz_violate(v, YZ_NOTICE_EXPIRED, "noticeId", NULL);
    if (reminded->n_branches == 0 && !wk_notice_covering(notice, reminded->org_path) &&
        !(reminded->subtree && wk_notice_addresses_below(notice, reminded->org_path)))
        return yz_violate(v, YZ_INVALID_VALUE, "orgPath", "The notice does not address it.");
    for (size_t i = 0; i < reminded->n_branches; i++) {
        if (wk_notice_covering(notice, reminded->branches[i]))
            continue;
        snprintf(field, sizeof field, "branches[%zu]", i);
        return yz_violate(v, YZ_INVALID_VALUE, field, "The notice does not address it.");
    }
    return YZ_OK;
}

/* One branch is reminded by this event itself, several by one each, in their own order. */
void wk_notice_apply_reminded(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__NoticeReminded *reminded = (const Yizhan__V1__NoticeReminded *)event->payload;
    const bson_t *notice = get_notice(event, fold, reminded->notice_id);
    int64_t due_ms = event->received_at_ms;
    bool quiet;

    if (!notice)
        return;
    quiet = is_quiet(event, fold, notice, &due_ms);
    if (!quiet && reminded->n_branches == 0 && !reminded->subtree) {
        remind(event, fold, notice, reminded->org_path, from_the_top, false);
        return;
    }
    if (quiet)
        push_sent(event, fold, reminded->notice_id, reminded->org_path, NULL, due_ms, false);
    if (reminded->n_branches == 0)
        remind_later(fold, 0, due_ms, reminded->notice_id, reminded->org_path, from_the_top,
                     reminded->subtree);
    for (size_t i = 0; i < reminded->n_branches; i++)
        remind_later(fold, (int)i, due_ms, reminded->notice_id, reminded->branches[i], from_the_top,
                     false);
}

void wk_notice_needs_remind_due(const struct wk_event *event, struct wk_needs *needs)
{
    const Yizhan__V1__NoticeRemindDue *due = (const Yizhan__V1__NoticeRemindDue *)event->payload;

    needs_branch(event, needs, due->notice_id, due->org_path);
}

enum yz_err wk_notice_judge_remind_due(const struct wk_event *event, struct wk_fold *fold,
                                       struct yz_violation *v)
{
    (void)event;
    (void)fold;
    (void)v;
    return YZ_OK;
}

/* Moot when the notice was recalled or has expired since. */
void wk_notice_apply_remind_due(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__NoticeRemindDue *due = (const Yizhan__V1__NoticeRemindDue *)event->payload;
    const struct start from = {due->from_place, due->after_member};
    const bson_t *notice = get_notice(event, fold, due->notice_id);
    int64_t until_ms;

    if (!notice || wk_notice_state(notice) != YIZHAN__V1__NOTICE_STATE__NOTICE_RELEASED ||
        wk_notice_expired(notice, event->received_at_ms))
        return;
    if (is_quiet(event, fold, notice, &until_ms)) {
        push_sent(event, fold, due->notice_id, due->org_path, NULL, until_ms, due->subtree);
        remind_later(fold, 0, until_ms, due->notice_id, due->org_path, from, due->subtree);
        return;
    }
    if (wk_notice_covering(notice, due->org_path))
        remind(event, fold, notice, due->org_path, from, due->subtree);
    if (due->subtree && due->from_place == 0)
        descend(event, fold, notice, due->org_path);
}
