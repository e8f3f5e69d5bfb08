/* Posts and what becomes of them: the natural key decides, the stream's order stands in each. */
#include "drive.h"

#include "workers/roster.h"

#include <stdio.h>
#include <thread.pb-c.h>

#define ORG     "g1/c1"
#define HOME    "g1/c1/b1"
#define CHANNEL "thread.g1/c1.t1"
#define FIRST   100 /* sequence of the first event */

static Yizhan__V1__ThreadPosted post(char *message_id)
{
    Yizhan__V1__ThreadPosted p = YIZHAN__V1__THREAD_POSTED__INIT;

    p.org_path = ORG;
    p.thread_id = "t1";
    p.message_id = message_id;
    p.text = "同意";
    return p;
}

/* One post of `author`; its sequence. */
static uint64_t posted(struct drive *d, const char *author, char *message_id)
{
    Yizhan__V1__ThreadPosted p = post(message_id);

    assert_int_equal(drive(d, author, HOME, "thread.posted", &p.base), YZ_OK);
    return d->event.sequence;
}

static enum yz_err edit(struct drive *d, const char *member, uint64_t sequence, char *text)
{
    Yizhan__V1__ThreadEdited e = YIZHAN__V1__THREAD_EDITED__INIT;

    e.org_path = ORG;
    e.thread_id = "t1";
    e.sequence = sequence;
    e.text = text;
    return drive(d, member, HOME, "thread.edited", &e.base);
}

static enum yz_err hide(struct drive *d, uint64_t sequence)
{
    Yizhan__V1__ThreadHidden h = YIZHAN__V1__THREAD_HIDDEN__INIT;

    h.org_path = ORG;
    h.thread_id = "t1";
    h.sequence = sequence;
    h.reason = "与主题无关";
    return drive(d, "sec", HOME, "thread.hidden", &h.base);
}

static enum yz_err react(struct drive *d, const char *member, uint64_t sequence,
                         Yizhan__V1__ReactionKind kind, bool taken_back)
{
    static Yizhan__V1__ThreadReacted r = YIZHAN__V1__THREAD_REACTED__INIT; /* for a replay */

    r.org_path = ORG;
    r.thread_id = "t1";
    r.sequence = sequence;
    r.kind = kind;
    r.taken_back = taken_back;
    return drive(d, member, HOME, "thread.reacted", &r.base);
}

static enum yz_err flag(struct drive *d, const char *member, uint64_t sequence)
{
    Yizhan__V1__ThreadFlagged f = YIZHAN__V1__THREAD_FLAGGED__INIT;

    f.org_path = ORG;
    f.thread_id = "t1";
    f.sequence = sequence;
    f.reason = "泄露他人信息";
    return drive(d, member, HOME, "thread.flagged", &f.base);
}

static enum yz_err read_up_to(struct drive *d, const char *member, uint64_t sequence)
{
    Yizhan__V1__ThreadReadUpTo r = YIZHAN__V1__THREAD_READ_UP_TO__INIT;

    r.org_path = ORG;
    r.thread_id = "t1";
    r.sequence = sequence;
    return drive(d, member, HOME, "thread.read_up_to", &r.base);
}

static int64_t reactions(struct drive *d, const char *kind)
{
    const bson_t *state = drive_document(d, "post_states", "t1|g1/c1|t1|100");
    bson_iter_t found, counts;

    if (!bson_iter_init_find(&found, state, "reactions") || !bson_iter_recurse(&found, &counts) ||
        !bson_iter_find(&counts, kind))
        return 0;
    return bson_iter_as_int64(&counts);
}

static void assert_refused(const struct drive *d, const char *field)
{
    assert_string_equal(d->v.field, field);
}

