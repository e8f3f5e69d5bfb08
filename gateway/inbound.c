#include "gateway/inbound.h"

#include "common/bus.h"

#include <pthread.h>
#include <stdlib.h>

struct gw_inbound {
    pthread_mutex_t lock;
    unsigned refs;
    uv_async_t *async;          /* NULL once closed */
    struct gw_metrics *metrics; /* NULL once closed */
    struct gw_inbound_item *ring;
    size_t capacity, first, count, bytes;
    bool woken; /* async was sent and the loop has not looked yet */
    struct gw_inbound_news news;
};

enum yz_err gw_inbound_new(size_t capacity, uv_async_t *async, struct gw_metrics *metrics,
                           struct gw_inbound **inbound)
{
    struct gw_inbound *in = calloc(1, sizeof *in);

    if (!in)
        return YZ_INTERNAL;
    in->ring = calloc(capacity, sizeof *in->ring);
    if (!in->ring || pthread_mutex_init(&in->lock, NULL) != 0) {
        free(in->ring);
        free(in);
        return YZ_INTERNAL;
    }
    in->refs = 1;
    in->async = async;
    in->metrics = metrics;
    in->capacity = capacity;
    *inbound = in;
    return YZ_OK;
}

struct gw_inbound *gw_inbound_ref(struct gw_inbound *in)
{
    pthread_mutex_lock(&in->lock);
    in->refs++;
    pthread_mutex_unlock(&in->lock);
    return in;
}

void gw_inbound_unref(struct gw_inbound *in)
{
    unsigned refs;

    pthread_mutex_lock(&in->lock);
    refs = --in->refs;
    pthread_mutex_unlock(&in->lock);
    if (refs > 0)
        return;
    pthread_mutex_destroy(&in->lock);
    free(in->ring);
    free(in);
}

static size_t weight(natsMsg *msg)
{
    return (size_t)natsMsg_GetDataLength(msg);
}

/* The oldest item. Lock held. */
static struct gw_inbound_item pop(struct gw_inbound *in)
{
    struct gw_inbound_item item = in->ring[in->first];

    in->first = (in->first + 1) % in->capacity;
    in->count--;
    in->bytes -= weight(item.msg);
    return item;
}

void gw_inbound_close(struct gw_inbound *in)
{
    pthread_mutex_lock(&in->lock);
    in->async = NULL;
    in->metrics = NULL;
    while (in->count > 0) {
        struct gw_inbound_item item = pop(in);

        natsMsg_Destroy(item.msg);
    }
    pthread_mutex_unlock(&in->lock);
}

/* Under the lock, so that the handle cannot be closed meanwhile; one send per look of the loop. */
static void wake(struct gw_inbound *in)
{
    if (in->woken || !in->async)
        return;
    in->woken = true;
    uv_async_send(in->async);
}

static size_t share(size_t whole, enum gw_worth worth)
{
    switch (worth) {
    case GW_WORTH_SIGNAL:
        return whole / 2;
    case GW_WORTH_LIVE:
        return whole - whole / 8;
    case GW_WORTH_REPLY:
        break;
    }
    return whole;
}

/* Lock held. */
static void note_dropped(struct gw_inbound *in, enum gw_worth worth)
{
    if (worth == GW_WORTH_SIGNAL) {
        yz_count(&in->metrics->signals_dropped, 1);
        return;
    }
    in->news.dropped = true;
    yz_count(&in->metrics->inbound_dropped, 1);
}

void gw_inbound_push(struct gw_inbound *in, uint64_t tap, natsMsg *msg, enum gw_worth worth)
{
    size_t max = share(in->capacity, worth);
    /* Parsed here, where it costs the loop nothing. */
    bool ready = yz_bus_headers_ready(&msg), fits;

    pthread_mutex_lock(&in->lock);
    fits = ready && in->async && in->count < max && in->bytes + weight(msg) <= INBOUND_BYTES_MAX;
    if (fits) {
        in->ring[(in->first + in->count++) % in->capacity] = (struct gw_inbound_item){msg, tap};
        in->bytes += weight(msg);
    } else if (in->async) {
        note_dropped(in, worth);
    }
    wake(in);
    pthread_mutex_unlock(&in->lock);
    if (!fits)
        natsMsg_Destroy(msg);
}

void gw_inbound_note_connected(struct gw_inbound *in, uint64_t connection)
{
    pthread_mutex_lock(&in->lock);
    in->news.connected = true;
    in->news.connection = connection;
    wake(in);
    pthread_mutex_unlock(&in->lock);
}

void gw_inbound_note_disconnected(struct gw_inbound *in)
{
    pthread_mutex_lock(&in->lock);
    in->news.disconnected = true;
    in->news.connected = false; /* told again when it comes back */
    wake(in);
    pthread_mutex_unlock(&in->lock);
}

void gw_inbound_note_closed(struct gw_inbound *in)
{
    pthread_mutex_lock(&in->lock);
    in->news.disconnected = in->news.closed = true;
    wake(in);
    pthread_mutex_unlock(&in->lock);
}

void gw_inbound_note_failed(struct gw_inbound *in)
{
    pthread_mutex_lock(&in->lock);
    in->news.failed = true;
    wake(in);
    pthread_mutex_unlock(&in->lock);
}

size_t gw_inbound_take(struct gw_inbound *in, struct gw_inbound_item *items, size_t count,
                       bool *more)
{
    size_t taken = 0;

    pthread_mutex_lock(&in->lock);
    in->woken = false;
    while (taken < count && in->count > 0)
        items[taken++] = pop(in);
    *more = in->count > 0;
    if (*more)
        wake(in);
    if (in->metrics)
        atomic_store_explicit(&in->metrics->inbound_queued, (int64_t)in->count,
                              memory_order_relaxed);
    pthread_mutex_unlock(&in->lock);
    return taken;
}

struct gw_inbound_news gw_inbound_news(struct gw_inbound *in)
{
    struct gw_inbound_news news;

    pthread_mutex_lock(&in->lock);
    news = in->news;
    in->news = (struct gw_inbound_news){0};
    pthread_mutex_unlock(&in->lock);
    return news;
}
