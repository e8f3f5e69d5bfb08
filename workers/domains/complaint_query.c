/* What a reporter sees by his receipt, what a handler sees of his complaints, and who looked. */
#include "workers/domains/complaint.h"

#include "workers/audit.h"
#include "workers/document.h"
#include "workers/domains/complaint_route.h"
#include "workers/query.h"
#include "workers/roster.h"
#include "workers/store.h"

#include "common/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_COUNT  20
#define PAGE_MAX    100
#define ENTRIES_MAX 50
#define ENTRY_BYTES 64 /* of an entry beside its boxes */
#define OBJECT_KIND "complaint"

static enum yz_err fail(struct yz_violation *v, enum yz_err err)
{
    return yz_violate(v, err, NULL, NULL);
}

static char *text_of(const bson_t *document, const char *field)
{
    return (char *)(uintptr_t)wk_document_text(document, field);
}

/* The complaint's document, in the arena. *found false: there is none. */
static enum yz_err load(const struct wk_query *query, const char *collection, const char *id,
                        bson_t *kept, bool *found)
{
    char document_id[WK_ID_MAX];
    bson_t row;
    enum yz_err err;

    wk_id(document_id, query->actor->tenant, id, NULL);
    err = wk_store_get(query->store, collection, document_id, &row, found);
    if (!err && *found && !wk_document_keep(query->arena, &row, kept))
        err = YZ_BUSY;
    bson_destroy(&row);
    return err;
}

/* By the document of a key or of a member's terms, now. */
static bool is_appointed(const struct wk_query *query, const bson_t *document,
                         const bson_t *complaint)
{
    return wk_complaint_appointed(document, wk_document_text(complaint, "routed_to"), query->now_ms,
                                  query->now_ms);
}

/* What the asker is appointed to, in the arena; empty: nothing. */
static enum yz_err load_terms(const struct wk_query *query, bson_t *terms)
{
    enum yz_err err;
    bool found;

    bson_init(terms);
    err = load(query, WK_COMPLAINT_TERMS, query->actor->member, terms, &found);
    return err;
}

/* The complaint is the asker's to read. */
static enum yz_err check_handler(const struct wk_query *query, const bson_t *complaint,
                                 struct yz_violation *v)
{
    bson_t terms;
    enum yz_err err = load_terms(query, &terms);

    if (err)
        return fail(v, err);
    if (!is_appointed(query, &terms, complaint))
        return yz_violate(v, YZ_NOT_APPOINTED, "complaintId", NULL);
    return YZ_OK;
}

/* It has what each complaint has; else the document is damaged, which is no
 * matter of load. */
static bool is_whole(const bson_t *row)
{
    return *wk_document_text(row, "complaint_id") && wk_document_time_ms(row, "filed_at") != 0 &&
           wk_document_time_ms(row, "acknowledge_by") != 0 &&
           wk_document_time_ms(row, "resolve_by") != 0;
}

static bool fill_complaint(const struct wk_query *query, const bson_t *row,
                           Yizhan__V1__Complaint *out)
{
    bson_iter_t named;

    yizhan__v1__complaint__init(out);
    out->complaint_id = text_of(row, "complaint_id");
    out->category = (Yizhan__V1__Complaint__Category)wk_document_enum(
        row, "category", &yizhan__v1__complaint__category__descriptor);
    out->state = wk_complaint_state(row);
    out->named = bson_iter_init_find(&named, row, "named") && bson_iter_as_bool(&named);
    out->org_path = text_of(row, "org_path");
    out->routed_to = text_of(row, "routed_to");
    out->filed_at = wk_timestamp_new(query->arena, wk_document_time_ms(row, "filed_at"));
    out->acknowledge_by =
        wk_timestamp_new(query->arena, wk_document_time_ms(row, "acknowledge_by"));
    out->resolve_by = wk_timestamp_new(query->arena, wk_document_time_ms(row, "resolve_by"));
    out->extended_days = (uint32_t)wk_document_number(row, "extended_days");
    if (out->extended_days == 0)
        out->extension_asked_days = (uint32_t)wk_document_number(row, "extension_days");
    out->result = (Yizhan__V1__Complaint__Result)wk_document_enum(
        row, "result", &yizhan__v1__complaint__result__descriptor);
    out->closed_at = wk_timestamp_new(query->arena, wk_document_time_ms(row, "closed_at"));
    out->rating = (uint32_t)wk_document_number(row, "rating");
    out->entries = (uint32_t)wk_document_number(row, "entries");
    return out->filed_at && out->acknowledge_by && out->resolve_by;
}

