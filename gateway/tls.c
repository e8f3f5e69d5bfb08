#include "gateway/tls.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/subject.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICKET_KEYS_LEN  80
#define SESSION_LIFE_S   7200
#define EXPIRES_SOON_S   (14 * 24 * 3600)
#define SERIAL_TEXT_MAX  64
#define HASH_TEXT        33
#define CIPHERS_OF_TLS12 "ECDHE+AESGCM:ECDHE+CHACHA20"

/* A certificate with its chain and its key, as one. */
struct pair {
    X509 *leaf;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    time_t not_before, not_after;
    char serial[SERIAL_TEXT_MAX];
};

/* What a reading of the files came to. */
enum found { SAME, GOOD, BROKEN };

struct reading {
    const char *cert_file, *key_file;
    char hash[HASH_TEXT]; /* of what was read last, good or not */
    enum found found;
    struct pair *pair;  /* if GOOD */
    const char *reason; /* if BROKEN */
};

struct gw_tls {
    struct gw_metrics *metrics;
    uv_loop_t *loop;
    uv_timer_t poll;
    uv_work_t work;
    bool reading_now, closed;
    struct reading reading;
    struct pair *pair;
    SSL_CTX *ctx;
    int64_t tickets_until_ms; /* monotonic */
};

static void free_pair(struct pair *pair)
{
    if (!pair)
        return;
    X509_free(pair->leaf);
    sk_X509_pop_free(pair->chain, X509_free);
    EVP_PKEY_free(pair->key);
    free(pair);
}

