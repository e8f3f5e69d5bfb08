#include "common/subject.h"

#include "common/memory.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWN "$own."

/* Length of the id at p (up to a byte that is none of an id's). */
static size_t id_span(const char *p)
{
    return strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
}

bool yz_id_valid(const char *id)
{
    size_t len = id_span(id);

    return len > 0 && len < YZ_ID_MAX && id[len] == '\0';
}

bool yz_org_path_valid(const char *path)
{
    const char *p = path;
    int depth = 0;

    for (;;) {
        size_t len = id_span(p);

        if (len == 0 || len >= YZ_ID_MAX || ++depth > YZ_ORG_DEPTH_MAX)
            return false;
        p += len;
        if (*p == '\0')
            return (size_t)(p - path) < YZ_ORG_PATH_MAX;
        if (*p++ != '/')
            return false;
    }
}

bool yz_org_covers(const char *outer, const char *path)
{
    size_t len = strlen(outer);

    return len > 0 && strncmp(outer, path, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static const struct {
    const char *prefix;
    bool has_org, has_id;
} forms[] = {
    [YZ_CHANNEL_ORG] = {"org.", true, false},
    [YZ_CHANNEL_MEMBER] = {"member.", false, true},
    [YZ_CHANNEL_MEETING] = {"meeting.", true, true},
    [YZ_CHANNEL_THREAD] = {"thread.", true, true},
};

bool yz_channel_parse(const char *name, struct yz_channel *channel)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t prefix = strlen(forms[i].prefix), org;
        const char *p = name + prefix;

        if (strncmp(name, forms[i].prefix, prefix) != 0)
            continue;
        memset(channel, 0, sizeof *channel);
        channel->kind = (enum yz_channel_kind)i;
        if (forms[i].has_org) {
            org = strcspn(p, ".");
            if (org >= YZ_ORG_PATH_MAX)
                return false;
            memcpy(channel->org_path, p, org);
            p += org;
            if (!yz_org_path_valid(channel->org_path) || (forms[i].has_id && *p++ != '.'))
                return false;
        }
        if (!forms[i].has_id)
            return *p == '\0';
        if (!yz_id_valid(p))
            return false;
        memcpy(channel->id, p, strlen(p) + 1);
        return true;
    }
    return false;
}

void yz_channel_name(const struct yz_channel *channel, char out[YZ_CHANNEL_MAX])
{
    const char *between = forms[channel->kind].has_org && forms[channel->kind].has_id ? "." : "";

    snprintf(out, YZ_CHANNEL_MAX, "%s%s%s%s", forms[channel->kind].prefix, channel->org_path,
             between, channel->id);
}

const char *yz_channel_stream(enum yz_channel_kind kind)
{
    return kind == YZ_CHANNEL_THREAD ? YZ_STREAM_THREADS : YZ_STREAM_CHANNELS;
}

void yz_channel_subject(const char *tenant, const char *channel, char out[YZ_SUBJECT_MAX])
{
    if (strncmp(channel, "thread.", 7) == 0)
        snprintf(out, YZ_SUBJECT_MAX, "thr.%s.%s", tenant, channel + 7);
    else
        snprintf(out, YZ_SUBJECT_MAX, "chan.%s.%s", tenant, channel);
}

void yz_value_subject(const char *tenant, const char *channel, const char *name,
                      char out[YZ_SUBJECT_MAX])
{
    snprintf(out, YZ_SUBJECT_MAX, "state.%s.%s.%s", tenant, channel, name);
}

void yz_live_subject(const char *subject, char out[YZ_SUBJECT_MAX])
{
    snprintf(out, YZ_SUBJECT_MAX, "live.%s", subject);
}

void yz_signal_subject(const char *subject, char out[YZ_SUBJECT_MAX])
{
    snprintf(out, YZ_SUBJECT_MAX, "sig.%s", subject);
}

bool yz_subject_is_signal(const char *subject)
{
    return strncmp(subject, "sig.", 4) == 0;
}

static uint64_t fnv1a(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
    return hash;
}