static Yizhan__V1__Complaint *new_complaint(const struct wk_query *query, const bson_t *row)
{
    Yizhan__V1__Complaint *complaint = yz_arena_alloc(query->arena, sizeof *complaint);

    return complaint && fill_complaint(query, row, complaint) ? complaint : NULL;
}

static ProtobufCBinaryData binary_of(const bson_t *document, const char *field)
{
    uint32_t len;
    const uint8_t *data = wk_document_bytes(document, field, &len);

    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

/* For whom the dialogue is read: member NULL is the reporter. */
struct reader {
    const struct wk_query *query;
    const bson_t *complaint;
    const char *member;
};

/* The key is the reader's. */
static bool owns_key(const struct reader *reader, const char *key_id)
{
    bson_iter_t keys;
    bson_t key;

    if (!wk_document_array(reader->complaint, "keys", &keys))
        return false;
    while (wk_document_next(&keys, &key)) {
        if (strcmp(wk_document_text(&key, "i"), key_id) == 0 &&
            strcmp(wk_document_text(&key, "m"), reader->member) == 0)
            return true;
    }
    return false;
}

static size_t count_of(const bson_t *document, const char *field)
{
    bson_iter_t entries;
    size_t count = 0;

    if (wk_document_array(document, field, &entries)) {
        while (bson_iter_next(&entries))
            count++;
    }
    return count;
}

static bool add_box(struct yz_arena *arena, Yizhan__V1__ComplaintSealed **boxes, size_t *count,
                    const char *key_id, ProtobufCBinaryData sealed)
{
    Yizhan__V1__ComplaintSealed *box = yz_arena_alloc(arena, sizeof *box);

    if (!box)
        return false;
    yizhan__v1__complaint_sealed__init(box);
    box->key_id = (char *)(uintptr_t)key_id;
    box->sealed = sealed;
    boxes[(*count)++] = box;
    return true;
}

/* The boxes of the list that the reader can open. */
static bool read_boxes(const struct reader *reader, const bson_t *document, const char *field,
                       Yizhan__V1__ComplaintSealed ***out, size_t *count)
{
    size_t max = count_of(document, field);
    bson_iter_t list;
    bson_t box;

    *count = 0;
    *out = yz_arena_alloc(reader->query->arena, (max + 1) * sizeof **out);
    if (!*out)
        return false;
    if (!reader->member) {
        ProtobufCBinaryData sealed = binary_of(document, "c");

        return sealed.len == 0 || add_box(reader->query->arena, *out, count, "", sealed);
    }
    if (!wk_document_array(document, field, &list))
        return true;
    while (wk_document_next(&list, &box)) {
        if (owns_key(reader, wk_document_text(&box, "i")) &&
            !add_box(reader->query->arena, *out, count, wk_document_text(&box, "i"),
                     binary_of(&box, "b")))
            return false;
    }
    return true;
}

static Yizhan__V1__ComplaintEntry *read_entry(const struct reader *reader, const bson_t *stored,
                                              uint32_t number)
{
    Yizhan__V1__ComplaintEntry *entry = yz_arena_alloc(reader->query->arena, sizeof *entry);

    if (!entry)
        return NULL;
    yizhan__v1__complaint_entry__init(entry);
    entry->number = number;
    entry->from = (Yizhan__V1__ComplaintEntry__From)wk_document_enum(
        stored, "f", &yizhan__v1__complaint_entry__from__descriptor);
    entry->at = wk_timestamp_new(reader->query->arena, wk_document_time_ms(stored, "a"));
    return read_boxes(reader, stored, "k", &entry->sealed, &entry->n_sealed) ? entry : NULL;
}

static size_t size_of(const Yizhan__V1__ComplaintEntry *entry)
{
    size_t bytes = ENTRY_BYTES;

    for (size_t i = 0; i < entry->n_sealed; i++)
        bytes += entry->sealed[i]->sealed.len;
    return bytes;
}

struct dialogue {
    Yizhan__V1__ComplaintEntry **entries;
    size_t count;
    bool more;
};

/* false: the arena is full. */
static bool read_entries(const struct reader *reader, const bson_t *messages, uint32_t after,
                         size_t limit, struct dialogue *out)
{
    bson_iter_t entries;
    uint32_t number = 0;
    size_t bytes = 0;
    bson_t stored;

    if (!wk_document_array(messages, "entries", &entries))
        return true;
    while (wk_document_next(&entries, &stored)) {
        Yizhan__V1__ComplaintEntry *entry;

        if (++number <= after)
            continue;
        entry = read_entry(reader, &stored, number);
        if (!entry)
            return false;
        bytes += size_of(entry);
        if (out->count == limit || (out->count > 0 && bytes > WK_PAGE_MAX_BYTES)) {
            out->more = true;
            return true;
        }
        out->entries[out->count++] = entry;
    }
    return true;
}

static enum yz_err read_dialogue(const struct reader *reader, const char *id, uint32_t after,
                                 uint32_t limit, struct dialogue *out)
{
    bson_t messages;
    bool found;
    enum yz_err err;

    *out = (struct dialogue){0};
    limit = limit == 0 ? PAGE_COUNT : limit > ENTRIES_MAX ? ENTRIES_MAX : limit;
    out->entries =
        yz_arena_alloc(reader->query->arena, (size_t)limit * sizeof(Yizhan__V1__ComplaintEntry *));
    if (!out->entries)
        return YZ_BUSY;
    err = load(reader->query, WK_COMPLAINT_MESSAGES, id, &messages, &found);
    if (err || !found)
        return err;
    return read_entries(reader, &messages, after, limit, out) ? YZ_OK : YZ_BUSY;
}

/* complaint.read */

/* The documents of the complaint's keys, as they come. */
struct keys_load {
    const struct wk_query *query;
    const bson_t *complaint;
    Yizhan__V1__ComplaintReadReply *answer;
};

static bool on_key(void *arg, const bson_t *row)
{
    struct keys_load *load = arg;
    const char *id = strrchr(wk_document_text(row, "_id"), '|');

    for (size_t i = 0; id && i < load->answer->n_keys; i++) {
        Yizhan__V1__ComplaintKey *key = load->answer->keys[i];

        if (strcmp(key->key_id, id + 1) == 0 && is_appointed(load->query, row, load->complaint)) {
            key->withdrawn = false;
            load->answer->unhandled = false;
        }
    }
    return true;
}

/* Which of the keys' owners still handle it. */
static enum yz_err mark_withdrawn(const struct wk_query *query, const bson_t *complaint,
                                  Yizhan__V1__ComplaintReadReply *answer)
{
    struct keys_load load = {query, complaint, answer};
    const char **ids = yz_arena_alloc(query->arena, (answer->n_keys + 1) * sizeof(const char *));

    if (!ids)
        return YZ_BUSY;
    for (size_t i = 0; i < answer->n_keys; i++) {
        char id[WK_ID_MAX], *kept;

        wk_id(id, query->actor->tenant, answer->keys[i]->key_id, NULL);
        kept = yz_arena_alloc(query->arena, strlen(id) + 1);
        if (!kept)
            return YZ_BUSY;
        memcpy(kept, id, strlen(id) + 1);
        ids[i] = kept;
        answer->keys[i]->withdrawn = true;
    }
    answer->unhandled = wk_complaint_open(complaint);
    return wk_store_get_many(query->store, WK_COMPLAINT_KEYS, ids, answer->n_keys, on_key, &load);
}

static bool fill_keys(const struct wk_query *query, const bson_t *complaint,
                      Yizhan__V1__ComplaintReadReply *answer)
{
    bson_iter_t keys;
    bson_t stored;

    answer->keys = yz_arena_alloc(query->arena, (count_of(complaint, "keys") + 1) *
                                                    sizeof(Yizhan__V1__ComplaintKey *));
    if (!answer->keys)
        return false;
    if (!wk_document_array(complaint, "keys", &keys))
        return true;
    while (wk_document_next(&keys, &stored)) {
        Yizhan__V1__ComplaintKey *key = yz_arena_alloc(query->arena, sizeof *key);

        if (!key)
            return false;
        yizhan__v1__complaint_key__init(key);
        key->key_id = text_of(&stored, "i");
        key->org_path = text_of(&stored, "o");
        key->public_key = binary_of(&stored, "p");
        answer->keys[answer->n_keys++] = key;
    }
    return true;
}

static enum yz_err answer_read(const struct wk_query *query, ProtobufCMessage **reply,
                               struct yz_violation *v)
{
    const Yizhan__V1__ComplaintReadRequest *request =
        (const Yizhan__V1__ComplaintReadRequest *)query->request;
    Yizhan__V1__ComplaintReadReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct reader reader = {.query = query};
    char id[YZ_RECEIPT_CASE_MAX];
    struct dialogue dialogue;
    bson_t complaint;
    bool found;
    enum yz_err err;

    if (!answer)
        return fail(v, YZ_BUSY);
    yz_receipt_case(request->receipt, id);
    if ((err = load(query, WK_COMPLAINTS, id, &complaint, &found)))
        return fail(v, err);
    if (!found)
        return yz_violate(v, YZ_NOT_FOUND, "receipt", "No complaint has this receipt.");
    if (!is_whole(&complaint))
        return fail(v, YZ_INTERNAL);
    reader.complaint = &complaint;
    if ((err = read_dialogue(&reader, id, request->after, request->limit, &dialogue)))
        return fail(v, err);
    yizhan__v1__complaint_read_reply__init(answer);
    answer->complaint = new_complaint(query, &complaint);
    answer->entries = dialogue.entries;
    answer->n_entries = dialogue.count;
    answer->more = dialogue.more;
    if (!answer->complaint || !fill_keys(query, &complaint, answer))
        return fail(v, YZ_BUSY);
    if ((err = mark_withdrawn(query, &complaint, answer)))
        return fail(v, err);
    *reply = &answer->base;
    return YZ_OK;
}

/* complaint.get */

/* The reading is written down before anything of it is told. */
static enum yz_err note_access(const struct wk_query *query, const char *id, const char *purpose)
{
    const struct wk_access access = {
        .object_kind = OBJECT_KIND, .object = id, .owner = "", .purpose = purpose};

    return wk_audit_access(query, &access);
}

static enum yz_err refuse_missing(struct yz_violation *v)
{
    return yz_violate(v, YZ_NOT_FOUND, "complaintId", "You handle no complaint of this id.");
}

static enum yz_err answer_get(const struct wk_query *query, ProtobufCMessage **reply,
                              struct yz_violation *v)
{
    const Yizhan__V1__ComplaintGetRequest *request =
        (const Yizhan__V1__ComplaintGetRequest *)query->request;
    Yizhan__V1__ComplaintGetReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct reader reader = {.query = query, .member = query->actor->member};
    struct dialogue dialogue;
    bson_t complaint;
    bool found;
    enum yz_err err;

    if (!answer)
        return fail(v, YZ_BUSY);
    if ((err = load(query, WK_COMPLAINTS, request->complaint_id, &complaint, &found)))
        return fail(v, err);
    if (!found || !wk_complaint_lists(&complaint, "handlers", query->actor->member))
        return refuse_missing(v);
    if ((err = check_handler(query, &complaint, v)))
        return err;
    if (!is_whole(&complaint))
        return fail(v, YZ_INTERNAL);
    if ((err = note_access(query, request->complaint_id, request->purpose)))
        return fail(v, err);
    reader.complaint = &complaint;
    if ((err = read_dialogue(&reader, request->complaint_id, request->after, request->limit,
                             &dialogue)))
        return fail(v, err);
    yizhan__v1__complaint_get_reply__init(answer);
    answer->complaint = new_complaint(query, &complaint);
    answer->entries = dialogue.entries;
    answer->n_entries = dialogue.count;
    answer->more = dialogue.more;
    answer->reply_key = binary_of(&complaint, "reply_key");
    if (!answer->complaint ||
        !read_boxes(&reader, &complaint, "reporter", &answer->reporter, &answer->n_reporter))
        return fail(v, YZ_BUSY);
    *reply = &answer->base;
    return YZ_OK;
}

/* complaint.mine */

struct page {
    const struct wk_query *query;
    void **rows;
    size_t count, limit, bytes;
    const char *cursor;  /* of the last row */
    const bson_t *terms; /* of the asker: what it is not appointed to is left out */
    size_t seen;         /* rows, with those left out */
    bool more, full, damaged;
};

static bool has_room(struct page *page, const bson_t *row)
{
    page->bytes += wk_document_size(row);
    page->more = page->count == page->limit || (page->count > 0 && page->bytes > WK_PAGE_MAX_BYTES);
    return !page->more;
}

static bool on_complaint(void *arg, const bson_t *row)
{
    struct page *page = arg;
    Yizhan__V1__Complaint *complaint;
    bson_t kept;

    if (!has_room(page, row))
        return false;
    page->more = page->seen == page->limit;
    if (page->more)
        return false;
    page->seen++;
    page->damaged = !is_whole(row);
    if (page->damaged)
        return false;
    complaint =
        wk_document_keep(page->query->arena, row, &kept) ? new_complaint(page->query, &kept) : NULL;
    page->full = !complaint;
    if (!complaint)
        return false;
    page->cursor = wk_document_text(&kept, "due_key");
    if (is_appointed(page->query, page->terms, row))
        page->rows[page->count++] = complaint;
    return true;
}

static bool begin_page(struct page *page, const struct wk_query *query, uint32_t limit)
{
    *page = (struct page){.query = query, .cursor = ""};
    page->limit = limit == 0 ? PAGE_COUNT : limit > PAGE_MAX ? PAGE_MAX : limit;
    page->rows = yz_arena_alloc(query->arena, page->limit * sizeof *page->rows);
    return page->rows != NULL;
}

/* What is due first, equality on all but the last field of the index. */
static enum yz_err find_mine(struct page *page, const Yizhan__V1__ComplaintMineRequest *request)
{
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, range, part;
    enum yz_err err;

    BSON_APPEND_UTF8(&filter, "tenant", page->query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "handlers", page->query->actor->member);
    BSON_APPEND_BOOL(&filter, "open", !request->closed);
    if (*request->cursor) {
        BSON_APPEND_DOCUMENT_BEGIN(&filter, "due_key", &range);
        BSON_APPEND_UTF8(&range, request->closed ? "$lt" : "$gt", request->cursor);
        bson_append_document_end(&filter, &range);
    }
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &part);
    BSON_APPEND_INT32(&part, "due_key", request->closed ? -1 : 1);
    bson_append_document_end(&opts, &part);
    BSON_APPEND_INT64(&opts, "limit", (int64_t)page->limit + 1);
    err = wk_store_find(page->query->store, WK_COMPLAINTS, &filter, &opts, on_complaint, page);
    bson_destroy(&opts);
    bson_destroy(&filter);
    if (err)
        return err;
    return page->damaged ? YZ_INTERNAL : page->full ? YZ_BUSY : YZ_OK;
}

