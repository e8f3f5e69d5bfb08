#include "gateway/proxy.h"

#include "common/log.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_BITS 128
#define V4_BITS      96 /* what stands before an IPv4 address in its mapped form */

struct network {
    struct in6_addr address;
    unsigned bits;
};

struct gw_proxies {
    struct network list[PROXIES_MAX];
    size_t count;
};

static void map(const struct in_addr *v4, struct in6_addr *out)
{
    memset(out, 0, sizeof *out);
    out->s6_addr[10] = out->s6_addr[11] = 0xff;
    memcpy(out->s6_addr + 12, v4, 4);
}

/* An address of either family, IPv4 as a mapped one. */
static bool parse_address(const char *text, struct in6_addr *out, bool *is_v4)
{
    struct in_addr v4;

    *is_v4 = inet_pton(AF_INET, text, &v4) == 1;
    if (*is_v4)
        map(&v4, out);
    return *is_v4 || inet_pton(AF_INET6, text, out) == 1;
}

static bool parse_network(char *text, struct network *network)
{
    char *slash = strchr(text, '/'), *end = NULL;
    unsigned long bits, most;
    bool is_v4;

    if (slash)
        *slash = '\0';
    if (!parse_address(text, &network->address, &is_v4))
        return false;
    most = is_v4 ? ADDRESS_BITS - V4_BITS : ADDRESS_BITS;
    bits = slash ? strtoul(slash + 1, &end, 10) : most;
    if (slash && (slash[1] < '0' || slash[1] > '9' || *end != '\0'))
        return false;
    network->bits = (unsigned)bits + (is_v4 ? V4_BITS : 0);
    return bits <= most;
}

enum yz_err gw_proxies_new(const char *trusted, struct gw_proxies **out)
{
    struct gw_proxies *proxies = calloc(1, sizeof *proxies);
    char *text = strdup(trusted), *rest = text, *entry;
    enum yz_err err = proxies && text ? YZ_OK : YZ_INTERNAL;

    while (!err && (entry = strsep(&rest, ", "))) {
        if (*entry == '\0')
            continue;
        if (proxies->count == PROXIES_MAX ||
            !parse_network(entry, &proxies->list[proxies->count])) {
            yz_error("trusted_proxies_unusable", "entry=\"%s\" max=%d", entry, PROXIES_MAX);
            err = YZ_INVALID_VALUE;
        } else {
            proxies->count++;
        }
    }
    free(text);
    if (err)
        gw_proxies_free(proxies);
    else
        *out = proxies;
    return err;
}

void gw_proxies_free(struct gw_proxies *proxies)
{
    free(proxies);
}

static bool in_network(const struct network *network, const struct in6_addr *address)
{
    unsigned whole = network->bits / 8, left = network->bits % 8;
    unsigned char mask = (unsigned char)(0xff00 >> left);

    return memcmp(network->address.s6_addr, address->s6_addr, whole) == 0 &&
           (left == 0 || ((network->address.s6_addr[whole] ^ address->s6_addr[whole]) & mask) == 0);
}

static bool trusts(const struct gw_proxies *proxies, const struct in6_addr *address)
{
    for (size_t i = 0; i < proxies->count; i++) {
        if (in_network(&proxies->list[i], address))
            return true;
    }
    return false;
}

bool gw_proxies_trust(const struct gw_proxies *proxies, const struct sockaddr *peer)
{
    struct in6_addr address = {0};

    if (peer->sa_family == AF_INET)
        map(&((const struct sockaddr_in *)(const void *)peer)->sin_addr, &address);
    else if (peer->sa_family == AF_INET6)
        address = ((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
    else
        return false;
    return trusts(proxies, &address);
}

bool gw_proxies_client(const struct gw_proxies *proxies, const char *forwarded_for,
                       struct gw_address *client)
{
    struct sockaddr_in6 named = {.sin6_family = AF_INET6};
    char *text = strdup(forwarded_for), *comma = text;
    bool found = false, is_v4;

    while (text && comma && !found) {
        char *last;

        comma = strrchr(text, ',');
        last = comma ? comma + 1 : text;
        last += strspn(last, " \t");
        last[strcspn(last, " \t")] = '\0';
        /* Behind what is no address nobody can be believed any more. */
        if (!parse_address(last, &named.sin6_addr, &is_v4))
            break;
        found = !trusts(proxies, &named.sin6_addr);
        if (comma)
            *comma = '\0';
    }
    free(text);
    if (found)
        gw_address_of((const struct sockaddr *)(const void *)&named, client);
    return found;
}
