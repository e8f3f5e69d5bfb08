/* The documents of a meeting: its roster, taken once, and the sets of members in them. */
#include "workers/domains/meeting.h"

#include "common/memory.h"
#include "workers/roster.h"

#include <stdlib.h>
#include <string.h>

void wk_bits_read(const bson_t *document, const char *field, int64_t count, struct wk_bits *bits)
{
    uint32_t len;
    const uint8_t *stored = wk_document_bytes(document, field, &len);

    memset(bits->bytes, 0, sizeof bits->bytes);
    count = count > WK_ROSTER_MAX ? WK_ROSTER_MAX : count;
    bits->len = (uint32_t)(count + 7) / 8;
    if (stored)
        memcpy(bits->bytes, stored, len < bits->len ? len : bits->len);
}

bool wk_bits_has(const struct wk_bits *bits, int64_t place)
{
    return place >= 0 && place / 8 < (int64_t)bits->len &&
           (bits->bytes[place / 8] >> place % 8 & 1);
}

void wk_bits_set(struct wk_bits *bits, int64_t place, bool in)
{
    uint8_t bit;

    if (place < 0 || place / 8 >= (int64_t)bits->len)
        return;
    bit = (uint8_t)(1U << (place % 8));
    if (in)
        bits->bytes[place / 8] |= bit;
    else
        bits->bytes[place / 8] &= (uint8_t)~bit;
}

int64_t wk_bits_count(const struct wk_bits *bits)
{
    return wk_bits_common(bits, bits);
}

int64_t wk_bits_common(const struct wk_bits *a, const struct wk_bits *b)
{
    uint32_t len = a->len < b->len ? a->len : b->len;
    int64_t count = 0;

    for (uint32_t i = 0; i < len; i++)
        count += __builtin_popcount((unsigned)(a->bytes[i] & b->bytes[i]));
    return count;
}

void wk_bits_append(bson_t *document, const char *field, const struct wk_bits *bits)
{
    bson_append_binary(document, field, -1, BSON_SUBTYPE_BINARY, bits->bytes, bits->len);
}

/* A roster's members, for binary search. Borrowed from its document. */
struct members {
    size_t count;
    const char *names[];
};