static enum yz_err answer_mine(const struct wk_query *query, ProtobufCMessage **reply,
                               struct yz_violation *v)
{
    const Yizhan__V1__ComplaintMineRequest *request =
        (const Yizhan__V1__ComplaintMineRequest *)query->request;
    Yizhan__V1__ComplaintMineReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct page page;
    bson_t terms;
    enum yz_err err;

    if (!answer || !begin_page(&page, query, request->limit))
        return fail(v, YZ_BUSY);
    page.terms = &terms;
    if ((err = load_terms(query, &terms)) || (err = find_mine(&page, request)))
        return fail(v, err);
    yizhan__v1__complaint_mine_reply__init(answer);
    answer->complaints = (Yizhan__V1__Complaint **)(void *)page.rows;
    answer->n_complaints = page.count;
    if (page.more)
        answer->cursor = (char *)(uintptr_t)page.cursor;
    *reply = &answer->base;
    return YZ_OK;
}

/* complaint.accesses */

static bool on_access(void *arg, const bson_t *row)
{
    struct page *page = arg;
    Yizhan__V1__ComplaintAccess *access;
    bson_t kept;

    if (!has_room(page, row))
        return false;
    access = yz_arena_alloc(page->query->arena, sizeof *access);
    page->full = !access || !wk_document_keep(page->query->arena, row, &kept);
    if (page->full)
        return false;
    yizhan__v1__complaint_access__init(access);
    access->member_id = text_of(&kept, "actor");
    access->at = wk_timestamp_new(page->query->arena, wk_document_time_ms(&kept, "at"));
    access->purpose = text_of(&kept, "purpose");
    page->cursor = wk_document_text(&kept, "key");
    page->rows[page->count++] = access;
    return true;
}