static void test_posted(void **state)
{
    Yizhan__V1__ThreadPosted p = post("x1");
    Yizhan__V1__ThreadPost *pushed;
    const bson_t *document;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &p.base), YZ_OK);
    document = drive_document(&d, "posts", "t1|g1/c1|t1|u1|x1");
    assert_string_equal(wk_document_text(document, "text"), "同意");
    assert_string_equal(wk_document_text(document, "author"), "u1");
    assert_int_equal(wk_document_number(document, "sequence"), FIRST);
    assert_int_equal(wk_document_number(document, "reply_to"), 0);
    document = drive_document(&d, "post_states", "t1|g1/c1|t1|100");
    assert_string_equal(wk_document_text(document, "author"), "u1");
    pushed = (Yizhan__V1__ThreadPost *)drive_last_push(&d, CHANNEL, "thread.post");
    assert_int_equal(pushed->sequence, FIRST);
    assert_string_equal(pushed->text, "同意");
    assert_int_equal(wk_timestamp_ms(pushed->posted_at), DRIVE_START);
    yizhan__v1__thread_post__free_unpacked(pushed, NULL);
    drive_deinit(&d);
}

static void test_posted_twice(void **state)
{
    Yizhan__V1__ThreadPosted p = post("x1"), q = post("x1");
    struct drive d;

    (void)state;
    q.text = "不同意";
    drive_init(&d);
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &p.base), YZ_OK);
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &q.base), YZ_ALREADY_POSTED);
    assert_refused(&d, "messageId");
    assert_int_equal(drive_push_count(&d), 1);
    assert_string_equal(wk_document_text(drive_document(&d, "posts", "t1|g1/c1|t1|u1|x1"), "text"),
                        "同意");
    /* Nothing has heard of the second one. */
    assert_null(drive_document(&d, "post_states", "t1|g1/c1|t1|101"));
    assert_int_equal(
        wk_document_number(drive_document(&d, "threads", "t1|g1/c1|t1"), "last_sequence"), FIRST);
    /* Another author's message of that id is another post. */
    assert_int_equal(drive(&d, "u2", HOME, "thread.posted", &q.base), YZ_OK);
    drive_deinit(&d);
}

static void test_order(void **state)
{
    char id[16];
    struct drive d;
    size_t count;
    const struct wk_fold_push *pushes;

    (void)state;
    drive_init(&d);
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "x%d", i);
        posted(&d, "u1", id);
    }
    pushes = wk_fold_pushes(d.fold, &count);
    assert_int_equal(count, 50);
    for (size_t i = 1; i < count; i++)
        assert_int_equal(pushes[i].sequence, pushes[i - 1].sequence + 1);
    drive_deinit(&d);
}

static void test_replay(void **state)
{
    Yizhan__V1__ThreadPosted p = post("x1");
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &p.base), YZ_OK);
    assert_int_equal(drive_apply(&d, &d.event), YZ_OK);
    /* The push goes again: the broker drops it by its message id. */
    assert_int_equal(drive_push_count(&d), 2);
    assert_int_equal(wk_document_number(drive_document(&d, "threads", "t1|g1/c1|t1"), "posts"), 1);
    drive_deinit(&d);
}

static void test_thread(void **state)
{
    const bson_t *thread;
    struct drive d;

    (void)state;
    drive_init(&d);
    posted(&d, "u1", "x1");
    d.now_ms += 5000;
    posted(&d, "u2", "x1");
    thread = drive_document(&d, "threads", "t1|g1/c1|t1");
    assert_string_equal(wk_document_text(thread, "starter"), "u1");
    assert_int_equal(wk_document_time_ms(thread, "started_at"), DRIVE_START);
    assert_int_equal(wk_document_number(thread, "last_sequence"), FIRST + 1);
    assert_int_equal(wk_document_time_ms(thread, "last_at"), DRIVE_START + 5000);
    assert_int_equal(wk_document_number(thread, "posts"), 2);
    drive_deinit(&d);
}

