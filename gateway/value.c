#include "gateway/value.h"

#include "common/log.h"
#include "gateway/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void gw_values_init(struct gw_values *values)
{
    values->by_name = NULL;
}

void gw_values_clear(struct gw_values *values)
{
    struct gw_value *value, *next;

    HASH_ITER(hh, values->by_name, value, next)
    {
        HASH_DEL(values->by_name, value);
        gw_message_unref(value->msg);
        free(value);
    }
}

static struct gw_message *make(const char *channel, const char *name, uint64_t seq, natsMsg *bus)
{
    struct gw_message *msg = NULL;
    const char *roles, *exclude;

    if (natsMsgHeader_Get(bus, YZ_HEADER_PUSH_ROLES, &roles) != NATS_OK)
        roles = "";
    if (natsMsgHeader_Get(bus, YZ_HEADER_PUSH_EXCLUDE, &exclude) != NATS_OK)
        exclude = "";
    if (gw_message_new(channel, 0, name, natsMsg_GetData(bus), (size_t)natsMsg_GetDataLength(bus),
                       roles, exclude, &msg))
        yz_error_spaced("value_malformed", "channel=%s name=%s seq=%" PRIu64, channel, name, seq);
    return msg;
}

static void keep(struct gw_values *values, const char *name, uint64_t seq, struct gw_message *msg)
{
    size_t len = strlen(name);
    struct gw_value *value;

    if (HASH_COUNT(values->by_name) >= VALUES_MAX) {
        yz_warn_spaced("values_full", "max=%d", VALUES_MAX);
        return;
    }
    value = malloc(sizeof *value + len + 1);
    if (!value)
        return;
    value->seq = seq;
    value->msg = gw_message_ref(msg);
    memcpy(value->name, name, len + 1);
    HASH_ADD_KEYPTR(hh, values->by_name, value->name, len, value);
    if (!YZ_TABLE_ADDED(value)) {
        gw_message_unref(msg);
        free(value);
    }
}

void gw_values_take(struct gw_values *values, const char *channel, const char *name, uint64_t seq,
                    natsMsg *bus, struct gw_message **msg)
{
    struct gw_value *value;

    *msg = NULL;
    if (strlen(name) >= VALUE_NAME_MAX)
        return;
    HASH_FIND(hh, values->by_name, name, strlen(name), value);
    if ((value && seq <= value->seq) || !(*msg = make(channel, name, seq, bus)))
        return;
    if (!value) {
        keep(values, name, seq, *msg);
        return;
    }
    gw_message_unref(value->msg);
    value->seq = seq;
    value->msg = gw_message_ref(*msg);
}