static enum yz_err find_accesses(struct page *page,
                                 const Yizhan__V1__ComplaintAccessesRequest *request)
{
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, part;
    enum yz_err err;

    BSON_APPEND_UTF8(&filter, "tenant", page->query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "object_kind", OBJECT_KIND);
    BSON_APPEND_UTF8(&filter, "object", request->complaint_id);
    if (*request->cursor) {
        BSON_APPEND_DOCUMENT_BEGIN(&filter, "key", &part);
        BSON_APPEND_UTF8(&part, "$lt", request->cursor);
        bson_append_document_end(&filter, &part);
    }
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &part);
    BSON_APPEND_INT32(&part, "key", -1);
    bson_append_document_end(&opts, &part);
    BSON_APPEND_INT64(&opts, "limit", (int64_t)page->limit + 1);
    err = wk_store_find(page->query->store, WK_ACCESSES, &filter, &opts, on_access, page);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err ? err : page->full ? YZ_BUSY : YZ_OK;
}

static enum yz_err refuse_overseer(struct yz_violation *v)
{
    return yz_violate(v, YZ_NOT_FOUND, "complaintId", "You oversee no complaint of this id.");
}

static bool is_accused(const struct wk_query *query, const bson_t *complaint)
{
    char hash[33];

    wk_complaint_accused(query->actor->tenant, wk_document_text(complaint, "complaint_id"),
                         query->actor->member, hash);
    return strcmp(hash, wk_document_text(complaint, "accused")) == 0;
}