static void test_reply(void **state)
{
    Yizhan__V1__ThreadPosted p = post("x2");
    struct drive d;

    (void)state;
    drive_init(&d);
    posted(&d, "u1", "x1");
    p.reply_to = 99;
    assert_int_equal(drive(&d, "u2", HOME, "thread.posted", &p.base), YZ_NOT_FOUND);
    assert_refused(&d, "replyTo");
    p.reply_to = FIRST;
    p.thread_id = "t2"; /* a post of another thread is none of this one */
    assert_int_equal(drive(&d, "u2", HOME, "thread.posted", &p.base), YZ_NOT_FOUND);
    p.thread_id = "t1";
    assert_int_equal(drive(&d, "u2", HOME, "thread.posted", &p.base), YZ_OK);
    assert_int_equal(
        wk_document_number(drive_document(&d, "posts", "t1|g1/c1|t1|u2|x2"), "reply_to"), FIRST);
    drive_deinit(&d);
}

static void preset_branch(struct drive *d, const char *org_path, const char *members)
{
    char id[WK_ID_MAX];
    bson_t *branch = bson_new_from_json((const uint8_t *)members, -1, NULL);

    assert_non_null(branch);
    wk_branch_id(id, "t1", org_path);
    wk_fold_preset(d->fold, WK_BRANCHES, id, branch, 1);
    bson_destroy(branch);
}

static void test_mentions(void **state)
{
    char *mentions[] = {"u2", "u1", "x9"};
    Yizhan__V1__ThreadPosted p = post("x1");
    Yizhan__V1__ThreadMentioned *told;
    const struct wk_fold_push *pushes;
    struct drive d;
    size_t count;

    (void)state;
    drive_init(&d);
    preset_branch(&d, HOME,
                  "{\"members\": [{\"m\": \"u2\", \"p\": 0}, {\"m\": \"x9\", \"p\": 1, \"l\": "
                  "{\"$date\": \"2025-01-01T00:00:00Z\"}}]}");
    p.mentions = mentions;
    p.n_mentions = 3;
    /* x9 has left, and nobody else knows it */
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &p.base), YZ_STRANGER_MENTIONED);
    assert_refused(&d, "mentions[2]");
    p.n_mentions = 2; /* oneself is told nothing */
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &p.base), YZ_OK);
    pushes = wk_fold_pushes(d.fold, &count);
    assert_int_equal(count, 2);
    assert_string_equal(pushes[0].channel, CHANNEL);
    told = (Yizhan__V1__ThreadMentioned *)drive_last_push(&d, "member.u2", "thread.mentioned");
    assert_int_equal(told->sequence, d.event.sequence);
    assert_string_equal(told->author, "u1");
    assert_string_equal(told->text, "同意");
    yizhan__v1__thread_mentioned__free_unpacked(told, NULL);
    /* Whoever wrote here may be mentioned, registry or not; who only reads, too. */
    p.mentions = &mentions[2];
    p.n_mentions = 1;
    p.message_id = "x2";
    posted(&d, "x9", "y1");
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &p.base), YZ_OK);
    drive_deinit(&d);
}

static void test_a_reader_may_be_mentioned(void **state)
{
    char *mentions[] = {"u7"};
    Yizhan__V1__ThreadPosted p = post("x2");
    struct drive d;

    (void)state;
    drive_init(&d);
    p.mentions = mentions;
    p.n_mentions = 1;
    posted(&d, "u1", "x1");
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &p.base), YZ_STRANGER_MENTIONED);
    assert_int_equal(read_up_to(&d, "u7", FIRST), YZ_OK);
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &p.base), YZ_OK);
    drive_deinit(&d);
}