static void *list_members(const bson_t *roster)
{
    struct members *members = yz_malloc(sizeof *members + WK_ROSTER_MAX * sizeof(char *));
    bson_iter_t entry;

    members->count = 0;
    if (!wk_document_array(roster, "members", &entry))
        return members;
    while (members->count < WK_ROSTER_MAX && bson_iter_next(&entry)) {
        const char *name = bson_iter_utf8(&entry, NULL);

        if (name)
            members->names[members->count++] = name;
    }
    return members;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

int64_t wk_roster_place(const struct wk_event *event, struct wk_fold *fold, const char *member)
{
    const struct members *members;
    const char *const *found;
    char id[WK_ID_MAX];

    wk_meeting_id(event, id);
    members = wk_get_derived(fold, WK_ROSTERS, id, list_members);
    found = members ? bsearch(member, members->names, members->count, sizeof members->names[0],
                              compare_names)
                    : NULL;
    return found ? found - members->names : -1;
}

/* A roster of before there were voters: all of it voted. */
void wk_roster_voters(const struct wk_event *event, struct wk_fold *fold, struct wk_bits *voters)
{
    const struct members *members;
    const bson_t *roster;
    char id[WK_ID_MAX];

    wk_meeting_id(event, id);
    memset(voters, 0, sizeof *voters);
    roster = wk_get(fold, WK_ROSTERS, id);
    members = wk_get_derived(fold, WK_ROSTERS, id, list_members);
    if (!roster || !members)
        return;
    wk_bits_read(roster, "voters", (int64_t)members->count, voters);
    if (bson_has_field(roster, "voters"))
        return;
    for (size_t i = 0; i < members->count; i++)
        wk_bits_set(voters, (int64_t)i, true);
}

static int compare_members(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_names(struct wk_snapshot *snapshot)
{
    qsort(snapshot->names, snapshot->count, sizeof snapshot->names[0], compare_members);
    snapshot->voters.len = (uint32_t)(snapshot->count + 7) / 8;
}

static int64_t place_of(const struct wk_snapshot *snapshot, const char *member)
{
    const char *const *found =
        bsearch(member, snapshot->names, snapshot->count, sizeof snapshot->names[0], compare_names);

    return found ? found - snapshot->names : -1;
}

/* Whoever belonged to the branch when the event was stored: who left since stands in the register
 * still. */
static bool belongs_at(const struct wk_branch_member *member, int64_t at_ms)
{
    return member->joined_at_ms <= at_ms && (member->left_at_ms == 0 || member->left_at_ms > at_ms);
}

/* A register in which nobody stands is none: it stays where an org was moved away, or is as empty
 * as that. */
static bool is_registered(const bson_t *branch, int64_t at_ms)
{
    struct wk_branch_member member;
    struct wk_branch_walk walk;

    for (wk_branch_begin(&walk, branch); wk_branch_next(&walk, &member);) {
        if (belongs_at(&member, at_ms))
            return true;
    }
    return false;
}

/* The full members among them vote. */
static void mark_full_members(struct wk_snapshot *snapshot, const bson_t *branch, int64_t at_ms)
{
    struct wk_branch_member member;
    struct wk_branch_walk walk;

    for (wk_branch_begin(&walk, branch); wk_branch_next(&walk, &member);) {
        int64_t place = place_of(snapshot, member.member);

        if (place >= 0 && member.kind == WK_MEMBER_FULL && belongs_at(&member, at_ms))
            wk_bits_set(&snapshot->voters, place, true);
    }
}

static enum yz_err take_branch(struct wk_snapshot *snapshot, const bson_t *branch, int64_t at_ms,
                               struct yz_violation *v)
{
    struct wk_branch_member member;
    struct wk_branch_walk walk;

    for (wk_branch_begin(&walk, branch); wk_branch_next(&walk, &member);) {
        if ((member.kind != WK_MEMBER_FULL && member.kind != WK_MEMBER_PROBATIONARY) ||
            !belongs_at(&member, at_ms))
            continue;
        if (snapshot->count == WK_ROSTER_MAX)
            return yz_violate(v, YZ_TOO_MANY, "rosterOfBranch",
                              "The branch has more members than a roster holds.");
        snapshot->names[snapshot->count++] = member.member;
    }
    if (snapshot->count == 0)
        return yz_violate(v, YZ_NOT_FOUND, "rosterOfBranch",
                          "No member of this branch is registered.");
    sort_names(snapshot);
    mark_full_members(snapshot, branch, at_ms);
    return YZ_OK;
}

static enum yz_err take_named(struct wk_snapshot *snapshot, const Yizhan__V1__MeetingConvened *m,
                              const bson_t *branch, int64_t at_ms, struct yz_violation *v)
{
    bool registered = is_registered(branch, at_ms);
    char field[40];

    snapshot->count = m->n_roster;
    memcpy(snapshot->names, m->roster, m->n_roster * sizeof snapshot->names[0]);
    sort_names(snapshot);
    for (size_t i = 0; i < m->n_voters; i++) {
        int64_t place = place_of(snapshot, m->voters[i]);

        snprintf(field, sizeof field, "voters[%zu]", i);
        if (place < 0)
            return yz_violate(v, YZ_NOT_ON_ROSTER, field, "Who votes must stand on the roster.");
        wk_bits_set(&snapshot->voters, place, true);
    }
    if (m->n_voters == 0 && registered)
        mark_full_members(snapshot, branch, at_ms);
    for (size_t i = 0; i < snapshot->count && m->n_voters == 0 && !registered; i++)
        wk_bits_set(&snapshot->voters, (int64_t)i, true);
    return YZ_OK;
}

static void take_again(struct wk_snapshot *snapshot, const bson_t *roster,
                       const struct members *members)
{
    snapshot->count = members->count;
    memcpy(snapshot->names, members->names, members->count * sizeof snapshot->names[0]);
    wk_bits_read(roster, "voters", (int64_t)members->count, &snapshot->voters);
}

struct wk_snapshot *wk_snapshot_take(const struct wk_event *event, struct wk_fold *fold,
                                     struct yz_violation *v)
{
    const Yizhan__V1__MeetingConvened *m = (const Yizhan__V1__MeetingConvened *)event->payload;
    struct wk_snapshot *snapshot = yz_calloc(1, sizeof *snapshot);
    const bson_t *branch, *roster;
    char id[WK_ID_MAX];
    enum yz_err err = YZ_OK;

    wk_branch_id(id, event->env->actor.tenant, m->org_path);
    branch = wk_get(fold, WK_BRANCHES, id);
    wk_meeting_id(event, id);
    roster = wk_get(fold, WK_ROSTERS, id);
    if (roster)
        take_again(snapshot, roster, wk_get_derived(fold, WK_ROSTERS, id, list_members));
    else if (m->roster_of_branch)
        err = take_branch(snapshot, branch, event->received_at_ms, v);
    else
        err = take_named(snapshot, m, branch, event->received_at_ms, v);
    if (!err)
        return snapshot;
    free(snapshot);
    return NULL;
}
