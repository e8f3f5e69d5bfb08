/* Votes in a meeting (表决): open ones, by name; secret ballots are another domain's. One is open
 * at a time, and while it is, nobody's attendance is corrected and the meeting is not closed: so
 * whoever voted counts as present when the rule pack decides. */
#include "workers/domains/meeting.h"

#include "workers/query.h"
#include "workers/store.h"

#include <string.h>

#define VOTE_OPENED "meeting.vote_opened"
#define PAGE_COUNT  20
#define PAGE_MAX    100

#define YES     YIZHAN__V1__VOTE_CHOICE__VOTE_YES
#define NO      YIZHAN__V1__VOTE_CHOICE__VOTE_NO
#define ABSTAIN YIZHAN__V1__VOTE_CHOICE__VOTE_ABSTAIN

/* The three events begin alike (asserted below), as they name the same vote. */
static const char *vote_of(const struct wk_event *event)
{
    return ((const Yizhan__V1__MeetingVoteClosed *)event->payload)->vote_id;
}
_Static_assert(offsetof(Yizhan__V1__MeetingVoteOpened, vote_id) ==
                       offsetof(Yizhan__V1__MeetingVoteClosed, vote_id) &&
                   offsetof(Yizhan__V1__MeetingVoteCast, vote_id) ==
                       offsetof(Yizhan__V1__MeetingVoteClosed, vote_id),
               "votes begin with org_path, meeting_id and vote_id");

static void vote_id(const struct wk_event *event, char out[WK_ID_MAX])
{
    wk_meeting_part(event, vote_of(event), out);
}

static const bson_t *get_vote(const struct wk_event *event, struct wk_fold *fold)
{
    char id[WK_ID_MAX];

    vote_id(event, id);
    return wk_get(fold, WK_VOTES, id);
}

void wk_meeting_needs_vote(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    wk_meeting_needs_roster(event, needs);
    vote_id(event, id);
    wk_need_own(needs, WK_VOTES, id);
}

/* The sets of a vote, by choice; those in writing stand in one of them, and in `written`. */
struct ballots {
    struct wk_bits by_choice[4];
    struct wk_bits written;
};

static const char *const fields[] = {"", "yes_set", "no_set", "abstain_set"};

static void read_ballots(const bson_t *vote, int64_t should, struct ballots *ballots)
{
    for (int choice = YES; choice <= ABSTAIN; choice++)
        wk_bits_read(vote, fields[choice], should, &ballots->by_choice[choice]);
    wk_bits_read(vote, "written_set", should, &ballots->written);
}

static void append_ballots(bson_t *vote, const struct ballots *ballots)
{
    for (int choice = YES; choice <= ABSTAIN; choice++)
        wk_bits_append(vote, fields[choice], &ballots->by_choice[choice]);
    wk_bits_append(vote, "written_set", &ballots->written);
}

static bool has_voted(const struct ballots *ballots, int64_t place)
{
    return wk_bits_has(&ballots->by_choice[YES], place) ||
           wk_bits_has(&ballots->by_choice[NO], place) ||
           wk_bits_has(&ballots->by_choice[ABSTAIN], place);
}

static int64_t count_ballots(const struct ballots *ballots)
{
    return wk_bits_count(&ballots->by_choice[YES]) + wk_bits_count(&ballots->by_choice[NO]) +
           wk_bits_count(&ballots->by_choice[ABSTAIN]);
}

static void insert_ballot(const struct wk_event *event, struct wk_fold *fold, const char *member,
                          Yizhan__V1__VoteChoice choice)
{
    bson_t *ballot = bson_new();
    char id[WK_ID_MAX];

    BSON_APPEND_UTF8(ballot, "org_path", wk_meeting_ref(event)->org_path);
    BSON_APPEND_UTF8(ballot, "meeting_id", wk_meeting_ref(event)->meeting_id);
    BSON_APPEND_UTF8(ballot, "vote_id", vote_of(event));
    BSON_APPEND_UTF8(ballot, "member", member);
    BSON_APPEND_UTF8(ballot, "choice",
                     wk_document_enum_name(&yizhan__v1__vote_choice__descriptor, (int)choice));
    BSON_APPEND_BOOL(ballot, "written", strcmp(event->type->name, VOTE_OPENED) == 0);
    BSON_APPEND_DATE_TIME(ballot, "cast_at", event->received_at_ms);
    wk_id(id, event->env->actor.tenant, wk_meeting_ref(event)->org_path,
          wk_meeting_ref(event)->meeting_id, vote_of(event), member, NULL);
    wk_insert(fold, WK_BALLOTS, id, ballot, YZ_ALREADY_VOTED, "voteId");
}