/* By the broker's time: so many in any minute, so many in any hour; and when again. */
static void test_pace(void **state)
{
    Yizhan__V1__ThreadPosted late = post("late");
    struct drive d;
    char id[16];
    int n = 0;

    (void)state;
    drive_init(&d);
    for (; n < 60; n++) {
        snprintf(id, sizeof id, "x%d", n);
        d.now_ms = DRIVE_START + n * INT64_C(500);
        posted(&d, "u1", id);
    }
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &late.base), YZ_POSTED_TOO_OFTEN);
    assert_refused(&d, "threadId");
    assert_non_null(strstr(d.v.text, "2026-01-01T00:01:00"));
    assert_int_equal(edit(&d, "u1", FIRST, "改"), YZ_POSTED_TOO_OFTEN);
    posted(&d, "u2", "other");
    late.thread_id = "t2"; /* another thread */
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &late.base), YZ_OK);
    late.thread_id = "t1";
    d.now_ms = DRIVE_START + 59999;
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &late.base), YZ_POSTED_TOO_OFTEN);
    d.now_ms = DRIVE_START + 60000;
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &late.base), YZ_OK);
    /* the hour: 61 up to here, then one each five seconds */
    for (n = 61; n < 600; n++) {
        snprintf(id, sizeof id, "x%d", n);
        d.now_ms = DRIVE_START + 120000 + n * INT64_C(5000);
        posted(&d, "u1", id);
    }
    late.message_id = "later";
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &late.base), YZ_POSTED_TOO_OFTEN);
    assert_non_null(strstr(d.v.text, "2026-01-01T01:00:00"));
    d.now_ms = DRIVE_START + 3600000;
    assert_int_equal(drive(&d, "u1", HOME, "thread.posted", &late.base), YZ_OK);
    drive_deinit(&d);
}

static void test_marks_have_a_pace_of_their_own(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    posted(&d, "u1", "x1");
    for (int n = 0; n < 120; n++)
        assert_int_equal(react(&d, "u2", FIRST, YIZHAN__V1__REACTION_KIND__LIKE, n % 2), YZ_OK);
    assert_int_equal(react(&d, "u2", FIRST, YIZHAN__V1__REACTION_KIND__LIKE, false),
                     YZ_POSTED_TOO_OFTEN);
    assert_refused(&d, "threadId");
    assert_int_equal(flag(&d, "u2", FIRST), YZ_POSTED_TOO_OFTEN);
    posted(&d, "u2", "no-mark");
    d.now_ms += 60000;
    assert_int_equal(flag(&d, "u2", FIRST), YZ_OK);
    drive_deinit(&d);
}

/* An edit that an operator brings back behind a later one does not bring its text back. */
static void test_an_edit_that_comes_back_late(void **state)
{
    Yizhan__V1__ThreadEdited first = YIZHAN__V1__THREAD_EDITED__INIT;
    struct drive_past past;
    struct drive d;

    (void)state;
    drive_init(&d);
    first.org_path = ORG;
    first.thread_id = "t1";
    first.sequence = posted(&d, "u1", "x1");
    first.text = "改一";
    assert_int_equal(drive(&d, "u1", HOME, "thread.edited", &first.base), YZ_OK);
    drive_keep(&d, &past);
    assert_int_equal(drive_bring_back(&d, &past), YZ_OK);
    d.now_ms += 1000;
    assert_int_equal(edit(&d, "u1", first.sequence, "改二"), YZ_OK);
    assert_int_equal(drive_bring_back(&d, &past), YZ_STALE_REVISION);
    assert_refused(&d, "sequence");
    drive_deinit(&d);
}

