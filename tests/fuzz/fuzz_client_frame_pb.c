/* Bytes of a WebSocket message with subprotocol yizhan.v1.protobuf. */
#include "schemas/codec.h"
#include "tests/fuzz/frame_checks.h"
#include "tests/fuzz/fuzz.h"

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
        frame_checks_refusal(err, &v);
        yz_pb_frame_id(data, size);
    } else {
        frame_checks_run(frame);
    }
    yz_arena_deinit(&arena);
    return 0;
}
