/* Receipts of notices: who has which, as bitmaps over the places of a branch. All events of one
 * branch's members are one aggregate, so that a notice to half a million has no hot spot. */
#include "workers/document.h"
#include "workers/domains/notice.h"

#include <stdlib.h>
#include <string.h>

#define SET_BYTES ((WK_BRANCH_PLACES_MAX + 7) / 8)

static const char *const set_names[WK_RECEIPTS] = {"delivered", "read", "confirmed"};

void wk_receipts_id(const char *tenant, const char *notice_id, const char *branch,
                    char out[WK_ID_MAX])
{
    wk_id(out, tenant, notice_id, branch, NULL);
}

/* A set as it is stored; *len 0: empty. */
static const uint8_t *get_set(const bson_t *receipts, enum wk_receipt receipt, uint32_t *len)
{
    *len = 0;
    return receipts ? wk_document_bytes(receipts, set_names[receipt], len) : NULL;
}

static bool has_place(const bson_t *receipts, enum wk_receipt receipt, uint32_t place)
{
    uint32_t len;
    const uint8_t *set = get_set(receipts, receipt, &len);

    return place / 8 < len && (set[place / 8] >> place % 8 & 1);
}

void wk_receipts_others(const bson_t *receipts, struct wk_branch_walk *walk)
{
    walk->there = receipts && wk_document_array(receipts, "others", &walk->entries);
}

bool wk_receipts_next_other(struct wk_branch_walk *walk, struct wk_other_receipt *out)
{
    bson_iter_t fields;

    while (walk->there && bson_iter_next(&walk->entries)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&walk->entries) ||
            !bson_iter_recurse(&walk->entries, &fields))
            continue;
        *out = (struct wk_other_receipt){.member = ""};
        while (bson_iter_next(&fields)) {
            const char *key = bson_iter_key(&fields);

            if (strcmp(key, "m") == 0 && BSON_ITER_HOLDS_UTF8(&fields))
                out->member = bson_iter_utf8(&fields, NULL);
            else if (strcmp(key, "r") == 0)
                out->read = bson_iter_as_bool(&fields);
            else if (strcmp(key, "t") == 0 && BSON_ITER_HOLDS_DATE_TIME(&fields))
                out->confirmed_ms = bson_iter_date_time(&fields);
        }
        return true;
    }
    return false;
}

static bool find_other(const bson_t *receipts, const char *member, struct wk_other_receipt *out)
{
    struct wk_branch_walk walk;

    for (wk_receipts_others(receipts, &walk); wk_receipts_next_other(&walk, out);) {
        if (strcmp(out->member, member) == 0)
            return true;
    }
    *out = (struct wk_other_receipt){.member = ""};
    return false;
}

static bool other_has(const struct wk_other_receipt *other, enum wk_receipt receipt)
{
    switch (receipt) {
    case WK_READ:
        return other->read;
    case WK_CONFIRMED:
        return other->confirmed_ms != 0;
    case WK_DELIVERED:
    case WK_RECEIPTS:
        break;
    }
    return true;
}

bool wk_receipts_has(const bson_t *receipts, enum wk_receipt receipt, const char *member,
                     const struct wk_branch_member *entry)
{
    struct wk_other_receipt other;

    /* Who got a place since may still stand among the others. */
    return (entry && has_place(receipts, receipt, entry->place)) ||
           (find_other(receipts, member, &other) && other_has(&other, receipt));
}

/* Walk confirmed_at: the next {p, t}. */
static bool next_time(bson_iter_t *entries, uint32_t *place, int64_t *at_ms)
{
    bson_iter_t fields;

    while (bson_iter_next(entries)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(entries) || !bson_iter_recurse(entries, &fields))
            continue;
        while (bson_iter_next(&fields)) {
            if (strcmp(bson_iter_key(&fields), "p") == 0)
                *place = (uint32_t)bson_iter_as_int64(&fields);
            else if (BSON_ITER_HOLDS_DATE_TIME(&fields))
                *at_ms = bson_iter_date_time(&fields);
        }
        return true;
    }
    return false;
}