static void test_edited(void **state)
{
    Yizhan__V1__ThreadPostEdited *pushed;
    const bson_t *document;
    struct drive d;

    (void)state;
    drive_init(&d);
    posted(&d, "u1", "x1");
    assert_int_equal(edit(&d, "u1", 99, "改"), YZ_NOT_FOUND);
    assert_refused(&d, "sequence");
    assert_int_equal(edit(&d, "u2", FIRST, "改"), YZ_NOT_THE_AUTHOR);
    assert_refused(&d, "sequence");
    d.now_ms += 1000;
    assert_int_equal(edit(&d, "u1", FIRST, "改一"), YZ_OK);
    assert_int_equal(edit(&d, "u1", FIRST, "改二"), YZ_OK);
    pushed = (Yizhan__V1__ThreadPostEdited *)drive_last_push(&d, CHANNEL, "thread.post_edited");
    assert_int_equal(pushed->sequence, FIRST);
    assert_string_equal(pushed->text, "改二");
    yizhan__v1__thread_post_edited__free_unpacked(pushed, NULL);
    document = drive_document(&d, "post_states", "t1|g1/c1|t1|100");
    assert_string_equal(wk_document_text(document, "text"), "改二");
    assert_string_equal(wk_document_text(document, "author"), "u1");
    assert_int_equal(wk_document_number(document, "edits"), 2);
    /* all that stood there is kept */
    assert_string_equal(wk_document_text(drive_document(&d, "posts", "t1|g1/c1|t1|u1|x1"), "text"),
                        "同意");
    assert_string_equal(
        wk_document_text(drive_document(&d, "post_edits", "t1|g1/c1|t1|100|103"), "text"), "改一");
    assert_string_equal(
        wk_document_text(drive_document(&d, "post_edits", "t1|g1/c1|t1|100|104"), "text"), "改二");
    drive_deinit(&d);
}

static void test_edits_end(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    posted(&d, "u1", "x1");
    for (int n = 0; n < 50; n++) {
        d.now_ms += 10000;
        assert_int_equal(edit(&d, "u1", FIRST, "改"), YZ_OK);
    }
    assert_int_equal(edit(&d, "u1", FIRST, "改"), YZ_TOO_MANY);
    assert_refused(&d, "sequence");
    drive_deinit(&d);
}

static void test_hidden(void **state)
{
    Yizhan__V1__ThreadPostHidden *pushed;
    const bson_t *document;
    struct drive d;

    (void)state;
    drive_init(&d);
    posted(&d, "u1", "x1");
    assert_int_equal(hide(&d, 99), YZ_NOT_FOUND);
    assert_refused(&d, "sequence");
    assert_int_equal(hide(&d, FIRST), YZ_OK);
    pushed = (Yizhan__V1__ThreadPostHidden *)drive_last_push(&d, CHANNEL, "thread.post_hidden");
    assert_string_equal(pushed->hidden_by, "sec");
    assert_string_equal(pushed->reason, "与主题无关");
    yizhan__v1__thread_post_hidden__free_unpacked(pushed, NULL);
    document = drive_document(&d, "post_states", "t1|g1/c1|t1|100");
    assert_string_equal(wk_document_text(document, "hidden_by"), "sec");
    assert_string_equal(wk_document_text(document, "author"), "u1");
    /* what is hidden stays as it is */
    assert_int_equal(hide(&d, FIRST), YZ_POST_HIDDEN);
    assert_int_equal(edit(&d, "u1", FIRST, "改"), YZ_POST_HIDDEN);
    assert_int_equal(react(&d, "u2", FIRST, YIZHAN__V1__REACTION_KIND__LIKE, false),
                     YZ_POST_HIDDEN);
    assert_int_equal(flag(&d, "u2", FIRST), YZ_POST_HIDDEN);
    assert_refused(&d, "sequence");
    drive_deinit(&d);
}

