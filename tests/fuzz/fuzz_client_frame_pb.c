/* Bytes of a WebSocket message with subprotocol yizhan.v1.protobuf. */
#include "schemas/codec.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/message_checks.h"

#include <client.pb-c.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yz_violation v = {0};
    struct yz_arena arena;
    ProtobufCMessage *frame;
    enum yz_err err;

    yz_arena_init(&arena, size * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    err = yz_pb_decode(&yizhan__v1__client_frame__descriptor, data, size, &arena, &frame, &v);
    if (err) {
        PROMISE(!frame && err != YZ_FRAME_TOO_LARGE);
        message_refusal(err, &v);
        yz_pb_frame_id(data, size);
    } else {
        struct yz_buf once;

        message_returns(frame, yz_payload_resolve);
        message_encode(frame, &once);
        PROMISE(yz_pb_frame_id(once.data, once.len) == ((Yizhan__V1__ClientFrame *)frame)->id);
        yz_buf_deinit(&once);
    }
    yz_arena_deinit(&arena);
    return 0;
}