/* The whole file; NULL when it cannot be read, is empty or too large. */
static char *read_file(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *data = fd >= 0 ? malloc(TLS_FILE_MAX + 1) : NULL;
    ssize_t got = 1;

    *len = 0;
    while (data && *len <= TLS_FILE_MAX && got > 0) {
        got = read(fd, data + *len, TLS_FILE_MAX + 1 - *len);
        *len += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        close(fd);
    if (data && got == 0 && *len > 0)
        return data;
    free(data);
    return NULL;
}

static void discard(char *data, size_t len)
{
    if (data)
        OPENSSL_cleanse(data, len);
    free(data);
}

/* A key that asks for a passphrase has none here, and nobody to ask. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

static bool parse_chain(struct pair *pair, const char *pem, size_t len)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    X509 *each;

    pair->chain = sk_X509_new_null();
    pair->leaf = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    while (pair->leaf && pair->chain &&
           (each = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
        if (sk_X509_push(pair->chain, each) == 0)
            X509_free(each);
    }
    BIO_free(bio);
    return pair->leaf && pair->chain;
}

static bool parse_key(struct pair *pair, const char *pem, size_t len)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len);

    pair->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    return pair->key != NULL;
}

static bool time_of(const ASN1_TIME *asn1, time_t *out)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(asn1, &tm) != 1)
        return false;
    *out = timegm(&tm);
    return true;
}

static bool describe(struct pair *pair)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(pair->leaf), NULL);
    char *text = number ? BN_bn2hex(number) : NULL;

    if (text)
        snprintf(pair->serial, sizeof pair->serial, "%s", text);
    OPENSSL_free(text);
    BN_free(number);
    return time_of(X509_get0_notBefore(pair->leaf), &pair->not_before) &&
           time_of(X509_get0_notAfter(pair->leaf), &pair->not_after);
}

/* What a handshake would find wrong: another key, one too small. */
static bool usable(const struct pair *pair)
{
    SSL_CTX *trial = SSL_CTX_new(TLS_server_method());
    bool good =
        trial && SSL_CTX_use_cert_and_key(trial, pair->leaf, pair->key, pair->chain, 1) == 1;

    SSL_CTX_free(trial);
    return good;
}

/* NULL: it is good. */
static const char *parse_pair(struct pair *pair, const char *cert, size_t cert_len, const char *key,
                              size_t key_len)
{
    if (!parse_chain(pair, cert, cert_len))
        return "tls_cert_file_holds_no_certificate";
    if (!parse_key(pair, key, key_len))
        return "tls_key_file_holds_no_usable_key";
    if (!usable(pair))
        return "certificate_and_key_do_not_fit";
    return describe(pair) ? NULL : "certificate_has_no_valid_time";
}

/* Any thread; touches nothing but the reading. */
static void read_pair(struct reading *reading)
{
    size_t cert_len = 0, key_len = 0;
    char *cert = read_file(reading->cert_file, &cert_len);
    char *key = read_file(reading->key_file, &key_len);
    struct yz_part parts[] = {{cert ? cert : "", cert_len}, {key ? key : "", key_len}};
    char hash[HASH_TEXT];

    yz_hash(parts, 2, hash);
    reading->found = strcmp(hash, reading->hash) == 0 ? SAME : BROKEN;
    memcpy(reading->hash, hash, sizeof hash);
    reading->reason = !cert ? "tls_cert_file_cannot_be_read" : "tls_key_file_cannot_be_read";
    reading->pair = NULL;
    if (reading->found == BROKEN && cert && key && (reading->pair = calloc(1, sizeof(struct pair))))
        reading->reason = parse_pair(reading->pair, cert, cert_len, key, key_len);
    if (reading->pair && !reading->reason) {
        reading->found = GOOD;
    } else {
        free_pair(reading->pair);
        reading->pair = NULL;
    }
    discard(cert, cert_len);
    discard(key, key_len);
}

static void throw_tickets(struct gw_tls *tls)
{
    uint8_t keys[TICKET_KEYS_LEN];

    tls->tickets_until_ms = yz_clock_mono_ms() + TLS_TICKET_LIFE_MS;
    if (tls->ctx && RAND_bytes(keys, sizeof keys) == 1)
        SSL_CTX_set_tlsext_ticket_keys(tls->ctx, keys, sizeof keys);
    OPENSSL_cleanse(keys, sizeof keys);
}

static void take_pair(struct gw_tls *tls, struct pair *pair)
{
    time_t left_s = pair->not_after - time(NULL);
    struct tm tm;
    char until[32] = "";

    free_pair(tls->pair);
    tls->pair = pair;
    throw_tickets(tls);
    atomic_store(&tls->metrics->tls_not_after_s, (int64_t)pair->not_after);
    gmtime_r(&pair->not_after, &tm);
    strftime(until, sizeof until, "%Y-%m-%dT%H:%M:%SZ", &tm);
    yz_log(left_s > EXPIRES_SOON_S ? YZ_LOG_INFO : YZ_LOG_WARN, "tls_certificate_loaded",
           "serial=%s not_after=%s days_left=%lld", pair->serial, until,
           (long long)left_s / (24 * 3600));
}

static void refuse(const struct gw_tls *tls, const char *reason)
{
    yz_error("tls_certificate_refused", "reason=%s cert_file=%s key_file=%s kept=%s", reason,
             tls->reading.cert_file, tls->reading.key_file, tls->pair ? tls->pair->serial : "none");
}

static void on_read(uv_work_t *work, int status)
{
    struct gw_tls *tls = work->data;
    struct pair *pair = status == 0 ? tls->reading.pair : NULL;
    time_t now = time(NULL);

    tls->reading_now = false;
    tls->reading.pair = NULL;
    if (tls->closed || status != 0 || tls->reading.found == SAME) {
        free_pair(pair);
    } else if (!pair) {
        refuse(tls, tls->reading.reason);
    } else if (pair->not_before > now || pair->not_after <= now) {
        refuse(tls, pair->not_after <= now ? "certificate_expired" : "certificate_not_valid_yet");
        free_pair(pair);
    } else {
        take_pair(tls, pair);
    }
}

static void on_work(uv_work_t *work)
{
    struct gw_tls *tls = work->data;

    read_pair(&tls->reading);
}

void gw_tls_reload(struct gw_tls *tls)
{
    if (tls->reading_now || tls->closed)
        return;
    tls->reading_now = uv_queue_work(tls->loop, &tls->work, on_work, on_read) == 0;
}

static void on_poll(uv_timer_t *poll)
{
    struct gw_tls *tls = poll->data;

    if (yz_clock_mono_ms() >= tls->tickets_until_ms)
        throw_tickets(tls);
    gw_tls_reload(tls);
}

enum yz_err gw_tls_new(const struct yz_conf *conf, uv_loop_t *loop, struct gw_metrics *metrics,
                       struct gw_tls **out)
{
    struct gw_tls *tls;

    *out = NULL;
    if (conf->tls_cert_file[0] == '\0' && conf->tls_key_file[0] == '\0')
        return YZ_OK;
    tls = calloc(1, sizeof *tls);
    if (!tls)
        return YZ_INTERNAL;
    tls->metrics = metrics;
    tls->loop = loop;
    tls->reading.cert_file = conf->tls_cert_file;
    tls->reading.key_file = conf->tls_key_file;
    read_pair(&tls->reading);
    if (tls->reading.found != GOOD) {
        refuse(tls, tls->reading.reason);
        free(tls);
        return YZ_INVALID_VALUE;
    }
    take_pair(tls, tls->reading.pair);
    tls->reading.pair = NULL;
    tls->poll.data = tls->work.data = tls;
    uv_timer_init(loop, &tls->poll);
    uv_timer_start(&tls->poll, on_poll, TLS_POLL_MS, TLS_POLL_MS);
    *out = tls;
    return YZ_OK;
}

/* Each handshake asks for its certificate, so that a new pair serves the next one. */
static int on_certificate(SSL *ssl, void *arg)
{
    const struct gw_tls *tls = arg;

    SSL_certs_clear(ssl);
    return SSL_use_cert_and_key(ssl, tls->pair->leaf, tls->pair->key, tls->pair->chain, 1);
}

/* libwebsockets would choose among its vhosts by this name; there is one certificate. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl;
    (void)alert;
    (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

bool gw_tls_attach(struct gw_tls *tls, void *ssl_ctx)
{
    SSL_CTX *ctx = ssl_ctx;

    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, CIPHERS_OF_TLS12) != 1 || SSL_CTX_up_ref(ctx) != 1)
        return false;
    tls->ctx = ctx;
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* nothing is kept: tickets only */
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_timeout(ctx, SESSION_LIFE_S);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_cert_cb(ctx, on_certificate, tls);
    throw_tickets(tls);
    return true;
}

void gw_tls_close(struct gw_tls *tls)
{
    if (!tls)
        return;
    tls->closed = true;
    uv_close((uv_handle_t *)&tls->poll, NULL);
}

void gw_tls_free(struct gw_tls *tls)
{
    if (!tls)
        return;
    free_pair(tls->pair);
    SSL_CTX_free(tls->ctx);
    free(tls);
}