static void test_reactions(void **state)
{
    Yizhan__V1__ThreadReaction *pushed;
    struct drive d;

    (void)state;
    drive_init(&d);
    posted(&d, "u1", "x1");
    assert_int_equal(react(&d, "u2", 99, YIZHAN__V1__REACTION_KIND__LIKE, false), YZ_NOT_FOUND);
    assert_refused(&d, "sequence");
    assert_int_equal(react(&d, "u2", FIRST, YIZHAN__V1__REACTION_KIND__LIKE, true), YZ_NOT_REACTED);
    assert_refused(&d, "kind");
    assert_int_equal(react(&d, "u2", FIRST, YIZHAN__V1__REACTION_KIND__LIKE, false), YZ_OK);
    assert_int_equal(react(&d, "u2", FIRST, YIZHAN__V1__REACTION_KIND__AGREE, false), YZ_OK);
    assert_int_equal(react(&d, "u3", FIRST, YIZHAN__V1__REACTION_KIND__LIKE, false), YZ_OK);
    assert_int_equal(react(&d, "u2", FIRST, YIZHAN__V1__REACTION_KIND__LIKE, false),
                     YZ_ALREADY_REACTED);
    assert_refused(&d, "kind");
    assert_int_equal(reactions(&d, "LIKE"), 2);
    assert_int_equal(reactions(&d, "AGREE"), 1);
    assert_int_equal(react(&d, "u2", FIRST, YIZHAN__V1__REACTION_KIND__LIKE, true), YZ_OK);
    assert_int_equal(reactions(&d, "LIKE"), 1);
    assert_int_equal(reactions(&d, "AGREE"), 1);
    pushed = (Yizhan__V1__ThreadReaction *)drive_last_push(&d, CHANNEL, "thread.reaction");
    assert_true(pushed->taken_back);
    assert_string_equal(pushed->member, "u2");
    yizhan__v1__thread_reaction__free_unpacked(pushed, NULL);
    /* a replay counts nothing twice */
    assert_int_equal(drive_apply(&d, &d.event), YZ_OK);
    assert_int_equal(reactions(&d, "LIKE"), 1);
    drive_deinit(&d);
}

static void test_flagged(void **state)
{
    const struct wk_fold_push *pushes;
    const bson_t *document;
    struct drive d;
    size_t count;

    (void)state;
    drive_init(&d);
    posted(&d, "u1", "x1");
    assert_int_equal(flag(&d, "u2", 99), YZ_NOT_FOUND);
    assert_refused(&d, "sequence");
    assert_int_equal(flag(&d, "u2", FIRST), YZ_OK);
    document = drive_document(&d, "post_flags", "t1|g1/c1|t1|100|u2");
    assert_string_equal(wk_document_text(document, "reason"), "泄露他人信息");
    assert_int_equal(wk_document_number(document, "flag"), d.event.sequence);
    pushes = wk_fold_pushes(d.fold, &count);
    assert_string_equal(pushes[count - 1].channel, "org.g1/c1");
    assert_string_equal(pushes[count - 1].roles, "secretary,admin");
    assert_int_equal(flag(&d, "u2", FIRST), YZ_ALREADY_FLAGGED);
    assert_refused(&d, "sequence");
    assert_int_equal(flag(&d, "u3", FIRST), YZ_OK);
    drive_deinit(&d);
}

static void test_read_up_to(void **state)
{
    struct drive d;
    const char *id = "t1|g1/c1|t1|u2";

    (void)state;
    drive_init(&d);
    assert_int_equal(read_up_to(&d, "u2", FIRST), YZ_NOT_FOUND);
    assert_refused(&d, "threadId");
    posted(&d, "u1", "x1");
    posted(&d, "u1", "x2");
    assert_int_equal(read_up_to(&d, "u2", d.event.sequence + 1), YZ_INVALID_VALUE);
    assert_refused(&d, "sequence");
    assert_int_equal(read_up_to(&d, "u2", FIRST + 2), YZ_OK);
    assert_int_equal(wk_document_number(drive_document(&d, "thread_marks", id), "read_up_to"),
                     FIRST + 2);
    /* never falls */
    assert_int_equal(read_up_to(&d, "u2", FIRST + 1), YZ_OK);
    assert_int_equal(wk_document_number(drive_document(&d, "thread_marks", id), "read_up_to"),
                     FIRST + 2);
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posted),
        cmocka_unit_test(test_posted_twice),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_thread),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_mentions),
        cmocka_unit_test(test_a_reader_may_be_mentioned),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_marks_have_a_pace_of_their_own),
        cmocka_unit_test(test_edited),
        cmocka_unit_test(test_edits_end),
        cmocka_unit_test(test_an_edit_that_comes_back_late),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_reactions),
        cmocka_unit_test(test_flagged),
        cmocka_unit_test(test_read_up_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