unsigned yz_partition(const char *tenant, const char *aggregate)
{
    uint64_t hash = fnv1a(0xcbf29ce484222325ULL, tenant);

    hash = fnv1a(fnv1a(hash, "\n"), aggregate);
    return (unsigned)((hash ^ (hash >> 32)) % YZ_PARTITIONS);
}

void yz_event_subject(unsigned partition, const char *tenant, const char *domain,
                      const char *org_path, char out[YZ_SUBJECT_MAX])
{
    snprintf(out, YZ_SUBJECT_MAX, "evt.%u.%s.%s.%s", partition, tenant, domain, org_path);
}

/* What stands behind "evt.<p>." */
static const char *behind_partition(const char *subject)
{
    for (int dots = 0; dots < 2; dots++) {
        subject += strcspn(subject, ".");
        subject += *subject == '.';
    }
    return subject;
}

bool yz_event_subject_is_own(const char *subject)
{
    return strncmp(behind_partition(subject), OWN, strlen(OWN)) == 0;
}

void yz_event_subject_own(const char *subject, char out[YZ_SUBJECT_MAX])
{
    const char *rest = yz_event_subject_rest(subject);

    snprintf(out, YZ_SUBJECT_MAX, "%.*s" OWN "%s", (int)(behind_partition(subject) - subject),
             subject, rest);
}

const char *yz_event_subject_rest(const char *subject)
{
    const char *rest = behind_partition(subject);

    return strncmp(rest, OWN, strlen(OWN)) == 0 ? rest + strlen(OWN) : rest;
}

void yz_query_subject(const char *tenant, const char *type, char out[YZ_SUBJECT_MAX])
{
    snprintf(out, YZ_SUBJECT_MAX, "qry.%s.%s", tenant, type);
}

void yz_deadletter_subject(const char *tenant, const char *domain, char out[YZ_SUBJECT_MAX])
{
    snprintf(out, YZ_SUBJECT_MAX, "dlq.%s.%s", tenant, domain);
}

static pthread_once_t digest_once = PTHREAD_ONCE_INIT;
static pthread_key_t digest_key;

static void free_digest(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void make_digest_key(void)
{
    if (pthread_key_create(&digest_key, free_digest) != 0)
        abort();
}

/* The thread's own, begun anew: allocated once, so that an event needs no memory for it. */
static EVP_MD_CTX *begin_digest(void)
{
    EVP_MD_CTX *ctx;
    int waited_ms = 0;

    pthread_once(&digest_once, make_digest_key);
    ctx = pthread_getspecific(digest_key);
    if (ctx && EVP_DigestInit_ex(ctx, NULL, NULL))
        return ctx;
    EVP_MD_CTX_free(ctx);
    while (!(ctx = EVP_MD_CTX_new()) || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) ||
           pthread_setspecific(digest_key, ctx) != 0) {
        EVP_MD_CTX_free(ctx);
        if (!yz_memory_again(&waited_ms))
            abort(); /* at its start: see the header */
    }
    return ctx;
}

void yz_hex(const unsigned char *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
}

void yz_hash(const struct yz_part *parts, size_t count, char out[33])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = begin_digest();

    for (size_t i = 0; i < count; i++) {
        uint64_t len = parts[i].len;
        unsigned char prefix[8];

        for (int b = 0; b < 8; b++)
            prefix[b] = (unsigned char)(len >> (8 * b));
        EVP_DigestUpdate(ctx, prefix, sizeof prefix);
        EVP_DigestUpdate(ctx, parts[i].data, parts[i].len);
    }
    EVP_DigestFinal_ex(ctx, digest, NULL);
    yz_hex(digest, 16, out);
    out[32] = '\0';
}

void yz_event_msg_id(const char *tenant, const char *actor, const char *event_id, const char *type,
                     const void *payload, size_t len, char out[YZ_MSG_ID_MAX])
{
    const struct yz_part parts[] = {{tenant, strlen(tenant)},
                                    {actor, strlen(actor)},
                                    {event_id, strlen(event_id)},
                                    {type, strlen(type)},
                                    {payload, len}};
    char hex[33];

    yz_hash(parts, sizeof parts / sizeof parts[0], hex);
    snprintf(out, YZ_MSG_ID_MAX, "e-%s", hex);
}
