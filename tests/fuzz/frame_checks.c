#include "tests/fuzz/frame_checks.h"

#include "schemas/contract.h"
#include "schemas/text.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define OUTPUT_MAX (1 << 24)

static void encode(const ProtobufCMessage *message, struct yz_buf *buf)
{
    yz_buf_init(buf, OUTPUT_MAX);
    PROMISE(yz_pb_encode(message, buf) == YZ_OK);
}

static void same_bytes(const struct yz_buf *a, const struct yz_buf *b)
{
    PROMISE(a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0));
}

static void protobuf_returns(const struct yz_buf *once)
{
    struct yz_violation v;
    struct yz_arena arena;
    struct yz_buf twice;
    ProtobufCMessage *again;

    yz_arena_init(&arena, once->len * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    PROMISE(yz_pb_decode(&yizhan__v1__client_frame__descriptor, once->data, once->len, &arena,
                         &again, &v) == YZ_OK);
    encode(again, &twice);
    same_bytes(once, &twice);
    yz_buf_deinit(&twice);
    yz_arena_deinit(&arena);
}

/* Bytes that JSON gives back: the payload's own message, encoded canonically. */
static bool payload_is_canonical(const ProtobufCMessageDescriptor *container, const char *type,
                                 ProtobufCBinaryData payload)
{
    const ProtobufCMessageDescriptor *desc = yz_payload_resolve(container, type);
    struct yz_violation v;
    struct yz_arena arena;
    struct yz_buf buf;
    ProtobufCMessage *message;
    bool canonical = false;

    if (payload.len == 0)
        return true;
    if (!desc)
        return false;
    yz_arena_init(&arena, payload.len * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    if (yz_pb_decode(desc, payload.data, payload.len, &arena, &message, &v) == YZ_OK) {
        encode(message, &buf);
        canonical = buf.len == payload.len && memcmp(buf.data, payload.data, buf.len) == 0;
        yz_buf_deinit(&buf);
    }
    yz_arena_deinit(&arena);
    return canonical;
}

static void json_returns(const ProtobufCMessage *frame, const struct yz_buf *once)
{
    struct yz_violation v;
    struct yz_arena arena;
    struct yz_buf json, twice;
    ProtobufCMessage *again;

    yz_buf_init(&json, OUTPUT_MAX);
    PROMISE(yz_json_encode(frame, yz_payload_resolve, &json) == YZ_OK);
    PROMISE(yz_text_valid(json.data, json.len));
    PROMISE(!memchr(json.data, '\n', json.len));
    yz_arena_init(&arena, json.len * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    PROMISE(yz_json_decode(&yizhan__v1__client_frame__descriptor, (const char *)json.data, json.len,
                           yz_payload_resolve, &arena, &again, &v) == YZ_OK);
    encode(again, &twice);
    same_bytes(once, &twice);
    yz_buf_deinit(&twice);
    yz_buf_deinit(&json);
    yz_arena_deinit(&arena);
}

void frame_checks_run(const ProtobufCMessage *message)
{
    const Yizhan__V1__ClientFrame *frame = (const Yizhan__V1__ClientFrame *)message;
    bool canonical = true;
    struct yz_buf once;

    encode(message, &once);
    protobuf_returns(&once);
    PROMISE(yz_pb_frame_id(once.data, once.len) == frame->id);
    if (frame->body_case == YIZHAN__V1__CLIENT_FRAME__BODY_EMIT)
        canonical = payload_is_canonical(frame->emit->base.descriptor, frame->emit->type,
                                         frame->emit->payload);
    else if (frame->body_case == YIZHAN__V1__CLIENT_FRAME__BODY_QUERY)
        canonical = payload_is_canonical(frame->query->base.descriptor, frame->query->type,
                                         frame->query->payload);
    if (canonical)
        json_returns(message, &once);
    yz_buf_deinit(&once);
}

void frame_checks_refusal(enum yz_err err, const struct yz_violation *v)
{
    PROMISE(err == v->err && err != YZ_OK);
    PROMISE(err != YZ_INTERNAL);
    PROMISE(yz_text_valid(v->field, strlen(v->field)));
    PROMISE(yz_text_valid(v->text, strlen(v->text)));
    PROMISE(!strpbrk(v->field, "\r\n"));
}
