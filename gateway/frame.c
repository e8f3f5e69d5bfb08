#include "gateway/frame.h"

#include "client.pb-c.h"
#include "schemas/check.h"
#include "schemas/codec.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_DESC (&yizhan__v1__client_frame__descriptor)

/* A field path of the decoder begins with the body; the client knows which body it sent. */
static const char *const bodies[] = {"hello.", "subscribe.", "unsubscribe.", "emit.",
                                     "query.", "ping.",      "signal."};

static void strip_body(struct yz_violation *v)
{
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        size_t len = strlen(bodies[i]);

        if (strncmp(v->field, bodies[i], len) == 0) {
            memmove(v->field, v->field + len, strlen(v->field + len) + 1);
            return;
        }
    }
}

uint32_t gw_frame_id(enum gw_encoding encoding, const void *data, size_t len)
{
    return encoding == GW_JSON ? yz_json_frame_id(data, len) : yz_pb_frame_id(data, len);
}

static void read_wish(const Yizhan__V1__Subscribe *from, struct gw_wish *wish)
{
    wish->channel = from->channel;
    wish->since.given = from->since != NULL;
    wish->since.epoch = from->since ? from->since->epoch : "";
    wish->since.offset = from->since ? from->since->offset : 0;
}

static struct gw_wish *new_wishes(struct gw_frame *frame, size_t count, struct yz_arena *arena)
{
    struct gw_wish *wishes = yz_arena_alloc(arena, (count ? count : 1) * sizeof *wishes);

    frame->wishes = wishes;
    frame->count = wishes ? count : 0;
    return wishes;
}

static enum yz_err read_hello(const Yizhan__V1__Hello *hello, struct yz_arena *arena,
                              struct gw_frame *frame)
{
    struct gw_wish *wishes = new_wishes(frame, hello->n_subscribe, arena);

    if (!wishes)
        return YZ_INTERNAL;
    frame->token = hello->token;
    for (size_t i = 0; i < hello->n_subscribe; i++)
        read_wish(hello->subscribe[i], &wishes[i]);
    return YZ_OK;
}

static enum yz_err read_emit(const Yizhan__V1__Emit *from, struct gw_emit *emit,
                             struct yz_violation *v)
{
    emit->event_id = from->event_id;
    emit->type = from->type;
    emit->payload = from->payload.data;
    emit->len = from->payload.len;
    emit->occurred_at_ms = 0;
    if (from->occurred_at) {
        int64_t seconds = from->occurred_at->seconds;

        if (seconds < 0 || seconds > 253402300799 || from->occurred_at->nanos < 0 ||
            from->occurred_at->nanos > 999999999)
            return yz_violate(v, YZ_INVALID_VALUE, "occurredAt", NULL);
        emit->occurred_at_ms = seconds * 1000 + from->occurred_at->nanos / 1000000;
    }
    return YZ_OK;
}

static void read_ask(const Yizhan__V1__Query *from, struct gw_ask *ask)
{
    ask->type = from->type;
    ask->payload = from->payload.data;
    ask->len = from->payload.len;
    ask->min_sequence = from->min_sequence;
}

static enum yz_err read_body(const Yizhan__V1__ClientFrame *from, struct yz_arena *arena,
                             struct gw_frame *frame, struct yz_violation *v)
{
    struct gw_wish *wish;