/* Its handlers, and inspectors and admins over the org that has it; never the accused. */
static enum yz_err check_overseer(const struct wk_query *query, const bson_t *complaint,
                                  struct yz_violation *v)
{
    const char *routed_to = wk_document_text(complaint, "routed_to");

    if (!is_accused(query, complaint)) {
        if (yz_actor_has_role(query->actor, "inspector", routed_to) ||
            yz_actor_has_role(query->actor, "admin", routed_to))
            return YZ_OK;
        if (wk_complaint_lists(complaint, "handlers", query->actor->member))
            return check_handler(query, complaint, v);
    }
    return refuse_overseer(v);
}

static enum yz_err answer_accesses(const struct wk_query *query, ProtobufCMessage **reply,
                                   struct yz_violation *v)
{
    const Yizhan__V1__ComplaintAccessesRequest *request =
        (const Yizhan__V1__ComplaintAccessesRequest *)query->request;
    Yizhan__V1__ComplaintAccessesReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct page page;
    bson_t complaint;
    bool found;
    enum yz_err err;

    if (!answer || !begin_page(&page, query, request->limit))
        return fail(v, YZ_BUSY);
    if ((err = load(query, WK_COMPLAINTS, request->complaint_id, &complaint, &found)))
        return fail(v, err);
    if (!found)
        return refuse_overseer(v);
    if ((err = check_overseer(query, &complaint, v)))
        return err;
    if ((err = find_accesses(&page, request)))
        return fail(v, err);
    yizhan__v1__complaint_accesses_reply__init(answer);
    answer->accesses = (Yizhan__V1__ComplaintAccess **)(void *)page.rows;
    answer->n_accesses = page.count;
    if (page.more)
        answer->cursor = (char *)(uintptr_t)page.cursor;
    *reply = &answer->base;
    return YZ_OK;
}