int64_t wk_receipts_confirmed_ms(const bson_t *receipts, const char *member,
                                 const struct wk_branch_member *entry)
{
    struct wk_other_receipt other;
    bson_iter_t entries;
    uint32_t place = 0;
    int64_t at_ms = 0;

    if (entry && receipts && wk_document_array(receipts, "confirmed_at", &entries)) {
        while (next_time(&entries, &place, &at_ms)) {
            if (place == entry->place)
                return at_ms;
        }
    }
    return find_other(receipts, member, &other) ? other.confirmed_ms : 0;
}

static uint32_t count_bits(const uint8_t *set, uint32_t len)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < len; i++)
        count += (uint32_t)__builtin_popcount(set[i]);
    return count;
}

struct wk_receipt_counts wk_receipts_given(const bson_t *receipts)
{
    struct wk_receipt_counts counts = {0};
    struct wk_other_receipt other;
    struct wk_branch_walk walk;

    for (enum wk_receipt i = 0; i < WK_RECEIPTS; i++) {
        uint32_t len;
        const uint8_t *set = get_set(receipts, i, &len);

        counts.done[i] = count_bits(set, len);
    }
    for (wk_receipts_others(receipts, &walk); wk_receipts_next_other(&walk, &other);) {
        for (enum wk_receipt i = 0; i < WK_RECEIPTS; i++)
            counts.done[i] += other_has(&other, i);
    }
    return counts;
}

struct wk_receipt_counts wk_receipts_count(const bson_t *notice, const bson_t *branch,
                                           const bson_t *receipts)
{
    struct wk_receipt_counts counts = {0};
    struct wk_branch_member member;
    struct wk_other_receipt other;
    struct wk_branch_walk walk;

    for (wk_branch_begin(&walk, branch); wk_branch_next(&walk, &member);) {
        if (member.left_at_ms || !wk_notice_addresses_listed(notice, &member))
            continue;
        counts.should++;
        for (enum wk_receipt i = 0; i < WK_RECEIPTS; i++)
            counts.done[i] += wk_receipts_has(receipts, i, member.member, &member);
    }
    for (wk_receipts_others(receipts, &walk); wk_receipts_next_other(&walk, &other);) {
        if (wk_branch_find(branch, other.member, &member))
            continue;
        counts.should++;
        for (enum wk_receipt i = 0; i < WK_RECEIPTS; i++)
            counts.done[i] += other_has(&other, i);
    }
    return counts;
}

/* A receipt being added. */
struct adding {
    enum wk_receipt receipt;
    const char *member;
    const struct wk_branch_member *entry;
    int64_t at_ms;
    struct wk_other_receipt before; /* as one without a place */
    bool was_other, changed;
};

static bool adds(const struct adding *adding, enum wk_receipt receipt)
{
    return receipt <= adding->receipt || (adding->was_other && other_has(&adding->before, receipt));
}

/* One set, with the member's place when it has one. */
static void add_to_set(struct adding *adding, const bson_t *receipts, enum wk_receipt receipt,
                       bson_t *out)
{
    uint8_t set[SET_BYTES] = {0};
    uint32_t len, place = adding->entry ? adding->entry->place : 0;
    const uint8_t *before = get_set(receipts, receipt, &len);

    len = len > SET_BYTES ? SET_BYTES : len;
    if (len > 0)
        memcpy(set, before, len);
    if (adding->entry && adds(adding, receipt) && place < WK_BRANCH_PLACES_MAX &&
        !(set[place / 8] >> place % 8 & 1)) {
        set[place / 8] |= (uint8_t)(1 << place % 8);
        len = place / 8 < len ? len : place / 8 + 1;
        adding->changed = true;
    }
    if (len > 0)
        bson_append_binary(out, set_names[receipt], -1, BSON_SUBTYPE_BINARY, set, len);
}