static enum yz_err judge_written(const struct wk_event *event, struct wk_fold *fold,
                                 const bson_t *meeting, struct yz_violation *v)
{
    const Yizhan__V1__MeetingVoteOpened *vote =
        (const Yizhan__V1__MeetingVoteOpened *)event->payload;
    struct wk_bits voters, present;

    wk_roster_voters(event, fold, &voters);
    wk_bits_read(meeting, "present", wk_document_number(meeting, "should"), &present);
    for (size_t i = 0; i < vote->n_written; i++) {
        int64_t place = wk_roster_place(event, fold, vote->written[i]->member);
        char field[40];

        snprintf(field, sizeof field, "written[%zu]", i);
        if (place < 0)
            return yz_violate(v, YZ_NOT_ON_ROSTER, field, "This member is not on the roster.");
        if (!wk_bits_has(&voters, place))
            return yz_violate(v, YZ_NOT_A_VOTER, field, NULL);
        if (wk_bits_has(&present, place))
            return yz_violate(v, YZ_INVALID_VALUE, field, "Who is present votes in person.");
    }
    return YZ_OK;
}

enum yz_err wk_meeting_judge_vote_opened(const struct wk_event *event, struct wk_fold *fold,
                                         struct yz_violation *v)
{
    const bson_t *meeting = wk_meeting_get(event, fold);
    enum yz_err err;

    if (!meeting)
        return wk_meeting_missing(v);
    if ((err = wk_meeting_expect(meeting, YIZHAN__V1__MEETING_STATE__OPEN, v)))
        return err;
    if (get_vote(event, fold))
        return yz_violate(v, YZ_EXISTS, "voteId", "A vote with this id exists already.");
    if (*wk_document_text(meeting, "open_vote"))
        return yz_violate(v, YZ_VOTE_OPEN, "meetingId", NULL);
    return judge_written(event, fold, meeting, v);
}

/* The written opinions, as sets and as ballots of their members. */
static void take_written(const struct wk_event *event, struct wk_fold *fold,
                         struct ballots *ballots)
{
    const Yizhan__V1__MeetingVoteOpened *vote =
        (const Yizhan__V1__MeetingVoteOpened *)event->payload;

    for (size_t i = 0; i < vote->n_written; i++) {
        int64_t place = wk_roster_place(event, fold, vote->written[i]->member);

        wk_bits_set(&ballots->by_choice[vote->written[i]->choice], place, true);
        wk_bits_set(&ballots->written, place, true);
        insert_ballot(event, fold, vote->written[i]->member, vote->written[i]->choice);
    }
}

static bson_t *new_vote(const struct wk_event *event, const struct ballots *ballots)
{
    const Yizhan__V1__MeetingVoteOpened *vote =
        (const Yizhan__V1__MeetingVoteOpened *)event->payload;
    bson_t *document = bson_new();

    BSON_APPEND_UTF8(document, "org_path", vote->org_path);
    BSON_APPEND_UTF8(document, "meeting_id", vote->meeting_id);
    BSON_APPEND_UTF8(document, "vote_id", vote->vote_id);
    BSON_APPEND_UTF8(document, "kind",
                     wk_document_enum_name(&yizhan__v1__vote_kind__descriptor, (int)vote->kind));
    BSON_APPEND_UTF8(document, "motion", vote->motion);
    BSON_APPEND_UTF8(document, "opened_by", event->env->actor.member);
    BSON_APPEND_DATE_TIME(document, "opened_at", event->received_at_ms);
    append_ballots(document, ballots);
    return document;
}

static void set_open_vote(const struct wk_event *event, struct wk_fold *fold, const bson_t *meeting,
                          const char *vote)
{
    bson_t *changed = bson_new();
    char id[WK_ID_MAX];

    WK_COPY_WITHOUT(meeting, changed, "open_vote");
    BSON_APPEND_UTF8(changed, "open_vote", vote);
    wk_meeting_id(event, id);
    wk_put(fold, WK_MEETINGS, id, changed);
}