/* complaint.keys */

struct orgs_load {
    const struct wk_query *query;
    const bson_t **documents; /* those of orgs->handlers, ->branches or ->holders */
    bson_t copies[YZ_ORG_DEPTH_MAX];
    const char *ids[YZ_ORG_DEPTH_MAX];
    size_t count;
    bool full;
};

static bool on_org(void *arg, const bson_t *row)
{
    struct orgs_load *load = arg;

    for (size_t i = 0; i < load->count; i++) {
        if (strcmp(load->ids[i], wk_document_text(row, "_id")) != 0)
            continue;
        if (!wk_document_keep(load->query->arena, row, &load->copies[i])) {
            load->full = true;
            return false;
        }
        load->documents[i] = &load->copies[i];
    }
    return true;
}

/* The copies must stay for as long as the documents are looked at. */
static enum yz_err load_orgs(struct orgs_load *load, const struct wk_route_orgs *orgs,
                             const char *collection)
{
    char ids[YZ_ORG_DEPTH_MAX][WK_ID_MAX];
    enum yz_err err;

    load->count = orgs->count;
    for (size_t i = 0; i < orgs->count; i++) {
        wk_id(ids[i], load->query->actor->tenant, orgs->paths[i], NULL);
        load->ids[i] = ids[i];
    }
    err = wk_store_get_many(load->query->store, collection, load->ids, load->count, on_org, load);
    return err ? err : load->full ? YZ_BUSY : YZ_OK;
}