static void append_time(bson_t *list, uint32_t *count, uint32_t place, int64_t at_ms)
{
    bson_t entry;
    char key[16];

    snprintf(key, sizeof key, "%u", (*count)++);
    BSON_APPEND_DOCUMENT_BEGIN(list, key, &entry);
    BSON_APPEND_INT32(&entry, "p", (int32_t)place);
    BSON_APPEND_DATE_TIME(&entry, "t", at_ms);
    bson_append_document_end(list, &entry);
}

static void add_time(const struct adding *adding, const bson_t *receipts, bson_t *out)
{
    bool news = adding->entry && adds(adding, WK_CONFIRMED) &&
                !has_place(receipts, WK_CONFIRMED, adding->entry->place);
    bson_iter_t entries;
    uint32_t count = 0, place = 0;
    int64_t at_ms = 0;
    bson_t list;
    bool there = receipts && wk_document_array(receipts, "confirmed_at", &entries);

    if (!there && !news)
        return;
    BSON_APPEND_ARRAY_BEGIN(out, "confirmed_at", &list);
    while (there && next_time(&entries, &place, &at_ms))
        append_time(&list, &count, place, at_ms);
    if (news)
        append_time(&list, &count, adding->entry->place,
                    adding->was_other && adding->before.confirmed_ms ? adding->before.confirmed_ms
                                                                     : adding->at_ms);
    bson_append_array_end(out, &list);
}

static void append_other(bson_t *list, uint32_t *count, const struct wk_other_receipt *other)
{
    bson_t entry;
    char key[16];

    snprintf(key, sizeof key, "%u", (*count)++);
    BSON_APPEND_DOCUMENT_BEGIN(list, key, &entry);
    BSON_APPEND_UTF8(&entry, "m", other->member);
    if (other->read)
        BSON_APPEND_BOOL(&entry, "r", true);
    if (other->confirmed_ms)
        BSON_APPEND_DATE_TIME(&entry, "t", other->confirmed_ms);
    bson_append_document_end(list, &entry);
}

/* The members without a place: the one that got one since leaves the list. */
static void add_to_others(struct adding *adding, const bson_t *receipts, bson_t *out)
{
    struct wk_other_receipt other, mine = adding->before;
    struct wk_branch_walk walk;
    uint32_t count = 0;
    bson_t list;

    wk_receipts_others(receipts, &walk);
    if (!walk.there && adding->entry)
        return;
    mine.member = adding->member;
    mine.read = mine.read || adding->receipt >= WK_READ;
    if (adding->receipt == WK_CONFIRMED && !mine.confirmed_ms)
        mine.confirmed_ms = adding->at_ms;
    BSON_APPEND_ARRAY_BEGIN(out, "others", &list);
    while (wk_receipts_next_other(&walk, &other)) {
        if (strcmp(other.member, adding->member) != 0)
            append_other(&list, &count, &other);
        else if (!adding->entry)
            append_other(&list, &count, &mine);
    }
    if (!adding->entry && !adding->was_other)
        append_other(&list, &count, &mine);
    bson_append_array_end(out, &list);
    adding->changed = adding->changed || (adding->entry ? adding->was_other : !adding->was_other) ||
                      (!adding->entry && (mine.read != adding->before.read ||
                                          mine.confirmed_ms != adding->before.confirmed_ms));
}

bson_t *wk_receipts_with(const bson_t *receipts, const char *notice_id, const char *branch,
                         enum wk_receipt receipt, const char *member,
                         const struct wk_branch_member *entry, int64_t at_ms,
                         struct wk_receipt_counts *given)
{
    struct adding adding = {
        .receipt = receipt, .member = member, .entry = entry, .at_ms = at_ms, .before.member = ""};
    bson_t *document = bson_new();

