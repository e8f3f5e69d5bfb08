/* Text of a WebSocket message with subprotocol yizhan.v1.json. */
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
    err = yz_json_decode(&yizhan__v1__client_frame__descriptor, (const char *)data, size,
                         yz_payload_resolve, &arena, &frame, &v);
    if (err) {
        PROMISE(!frame && err != YZ_FRAME_TOO_LARGE);
        message_refusal(err, &v);
        yz_json_frame_id((const char *)data, size);
    } else {
        message_returns(frame, yz_payload_resolve);
        PROMISE(yz_json_frame_id((const char *)data, size) == 0 ||
                yz_json_frame_id((const char *)data, size) ==
                    ((Yizhan__V1__ClientFrame *)frame)->id);
    }
    yz_arena_deinit(&arena);
    return 0;
}
