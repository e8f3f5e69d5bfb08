#include "gateway/signal.h"

#include "gateway/frame.h"

#include "schemas/contract.h"

#include <client.pb-c.h>

#define WIRE_MAX 4096 /* ids and a channel's name, whatever the encoding */

enum yz_err gw_signal_authorize(int kind, const struct yz_actor *actor, const char *org_path)
{
    const struct yz_event_type *announced =
        kind == YIZHAN__V1__SIGNAL_KIND__TYPING ? yz_event_type_find("thread.posted", NULL) : NULL;

    return announced ? yz_authorize(announced->authority, actor, org_path) : YZ_FORBIDDEN;
}

void gw_signal_init(struct gw_signal *signal, const char *channel, const char *member, int kind)
{
    *signal = (struct gw_signal){.channel = channel, .member = member, .kind = kind};
    for (size_t i = 0; i < GW_ENCODINGS; i++)
        yz_buf_init(&signal->buffers[i], WIRE_MAX);
}

void gw_signal_deinit(struct gw_signal *signal)
{
    for (size_t i = 0; i < GW_ENCODINGS; i++)
        yz_buf_deinit(&signal->buffers[i]);
}

const struct gw_wire *gw_signal_wire(struct gw_signal *signal, enum gw_encoding encoding)
{
    struct yz_buf *buf = &signal->buffers[encoding];

    if (!signal->tried[encoding]) {
        gw_wire_begin(buf);
        gw_frame_signal(buf, encoding, signal->channel, signal->member, signal->kind);
        gw_wire_end(buf, encoding, &signal->wires[encoding]);
    }
    signal->tried[encoding] = true;
    return signal->wires[encoding].bytes ? &signal->wires[encoding] : NULL;
}