    adding.was_other = find_other(receipts, member, &adding.before);
    BSON_APPEND_UTF8(document, "notice_id", notice_id);
    BSON_APPEND_UTF8(document, "org_path", branch);
    for (enum wk_receipt i = 0; i < WK_RECEIPTS; i++)
        add_to_set(&adding, receipts, i, document);
    add_time(&adding, receipts, document);
    add_to_others(&adding, receipts, document);
    *given = wk_receipts_given(document);
    if (adding.changed)
        return document;
    bson_destroy(document);
    return NULL;
}

/* what the phones report */

static void needs_receipt(const struct wk_event *event, struct wk_needs *needs,
                          const char *notice_id)
{
    const struct yz_actor *actor = &event->env->actor;
    char id[WK_ID_MAX];

    wk_notice_id(actor, notice_id, id);
    wk_need(needs, WK_NOTICES, id);
    wk_receipts_id(actor->tenant, notice_id, actor->org_path, id);
    wk_need_own(needs, WK_NOTICE_RECEIPTS, id);
    wk_branch_id(id, actor->tenant, actor->org_path);
    wk_need(needs, WK_BRANCHES, id);
}

static const bson_t *get_notice(const struct wk_event *event, struct wk_fold *fold,
                                const char *notice_id)
{
    char id[WK_ID_MAX];

    wk_notice_id(&event->env->actor, notice_id, id);
    return wk_get(fold, WK_NOTICES, id);
}

/* One that nobody has released is not there for its audience. A recalled one is: who saw it before
 * the recall came is what the publisher wants to know. */
static enum yz_err judge_reader(const struct wk_event *event, const bson_t *notice,
                                const char *field, struct yz_violation *v)
{
    if (!notice || !wk_notice_was_released(notice))
        return yz_violate(v, YZ_NOT_FOUND, field, "There is no such notice.");
    if (!wk_notice_addresses(notice, &event->env->actor, NULL))
        return yz_violate(v, YZ_NOT_IN_AUDIENCE, field, NULL);
    return YZ_OK;
}

/* A receipt that is there already is applied, with nothing new. The publisher's channel holds one
 * count for each branch; the sum over branches is the reader's. */
static void apply_receipt(const struct wk_event *event, struct wk_fold *fold, const char *notice_id,
                          enum wk_receipt receipt)
{
    const struct yz_actor *actor = &event->env->actor;
    const bson_t *notice = get_notice(event, fold, notice_id);
    Yizhan__V1__NoticeReceiptCount value = YIZHAN__V1__NOTICE_RECEIPT_COUNT__INIT;
    char id[WK_ID_MAX], channel[YZ_CHANNEL_MAX], name[YZ_CHANNEL_MAX];
    struct wk_receipt_counts given;
    struct wk_branch_member entry;
    bson_t *receipts;
    bool listed;

    wk_branch_id(id, actor->tenant, actor->org_path);
    listed = wk_branch_find(wk_get(fold, WK_BRANCHES, id), actor->member, &entry);
    wk_receipts_id(actor->tenant, notice_id, actor->org_path, id);
    receipts =
        wk_receipts_with(wk_get(fold, WK_NOTICE_RECEIPTS, id), notice_id, actor->org_path, receipt,
                         actor->member, listed ? &entry : NULL, event->received_at_ms, &given);
    if (receipts)
        wk_put(fold, WK_NOTICE_RECEIPTS, id, receipts);
    if (!notice)
        return;
    value.notice_id = (char *)(uintptr_t)notice_id;
    value.org_path = (char *)(uintptr_t)actor->org_path;
    value.delivered = given.done[WK_DELIVERED];
    value.read = given.done[WK_READ];
    value.confirmed = given.done[WK_CONFIRMED];
    snprintf(channel, sizeof channel, "member.%s", wk_document_text(notice, "publisher"));
    snprintf(name, sizeof name, "receipts.%s.%s", notice_id, actor->org_path);
    wk_value(fold, channel, name, "notice.receipt_count", &value.base, NULL);
}