static bool add_key(const struct wk_query *query, const struct wk_handler *handler,
                    Yizhan__V1__ComplaintKeysReply *answer)
{
    Yizhan__V1__ComplaintKey *key = yz_arena_alloc(query->arena, sizeof *key);

    if (!key)
        return false;
    yizhan__v1__complaint_key__init(key);
    key->key_id = (char *)(uintptr_t)handler->key_id;
    key->public_key.data = (uint8_t *)(uintptr_t)handler->public_key;
    key->public_key.len = WK_PUBLIC_KEY_BYTES;
    /* The route's texts end with it, the reply's do not. */
    key->org_path = yz_arena_alloc(query->arena, strlen(handler->scope) + 1);
    if (!key->org_path)
        return false;
    memcpy(key->org_path, handler->scope, strlen(handler->scope) + 1);
    key->nearest = handler->nearest;
    answer->keys[answer->n_keys++] = key;
    return true;
}

static enum yz_err fill_route(const struct wk_query *query, Yizhan__V1__ComplaintKeysReply *answer,
                              const struct wk_route *route)
{
    answer->keys =
        yz_arena_alloc(query->arena, (route->eligible + 1) * sizeof(Yizhan__V1__ComplaintKey *));
    if (!answer->keys)
        return YZ_BUSY;
    for (size_t i = 0; i < route->count; i++) {
        if (route->handlers[i].eligible && !add_key(query, &route->handlers[i], answer))
            return YZ_BUSY;
    }
    return YZ_OK;
}

static enum yz_err answer_keys(const struct wk_query *query, ProtobufCMessage **reply,
                               struct yz_violation *v)
{
    const Yizhan__V1__ComplaintKeysRequest *request =
        (const Yizhan__V1__ComplaintKeysRequest *)query->request;
    Yizhan__V1__ComplaintKeysReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct wk_route *route = yz_calloc(1, sizeof *route);
    struct wk_route_orgs orgs;
    struct wk_route_case what;
    struct orgs_load handlers = {.query = query, .documents = orgs.handlers};
    struct orgs_load branches = {.query = query, .documents = orgs.branches};
    struct orgs_load holders = {.query = query, .documents = orgs.holders};
    enum yz_err err = answer ? YZ_OK : YZ_BUSY;

    wk_route_case(request->org_path, request->accused, query->now_ms, &what);
    wk_route_orgs(what.place, &orgs);
    if (!err)
        err = load_orgs(&handlers, &orgs, WK_COMPLAINT_HANDLERS);
    if (!err)
        err = load_orgs(&branches, &orgs, WK_BRANCHES);
    if (!err)
        err = load_orgs(&holders, &orgs, WK_ROLE_HOLDERS);
    if (!err) {
        wk_route_find(&what, &orgs, route);
        yizhan__v1__complaint_keys_reply__init(answer);
        err = fill_route(query, answer, route);
    }
    free(route);
    if (err)
        return fail(v, err);
    *reply = &answer->base;
    return YZ_OK;
}

const struct wk_query_handler wk_complaint_queries[] = {
    {"complaint.keys", answer_keys},         {"complaint.read", answer_read},
    {"complaint.mine", answer_mine},         {"complaint.get", answer_get},
    {"complaint.accesses", answer_accesses}, {0},
};
