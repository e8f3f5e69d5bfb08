#include "workers/ctl/message.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A decoded message takes a few times its encoding. */
#define ARENA_MAX (16 * CTL_PAYLOAD_MAX)

void ctl_payload_init(struct ctl_payload *payload)
{
    yz_arena_init(&payload->arena, ARENA_MAX);
    yz_buf_init(&payload->bytes, CTL_PAYLOAD_MAX);
    payload->message = NULL;
}

void ctl_payload_deinit(struct ctl_payload *payload)
{
    yz_arena_deinit(&payload->arena);
    yz_buf_deinit(&payload->bytes);
}

enum yz_err ctl_payload_read(struct ctl_payload *payload, const ProtobufCMessageDescriptor *desc,
                             const char *json, struct yz_violation *v)
{
    size_t len = strlen(json);

    if (len > CTL_PAYLOAD_MAX)
        return yz_violate(v, YZ_FRAME_TOO_LARGE, NULL, NULL);
    return yz_json_decode(desc, json, len, yz_payload_resolve, &payload->arena, &payload->message,
                          v);
}

enum yz_err ctl_payload_encode(struct ctl_payload *payload, struct yz_violation *v)
{
    enum yz_err err = yz_pb_encode(payload->message, &payload->bytes);

    return err ? yz_violate(v, err, NULL, NULL) : YZ_OK;
}

static json_t *base64_of(const void *data, size_t len)
{
    unsigned char *text = malloc(4 * ((len + 2) / 3) + 1);
    json_t *value = NULL;

    if (text && EVP_EncodeBlock(text, data, (int)len) >= 0)
        value = json_string((const char *)text);
    free(text);
    return value;
}

json_t *ctl_message_json(const ProtobufCMessageDescriptor *desc, const void *data, size_t len)
{
    struct ctl_payload decoded;
    struct yz_violation v;
    struct yz_buf text;
    json_t *value = NULL;

    ctl_payload_init(&decoded);
    yz_buf_init(&text, 8 * CTL_PAYLOAD_MAX);
    if (desc && len <= CTL_PAYLOAD_MAX &&
        yz_pb_decode(desc, data, len, &decoded.arena, &decoded.message, &v) == YZ_OK &&
        yz_json_encode(decoded.message, yz_payload_resolve, &text) == YZ_OK)
        value = json_loadb((const char *)text.data, text.len, 0, NULL);
    yz_buf_deinit(&text);
    ctl_payload_deinit(&decoded);
    return value ? value : base64_of(data, len);
}

enum ctl_exit ctl_refused(const struct ctl *ctl, const struct yz_violation *v)
{
    const char *text = yz_violation_text(v);
    bool temporary = yz_err_temporary(v->err);

    if (ctl->json)
        ctl_print_json(json_pack("{s:{s:s, s:s, s:s, s:b}}", "error", "code", yz_err_code(v->err),
                                 "text", text, "field", v->field, "temporary", temporary));
    else
        fprintf(stderr, "yzctl %s: refused, %s%s%s: %s%s\n", ctl->command->name,
                yz_err_code(v->err), *v->field ? " in " : "", v->field, text,
                temporary ? " (temporary: the same may be sent again)" : "");
    return CTL_FAILED;
}