static void send_count(const struct wk_event *event, struct wk_fold *fold, int64_t cast,
                       int64_t should)
{
    Yizhan__V1__MeetingVoteCount count = YIZHAN__V1__MEETING_VOTE_COUNT__INIT;
    char channel[YZ_CHANNEL_MAX], name[YZ_ID_MAX + 8];

    count.vote_id = (char *)(uintptr_t)vote_of(event);
    count.cast = (uint32_t)cast;
    count.should_attend = (uint32_t)should;
    snprintf(name, sizeof name, "vote.%s", vote_of(event));
    wk_meeting_channel(event, channel);
    wk_value(fold, channel, name, "meeting.vote_count", &count.base, NULL);
}

static void fill_vote(const bson_t *document, Yizhan__V1__MeetingVote *vote)
{
    yizhan__v1__meeting_vote__init(vote);
    vote->org_path = (char *)(uintptr_t)wk_document_text(document, "org_path");
    vote->meeting_id = (char *)(uintptr_t)wk_document_text(document, "meeting_id");
    vote->vote_id = (char *)(uintptr_t)wk_document_text(document, "vote_id");
    vote->kind = (Yizhan__V1__VoteKind)wk_document_enum(document, "kind",
                                                        &yizhan__v1__vote_kind__descriptor);
    vote->motion = (char *)(uintptr_t)wk_document_text(document, "motion");
    vote->result = (Yizhan__V1__VoteResult)wk_document_enum(document, "result",
                                                            &yizhan__v1__vote_result__descriptor);
    vote->should_attend = (uint32_t)wk_document_number(document, "should");
    vote->present = (uint32_t)wk_document_number(document, "present");
    vote->yes = (uint32_t)wk_document_number(document, "yes");
    vote->no = (uint32_t)wk_document_number(document, "no");
    vote->abstain = (uint32_t)wk_document_number(document, "abstain");
    vote->written = (uint32_t)wk_document_number(document, "written");
    vote->rule_version = (char *)(uintptr_t)wk_document_text(document, "rule_version");
}

/* Of a vote's fields those that are fixed once it is open, or once it is decided. */
static void push_vote(const struct wk_event *event, struct wk_fold *fold, const bson_t *document)
{
    int64_t closed_ms = wk_document_time_ms(document, "closed_at");
    Google__Protobuf__Timestamp opened_at, closed_at = wk_timestamp(closed_ms);
    Yizhan__V1__MeetingVote vote;
    char channel[YZ_CHANNEL_MAX];

    fill_vote(document, &vote);
    opened_at = wk_timestamp(wk_document_time_ms(document, "opened_at"));
    vote.opened_at = &opened_at;
    if (closed_ms)
        vote.closed_at = &closed_at;
    wk_meeting_channel(event, channel);
    wk_push(fold, channel, "meeting.vote", &vote.base, NULL);
}

void wk_meeting_apply_vote_opened(const struct wk_event *event, struct wk_fold *fold)
{
    const bson_t *meeting = wk_meeting_get(event, fold);
    struct ballots ballots;
    struct wk_bits voters;
    bson_t *document;
    char id[WK_ID_MAX];

    if (!meeting)
        return;
    wk_roster_voters(event, fold, &voters);
    read_ballots(meeting, wk_document_number(meeting, "should"), &ballots);
    take_written(event, fold, &ballots);
    document = new_vote(event, &ballots);
    push_vote(event, fold, document);
    send_count(event, fold, count_ballots(&ballots), wk_bits_count(&voters));
    vote_id(event, id);
    wk_put(fold, WK_VOTES, id, document);
    set_open_vote(event, fold, meeting, vote_of(event));
}

static bool is_decided(const bson_t *vote)
{
    return wk_document_time_ms(vote, "closed_at") != 0;
}

/* Who may not vote at all is told so before anything about the vote. */
enum yz_err wk_meeting_judge_vote_cast(const struct wk_event *event, struct wk_fold *fold,
                                       struct yz_violation *v)
{
    const bson_t *meeting = wk_meeting_get(event, fold), *vote = get_vote(event, fold);
    struct wk_bits voters, present;
    struct ballots ballots;
    int64_t place, should;