void wk_notice_needs_received(const struct wk_event *event, struct wk_needs *needs)
{
    const Yizhan__V1__NoticeReceived *received = (const Yizhan__V1__NoticeReceived *)event->payload;

    for (size_t i = 0; i < received->n_notice_ids; i++)
        needs_receipt(event, needs, received->notice_ids[i]);
}

/* One report speaks of many: what is wrong with one does not take the others. */
enum yz_err wk_notice_judge_received(const struct wk_event *event, struct wk_fold *fold,
                                     struct yz_violation *v)
{
    const Yizhan__V1__NoticeReceived *received = (const Yizhan__V1__NoticeReceived *)event->payload;
    struct yz_violation first = {0}, other;

    for (size_t i = 0; i < received->n_notice_ids; i++) {
        const bson_t *notice = get_notice(event, fold, received->notice_ids[i]);

        if (!judge_reader(event, notice, "noticeIds[0]", i == 0 ? &first : &other))
            return YZ_OK;
    }
    *v = first;
    return first.err;
}

void wk_notice_apply_received(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__NoticeReceived *received = (const Yizhan__V1__NoticeReceived *)event->payload;
    struct yz_violation ignored;

    for (size_t i = 0; i < received->n_notice_ids; i++) {
        const char *notice_id = received->notice_ids[i];

        if (!judge_reader(event, get_notice(event, fold, notice_id), "", &ignored))
            apply_receipt(event, fold, notice_id, WK_DELIVERED);
    }
}

void wk_notice_needs_read(const struct wk_event *event, struct wk_needs *needs)
{
    needs_receipt(event, needs, ((const Yizhan__V1__NoticeRead *)event->payload)->notice_id);
}

enum yz_err wk_notice_judge_read(const struct wk_event *event, struct wk_fold *fold,
                                 struct yz_violation *v)
{
    const Yizhan__V1__NoticeRead *read = (const Yizhan__V1__NoticeRead *)event->payload;

    return judge_reader(event, get_notice(event, fold, read->notice_id), "noticeId", v);
}

void wk_notice_apply_read(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__NoticeRead *read = (const Yizhan__V1__NoticeRead *)event->payload;

    apply_receipt(event, fold, read->notice_id, WK_READ);
}

void wk_notice_needs_confirmed(const struct wk_event *event, struct wk_needs *needs)
{
    needs_receipt(event, needs, ((const Yizhan__V1__NoticeConfirmed *)event->payload)->notice_id);
}

enum yz_err wk_notice_judge_confirmed(const struct wk_event *event, struct wk_fold *fold,
                                      struct yz_violation *v)
{
    const Yizhan__V1__NoticeConfirmed *confirmed =
        (const Yizhan__V1__NoticeConfirmed *)event->payload;
    const bson_t *notice = get_notice(event, fold, confirmed->notice_id);
    enum yz_err err = judge_reader(event, notice, "noticeId", v);

    if (err)
        return err;
    if (wk_notice_class(notice) == YIZHAN__V1__NOTICE_CLASS__INFO)
        return yz_violate(v, YZ_NOTHING_TO_CONFIRM, "noticeId", NULL);
    if (wk_notice_state(notice) == YIZHAN__V1__NOTICE_STATE__NOTICE_RECALLED)
        return yz_violate(v, YZ_NOTICE_RECALLED, "noticeId", NULL);
    if (wk_notice_expired(notice, event->received_at_ms))
        return yz_violate(v, YZ_NOTICE_EXPIRED, "noticeId", NULL);
    return YZ_OK;
}

void wk_notice_apply_confirmed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__NoticeConfirmed *confirmed =
        (const Yizhan__V1__NoticeConfirmed *)event->payload;

    apply_receipt(event, fold, confirmed->notice_id, WK_CONFIRMED);
}
