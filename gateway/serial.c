#include "gateway/serial.h"

#include <stdlib.h>

#define PLACE_BITS 20 /* of a serial; those above count the uses of the place */
#define PLACE_MASK (GW_SERIALS_MAX - 1)

struct place {
    void *thing; /* NULL: free */
    uint64_t serial;
    uint64_t uses;
    size_t next_free;
};

struct gw_serials {
    struct place *places;
    size_t max, count, span; /* places from span on were never used */
    size_t free;             /* first of the free ones before span; max: none */
    uint64_t mark;
};

struct gw_serials *gw_serials_new(size_t max, uint64_t mark)
{
    struct gw_serials *serials = calloc(1, sizeof *serials);

    if (!serials)
        return NULL;
    serials->max = max < GW_SERIALS_MAX ? max : GW_SERIALS_MAX;
    serials->free = serials->max;
    serials->mark = mark;
    serials->places = calloc(serials->max, sizeof *serials->places);
    if (!serials->places) {
        free(serials);
        return NULL;
    }
    return serials;
}

void gw_serials_free(struct gw_serials *serials)
{
    if (!serials)
        return;
    free(serials->places);
    free(serials);
}

uint64_t gw_serials_add(struct gw_serials *serials, void *thing)
{
    struct place *place;
    size_t at = serials->free;

    if (serials->count == serials->max)
        return 0;
    if (at == serials->max)
        at = serials->span++;
    else
        serials->free = serials->places[at].next_free;
    place = &serials->places[at];
    place->thing = thing;
    place->serial = serials->mark | ++place->uses << PLACE_BITS | at;
    serials->count++;
    return place->serial;
}

static struct place *find(const struct gw_serials *serials, uint64_t serial)
{
    size_t at = serial & PLACE_MASK;
    struct place *place = &serials->places[at < serials->span ? at : 0];

    return at < serials->span && place->thing && place->serial == serial ? place : NULL;
}

void *gw_serials_find(const struct gw_serials *serials, uint64_t serial)
{
    struct place *place = find(serials, serial);

    return place ? place->thing : NULL;
}

void gw_serials_remove(struct gw_serials *serials, uint64_t serial)
{
    struct place *place = find(serials, serial);

    if (!place)
        return;
    place->thing = NULL;
    place->next_free = serials->free;
    serials->free = (size_t)(place - serials->places);
    serials->count--;
}

size_t gw_serials_count(const struct gw_serials *serials)
{
    return serials->count;
}

size_t gw_serials_span(const struct gw_serials *serials)
{
    return serials->span;
}

void *gw_serials_at(const struct gw_serials *serials, size_t place)
{
    return serials->places[place].thing;
}