    if (!meeting)
        return wk_meeting_missing(v);
    place = wk_roster_place(event, fold, event->env->actor.member);
    if (place < 0)
        return yz_violate(v, YZ_NOT_ON_ROSTER, "meetingId", NULL);
    wk_roster_voters(event, fold, &voters);
    if (!wk_bits_has(&voters, place))
        return yz_violate(v, YZ_NOT_A_VOTER, "meetingId", NULL);
    if (!vote)
        return yz_violate(v, YZ_NOT_FOUND, "voteId", "There is no such vote.");
    should = wk_document_number(meeting, "should");
    read_ballots(vote, should, &ballots);
    if (has_voted(&ballots, place))
        return yz_violate(v, YZ_ALREADY_VOTED, "voteId", NULL);
    if (is_decided(vote))
        return yz_violate(v, YZ_VOTE_CLOSED, "voteId", NULL);
    wk_bits_read(meeting, "present", should, &present);
    return wk_bits_has(&present, place) ? YZ_OK : yz_violate(v, YZ_NOT_PRESENT, "meetingId", NULL);
}

void wk_meeting_apply_vote_cast(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MeetingVoteCast *cast = (const Yizhan__V1__MeetingVoteCast *)event->payload;
    const bson_t *meeting = wk_meeting_get(event, fold), *vote = get_vote(event, fold);
    int64_t place = wk_roster_place(event, fold, event->env->actor.member);
    struct ballots ballots;
    struct wk_bits voters;
    bson_t *changed;
    char id[WK_ID_MAX];

    if (!meeting || !vote || place < 0)
        return;
    insert_ballot(event, fold, event->env->actor.member, cast->choice);
    wk_roster_voters(event, fold, &voters);
    read_ballots(vote, wk_document_number(meeting, "should"), &ballots);
    wk_bits_set(&ballots.by_choice[cast->choice], place, true);
    send_count(event, fold, count_ballots(&ballots), wk_bits_count(&voters));
    changed = bson_new();
    WK_COPY_WITHOUT(vote, changed, "yes_set", "no_set", "abstain_set", "written_set");
    append_ballots(changed, &ballots);
    vote_id(event, id);
    wk_put(fold, WK_VOTES, id, changed);
}

enum yz_err wk_meeting_judge_vote_closed(const struct wk_event *event, struct wk_fold *fold,
                                         struct yz_violation *v)
{
    const bson_t *vote = get_vote(event, fold);

    if (!wk_meeting_get(event, fold))
        return wk_meeting_missing(v);
    if (!vote)
        return yz_violate(v, YZ_NOT_FOUND, "voteId", "There is no such vote.");
    return is_decided(vote) ? yz_violate(v, YZ_VOTE_CLOSED, "voteId", NULL) : YZ_OK;
}

/* Field of the meeting with how many voters were there when the vote was closed. It stands in the
 * document from which they are counted: a replay may find that written with who came after. */
static void present_field(const struct wk_event *event, char out[YZ_ID_MAX + 16])
{
    snprintf(out, YZ_ID_MAX + 16, "vote_present_%s", vote_of(event));
}

static bson_t *decide(const struct wk_event *event, struct wk_fold *fold, const bson_t *meeting,
                      const bson_t *vote)
{
    const struct wk_rules_meeting *rules =
        wk_rules_meeting_at(wk_fold_context(fold)->rules, event->received_at_ms);
    Yizhan__V1__VoteKind kind =
        (Yizhan__V1__VoteKind)wk_document_enum(vote, "kind", &yizhan__v1__vote_kind__descriptor);
    int64_t should = wk_document_number(meeting, "should");
    struct wk_bits voters, present;
    struct ballots ballots;
    struct wk_tally tally;
    bson_t *decided = bson_copy(vote);
    char field[YZ_ID_MAX + 16];

    wk_roster_voters(event, fold, &voters);
    wk_bits_read(meeting, "present", should, &present);
    read_ballots(vote, should, &ballots);
    tally.should = wk_bits_count(&voters);
    present_field(event, field);
    tally.present = bson_has_field(meeting, field) ? wk_document_number(meeting, field)
                                                   : wk_bits_common(&voters, &present);
    tally.yes = wk_bits_count(&ballots.by_choice[YES]);
    BSON_APPEND_INT32(decided, "should", (int32_t)tally.should);
    BSON_APPEND_INT32(decided, "present", (int32_t)tally.present);
    BSON_APPEND_INT32(decided, "yes", (int32_t)tally.yes);
    BSON_APPEND_INT32(decided, "no", (int32_t)wk_bits_count(&ballots.by_choice[NO]));
    BSON_APPEND_INT32(decided, "abstain", (int32_t)wk_bits_count(&ballots.by_choice[ABSTAIN]));
    BSON_APPEND_INT32(decided, "written", (int32_t)wk_bits_count(&ballots.written));
    BSON_APPEND_UTF8(decided, "result",
                     wk_document_enum_name(&yizhan__v1__vote_result__descriptor,
                                           (int)wk_vote_decide(rules, kind, &tally)));
    BSON_APPEND_UTF8(decided, "rule_version", rules->version);
    BSON_APPEND_UTF8(decided, "closed_by", event->env->actor.member);
    BSON_APPEND_DATE_TIME(decided, "closed_at", event->received_at_ms);
    return decided;
}

