/* The messages of the client protocol and one with every kind of field (those of a domain have
 * their own target, fuzz_domain.c): the first byte picks the message, the second the encoding
 * (even: protobuf). */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/message_checks.h"

#include <client.pb-c.h>
#include <envelope.pb-c.h>
#include <scalars.pb-c.h>

static const ProtobufCMessageDescriptor *const messages[] = {
    &yizhan__v1__client_frame__descriptor, &yizhan__v1__server_frame__descriptor,
    &yizhan__v1__emit__descriptor,         &yizhan__v1__query__descriptor,
    &yizhan__v1__push__descriptor,         &yizhan__v1__query_result__descriptor,
    &yizhan__test__scalars__descriptor,    &yizhan__test__lists__descriptor,
    &yizhan__test__choice__descriptor,
};
#define MESSAGE_COUNT (sizeof messages / sizeof messages[0])

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ProtobufCMessageDescriptor *desc;
    struct yz_violation v = {0};
    struct yz_arena arena;
    ProtobufCMessage *message;
    enum yz_err err;

    if (size < 2 || data[0] >= MESSAGE_COUNT)
        return 0;
    desc = messages[data[0]];
    yz_arena_init(&arena, size * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    if (data[1] % 2 == 0)
        err = yz_pb_decode(desc, data + 2, size - 2, &arena, &message, &v);
    else
        err = yz_json_decode(desc, (const char *)data + 2, size - 2, yz_payload_resolve, &arena,
                             &message, &v);
    if (err) {
        /* The arena holds whatever a limit on the input lets in. */
        PROMISE(!message && err != YZ_FRAME_TOO_LARGE);
        message_refusal(err, &v);
    } else {
        message_returns(message, yz_payload_resolve);
    }
    yz_arena_deinit(&arena);
    return 0;
}