    switch (from->body_case) {
    case YIZHAN__V1__CLIENT_FRAME__BODY_HELLO:
        frame->kind = GW_HELLO;
        return read_hello(from->hello, arena, frame);
    case YIZHAN__V1__CLIENT_FRAME__BODY_SUBSCRIBE:
        frame->kind = GW_SUBSCRIBE;
        wish = new_wishes(frame, 1, arena);
        if (!wish)
            return YZ_INTERNAL;
        read_wish(from->subscribe, wish);
        return YZ_OK;
    case YIZHAN__V1__CLIENT_FRAME__BODY_UNSUBSCRIBE:
        frame->kind = GW_UNSUBSCRIBE;
        wish = new_wishes(frame, 1, arena);
        if (!wish)
            return YZ_INTERNAL;
        wish->channel = from->unsubscribe->channel;
        return YZ_OK;
    case YIZHAN__V1__CLIENT_FRAME__BODY_EMIT:
        frame->kind = GW_EMIT;
        return read_emit(from->emit, &frame->emit, v);
    case YIZHAN__V1__CLIENT_FRAME__BODY_QUERY:
        frame->kind = GW_QUERY;
        read_ask(from->query, &frame->ask);
        return YZ_OK;
    case YIZHAN__V1__CLIENT_FRAME__BODY_PING:
        frame->kind = GW_PING;
        return YZ_OK;
    case YIZHAN__V1__CLIENT_FRAME__BODY_SIGNAL:
        frame->kind = GW_SIGNAL;
        frame->sign.channel = from->signal->channel;
        frame->sign.kind = (int)from->signal->kind;
        return yz_check_enum(&yizhan__v1__signal_kind__descriptor, frame->sign.kind, "kind", v);
    default:
        return yz_violate(v, YZ_BAD_FRAME, NULL, "The frame has none of the bodies.");
    }
}

enum yz_err gw_frame_decode(enum gw_encoding encoding, const void *data, size_t len,
                            struct yz_arena *arena, struct gw_frame *frame, struct yz_violation *v)
{
    ProtobufCMessage *message = NULL;
    enum yz_err err;

    memset(frame, 0, sizeof *frame);
    err = encoding == GW_JSON
              ? yz_json_decode(FRAME_DESC, data, len, yz_payload_resolve, arena, &message, v)
              : yz_pb_decode(FRAME_DESC, data, len, arena, &message, v);
    if (err != YZ_OK) {
        frame->id = gw_frame_id(encoding, data, len);
        strip_body(v);
        return err;
    }
    frame->id = ((const Yizhan__V1__ClientFrame *)message)->id;
    if (frame->id == 0)
        return yz_violate(v, YZ_BAD_FRAME, "id", "The frame needs an id that is not 0.");
    err = read_body((const Yizhan__V1__ClientFrame *)message, arena, frame, v);
    return err == YZ_INTERNAL ? yz_violate(v, err, NULL, NULL) : err;
}

enum yz_err gw_frame_decode_emit(const char *text, size_t len, struct yz_arena *arena,
                                 struct gw_emit *emit, struct yz_violation *v)
{
    ProtobufCMessage *message = NULL;
    enum yz_err err = yz_json_decode(&yizhan__v1__emit__descriptor, text, len, yz_payload_resolve,
                                     arena, &message, v);

    return err == YZ_OK ? read_emit((const Yizhan__V1__Emit *)message, emit, v) : err;
}

static void append_item(struct yz_buf *buf, enum gw_encoding encoding, Yizhan__V1__Item *item)
{
    Yizhan__V1__ServerFrame frame = YIZHAN__V1__SERVER_FRAME__INIT;
    enum yz_err err;

    frame.n_items = 1;
    frame.items = &item;
    if (encoding == GW_JSON) {
        err = yz_json_encode(&frame.base, yz_payload_resolve, buf);
        yz_buf_append(buf, "\n", 1);
    } else {
        err = yz_pb_encode(&frame.base, buf);
    }
    if (err != YZ_OK)
        buf->failed = true;
}

static void append_reply(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id,
                         Yizhan__V1__Reply *reply)
{
    Yizhan__V1__Item item = YIZHAN__V1__ITEM__INIT;

    reply->id = id;
    item.body_case = YIZHAN__V1__ITEM__BODY_REPLY;
    item.reply = reply;
    append_item(buf, encoding, &item);
}

/* The message borrows v. */
static void fill_error(Yizhan__V1__Error *error, const struct yz_violation *v)
{
    yizhan__v1__error__init(error);
    error->code = (char *)(uintptr_t)yz_err_code(v->err);
    error->text = (char *)(uintptr_t)yz_violation_text(v);
    error->temporary = yz_err_temporary(v->err);
    error->field = (char *)(uintptr_t)v->field;
}