/* A replay takes the decision that stands. */
void wk_meeting_apply_vote_closed(const struct wk_event *event, struct wk_fold *fold)
{
    const bson_t *meeting = wk_meeting_get(event, fold), *vote = get_vote(event, fold);
    char id[WK_ID_MAX], field[YZ_ID_MAX + 16];
    bson_t *changed;

    if (!meeting || !vote)
        return;
    vote_id(event, id);
    if (!is_decided(vote)) {
        wk_put(fold, WK_VOTES, id, decide(event, fold, meeting, vote));
        vote = get_vote(event, fold);
    }
    push_vote(event, fold, vote);
    present_field(event, field);
    changed = bson_new();
    WK_COPY_WITHOUT(meeting, changed, "open_vote", field);
    BSON_APPEND_UTF8(changed, "open_vote", "");
    bson_append_int32(changed, field, -1, (int32_t)wk_document_number(vote, "present"));
    wk_meeting_id(event, id);
    wk_put(fold, WK_MEETINGS, id, changed);
}

/* A page of votes being read. */
struct votes {
    const struct wk_query *query;
    Yizhan__V1__MeetingVote *rows[PAGE_MAX];
    size_t count, limit, bytes;
    bool more, full;
};

static bool on_vote(void *arg, const bson_t *row)
{
    struct votes *votes = arg;
    struct yz_arena *arena = votes->query->arena;
    Yizhan__V1__MeetingVote *vote;
    bson_t kept;

    if (votes->count == votes->limit ||
        (votes->count > 0 && votes->bytes + wk_document_size(row) > WK_PAGE_MAX_BYTES)) {
        votes->more = true;
        return false;
    }
    vote = yz_arena_alloc(arena, sizeof *vote);
    if (!vote || !wk_document_keep(arena, row, &kept)) {
        votes->full = true;
        return false;
    }
    fill_vote(&kept, vote);
    vote->opened_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "opened_at"));
    vote->closed_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "closed_at"));
    votes->bytes += wk_document_size(row);
    votes->rows[votes->count++] = vote;
    return true;
}

enum yz_err wk_meeting_answer_votes(const struct wk_query *query, ProtobufCMessage **reply,
                                    struct yz_violation *v)
{
    const Yizhan__V1__MeetingVotesRequest *request =
        (const Yizhan__V1__MeetingVotesRequest *)query->request;
    Yizhan__V1__MeetingVotesReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct votes *votes = yz_arena_alloc(query->arena, sizeof *votes);
    bson_t filter = BSON_INITIALIZER, *opts, meeting;
    enum yz_err err = wk_meeting_load(query, request->org_path, request->meeting_id, &meeting, v);

    if (err)
        return err;
    if (!answer || !votes)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    *votes = (struct votes){.query = query, .limit = request->limit ? request->limit : PAGE_COUNT};
    wk_meeting_range(&filter, query, request->org_path, request->meeting_id, request->after);
    opts = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}", "limit",
                    BCON_INT64((int64_t)votes->limit + 1));
    err = wk_store_find(query->store, WK_VOTES, &filter, opts, on_vote, votes);
    bson_destroy(opts);
    bson_destroy(&filter);
    if (err || votes->full)
        return yz_violate(v, err ? err : YZ_BUSY, NULL, NULL);
    yizhan__v1__meeting_votes_reply__init(answer);
    answer->votes = votes->rows;
    answer->n_votes = votes->count;
    if (votes->more)
        answer->next_after = votes->rows[votes->count - 1]->vote_id;
    *reply = &answer->base;
    return YZ_OK;
}
