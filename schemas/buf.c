#include "schemas/buf.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 256

void yz_buf_init(struct yz_buf *buf, size_t max)
{
    *buf = (struct yz_buf){.max = max};
}

static bool grow(struct yz_buf *buf, size_t needed)
{
    size_t cap = buf->cap ? buf->cap : FIRST_CAP;
    uint8_t *data;

    while (cap < needed)
        cap = cap > buf->max / 2 ? buf->max : cap * 2;
    data = yz_realloc(buf->data, cap);
    if (!data)
        return false;
    buf->data = data;
    buf->cap = cap;
    return true;
}

uint8_t *yz_buf_extend(struct yz_buf *buf, size_t len)
{
    uint8_t *room;

    if (buf->failed || len > buf->max - buf->len ||
        ((!buf->data || len > buf->cap - buf->len) && !grow(buf, buf->len + len))) {
        buf->failed = true;
        return NULL;
    }
    room = buf->data + buf->len;
    buf->len += len;
    return room;
}

void yz_buf_append(struct yz_buf *buf, const void *data, size_t len)
{
    uint8_t *room = len > 0 ? yz_buf_extend(buf, len) : NULL;

    if (room)
        memcpy(room, data, len);
}

void yz_buf_deinit(struct yz_buf *buf)
{
    free(buf->data);
    *buf = (struct yz_buf){.max = buf->max};
}