static void fill_subscribed(Yizhan__V1__Subscribed *out, const struct gw_subscribed *subscribed)
{
    yizhan__v1__subscribed__init(out);
    out->channel = (char *)(uintptr_t)subscribed->channel;
    out->epoch = (char *)(uintptr_t)subscribed->epoch;
    out->offset = subscribed->offset;
    out->recovered = subscribed->recovered;
    out->missed = subscribed->missed;
}

static void fill_time(Google__Protobuf__Timestamp *time, int64_t ms)
{
    google__protobuf__timestamp__init(time);
    time->seconds = ms / 1000;
    time->nanos = (int32_t)(ms % 1000) * 1000000;
}

void gw_frame_error(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id,
                    const struct yz_violation *v, uint32_t retry_after_ms)
{
    Yizhan__V1__Reply reply = YIZHAN__V1__REPLY__INIT;
    Yizhan__V1__Error error;

    fill_error(&error, v);
    error.retry_after_ms = retry_after_ms;
    reply.result_case = YIZHAN__V1__REPLY__RESULT_ERROR;
    reply.error = &error;
    append_reply(buf, encoding, id, &reply);
}

/* What Welcome.subscribed needs for one channel, in one block. */
struct result {
    Yizhan__V1__SubscribeResult result;
    Yizhan__V1__Subscribed ok;
    Yizhan__V1__Error error;
};

static void fill_result(struct result *r, const struct gw_subscribed *subscribed)
{
    yizhan__v1__subscribe_result__init(&r->result);
    r->result.channel = (char *)(uintptr_t)subscribed->channel;
    if (subscribed->v.err == YZ_OK) {
        fill_subscribed(&r->ok, subscribed);
        r->result.result_case = YIZHAN__V1__SUBSCRIBE_RESULT__RESULT_OK;
        r->result.ok = &r->ok;
    } else {
        fill_error(&r->error, &subscribed->v);
        r->result.result_case = YIZHAN__V1__SUBSCRIBE_RESULT__RESULT_ERROR;
        r->result.error = &r->error;
    }
}

void gw_frame_welcome(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id,
                      const struct gw_welcome *from)
{
    Yizhan__V1__Reply reply = YIZHAN__V1__REPLY__INIT;
    Yizhan__V1__Welcome welcome = YIZHAN__V1__WELCOME__INIT;
    Google__Protobuf__Timestamp now, expires;
    size_t count = from->count ? from->count : 1;
    struct result *results = calloc(count, sizeof *results);
    Yizhan__V1__SubscribeResult **list = calloc(count, sizeof(Yizhan__V1__SubscribeResult *));

    if (results && list) {
        for (size_t i = 0; i < from->count; i++) {
            fill_result(&results[i], &from->subscribed[i]);
            list[i] = &results[i].result;
        }
        fill_time(&now, from->now_ms);
        fill_time(&expires, from->expires_at_ms);
        welcome.session = (char *)(uintptr_t)from->session;
        welcome.member = (char *)(uintptr_t)from->member;
        welcome.tenant = (char *)(uintptr_t)from->tenant;
        welcome.server_time = &now;
        welcome.expires_at = &expires;
        welcome.ping_interval_ms = from->ping_interval_ms;
        welcome.max_frame_bytes = from->max_frame_bytes;
        welcome.reconnect_max_ms = from->reconnect_max_ms;
        welcome.n_subscribed = from->count;
        welcome.subscribed = list;
        reply.result_case = YIZHAN__V1__REPLY__RESULT_WELCOME;
        reply.welcome = &welcome;
        append_reply(buf, encoding, id, &reply);
    } else {
        buf->failed = true;
    }
    free(results);
    free(list);
}

void gw_frame_subscribed(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id,
                         const struct gw_subscribed *subscribed)
{
    Yizhan__V1__Reply reply = YIZHAN__V1__REPLY__INIT;
    Yizhan__V1__Subscribed message;

    fill_subscribed(&message, subscribed);
    reply.result_case = YIZHAN__V1__REPLY__RESULT_SUBSCRIBED;
    reply.subscribed = &message;
    append_reply(buf, encoding, id, &reply);
}

void gw_frame_unsubscribed(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id,
                           const char *channel)
{
    Yizhan__V1__Reply reply = YIZHAN__V1__REPLY__INIT;
    Yizhan__V1__Unsubscribed message = YIZHAN__V1__UNSUBSCRIBED__INIT;

    message.channel = (char *)(uintptr_t)channel;
    reply.result_case = YIZHAN__V1__REPLY__RESULT_UNSUBSCRIBED;
    reply.unsubscribed = &message;
    append_reply(buf, encoding, id, &reply);
}

void gw_frame_accepted(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id,
                       const char *event_id, uint64_t sequence, bool duplicate)
{
    Yizhan__V1__Reply reply = YIZHAN__V1__REPLY__INIT;
    Yizhan__V1__Accepted message = YIZHAN__V1__ACCEPTED__INIT;

    message.event_id = (char *)(uintptr_t)event_id;
    message.sequence = sequence;
    message.duplicate = duplicate;
    reply.result_case = YIZHAN__V1__REPLY__RESULT_ACCEPTED;
    reply.accepted = &message;
    append_reply(buf, encoding, id, &reply);
}

void gw_frame_answer(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id, const char *type,
                     const void *payload, size_t len)
{
    Yizhan__V1__Reply reply = YIZHAN__V1__REPLY__INIT;
    Yizhan__V1__QueryResult message = YIZHAN__V1__QUERY_RESULT__INIT;

    message.type = (char *)(uintptr_t)type;
    message.payload.data = (uint8_t *)(uintptr_t)payload;
    message.payload.len = len;
    reply.result_case = YIZHAN__V1__REPLY__RESULT_QUERY_RESULT;
    reply.query_result = &message;
    append_reply(buf, encoding, id, &reply);
}

void gw_frame_pong(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id, int64_t now_ms)
{
    Yizhan__V1__Reply reply = YIZHAN__V1__REPLY__INIT;
    Yizhan__V1__Pong pong = YIZHAN__V1__PONG__INIT;
    Google__Protobuf__Timestamp now;

    fill_time(&now, now_ms);
    pong.server_time = &now;
    reply.result_case = YIZHAN__V1__REPLY__RESULT_PONG;
    reply.pong = &pong;
    append_reply(buf, encoding, id, &reply);
}

void gw_frame_signal(struct yz_buf *buf, enum gw_encoding encoding, const char *channel,
                     const char *member, int kind)
{
    Yizhan__V1__Item item = YIZHAN__V1__ITEM__INIT;
    Yizhan__V1__MemberSignal signal = YIZHAN__V1__MEMBER_SIGNAL__INIT;

    signal.channel = (char *)(uintptr_t)channel;
    signal.member = (char *)(uintptr_t)member;
    signal.kind = (Yizhan__V1__SignalKind)kind;
    item.body_case = YIZHAN__V1__ITEM__BODY_SIGNAL;
    item.signal = &signal;
    append_item(buf, encoding, &item);
}

void gw_frame_closing(struct yz_buf *buf, enum gw_encoding encoding, enum yz_close close,
                      uint32_t reconnect_max_ms)
{
    Yizhan__V1__Item item = YIZHAN__V1__ITEM__INIT;
    Yizhan__V1__Closing closing = YIZHAN__V1__CLOSING__INIT;

    closing.close_code = (uint32_t)close;
    closing.code = (char *)(uintptr_t)yz_close_code(close);
    closing.text = (char *)(uintptr_t)yz_close_text(close);
    closing.reconnect = yz_close_reconnects(close);
    closing.reconnect_max_ms = closing.reconnect ? reconnect_max_ms : 0;
    item.body_case = YIZHAN__V1__ITEM__BODY_CLOSING;
    item.closing = &closing;
    append_item(buf, encoding, &item);
}
