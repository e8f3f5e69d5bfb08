#include "workers/ctl/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *suffix, *algorithm;
    enum ctl_key_part part;
} forms[] = {
    {".HS256.key", "HS256", CTL_KEY_SECRET},
    {".RS256.private.pem", "RS256", CTL_KEY_PRIVATE},
    {".ES256.private.pem", "ES256", CTL_KEY_PRIVATE},
    {".RS256.pem", "RS256", CTL_KEY_PUBLIC},
    {".ES256.pem", "ES256", CTL_KEY_PUBLIC},
};
#define FORM_COUNT (sizeof forms / sizeof forms[0])

bool ctl_keyfile_algorithm_valid(const char *algorithm)
{
    for (size_t i = 0; i < FORM_COUNT; i++) {
        if (strcmp(algorithm, forms[i].algorithm) == 0)
            return true;
    }
    return false;
}

bool ctl_keyfile_parse(const char *path, struct ctl_keyname *name)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t len = strlen(base);

    for (size_t i = 0; i < FORM_COUNT; i++) {
        size_t suffix = strlen(forms[i].suffix);

        if (len <= suffix || len - suffix >= sizeof name->kid ||
            strcmp(base + len - suffix, forms[i].suffix) != 0)
            continue;
        memset(name, 0, sizeof *name);
        memcpy(name->kid, base, len - suffix);
        snprintf(name->algorithm, sizeof name->algorithm, "%s", forms[i].algorithm);
        name->part = forms[i].part;
        return yz_id_valid(name->kid);
    }
    return false;
}

bool ctl_keyfile_path(const char *dir, const struct ctl_keyname *name, char out[CTL_PATH_MAX])
{
    for (size_t i = 0; i < FORM_COUNT; i++) {
        if (strcmp(forms[i].algorithm, name->algorithm) == 0 && forms[i].part == name->part) {
            int len = snprintf(out, CTL_PATH_MAX, "%s/%s%s", dir, name->kid, forms[i].suffix);

            return len > 0 && len < CTL_PATH_MAX;
        }
    }
    return false;
}

uint8_t *ctl_keyfile_read(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *data = fd >= 0 ? malloc(CTL_KEYFILE_MAX + 1) : NULL;
    ssize_t got = data ? read(fd, data, CTL_KEYFILE_MAX + 1) : -1;
    int reason = errno;

    if (fd >= 0)
        close(fd);
    if (got < 0 || got > CTL_KEYFILE_MAX) {
        free(data);
        errno = got < 0 ? reason : EFBIG;
        return NULL;
    }
    data[got] = '\0';
    *len = (size_t)got;
    return data;
}

void ctl_keyfile_free(uint8_t *data, size_t len)
{
    if (data)
        OPENSSL_cleanse(data, len);
    free(data);
}

bool ctl_keyfile_write(const char *path, const void *data, size_t len, unsigned mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    int reason;
    bool good;

    if (fd < 0)
        return false;
    good = write(fd, data, len) == (ssize_t)len && fsync(fd) == 0;
    reason = errno;
    if (close(fd) != 0 || !good) {
        unlink(path); /* half a key is worse than none */
        errno = reason;
        return false;
    }
    return true;
}

bool ctl_keyfile_random(char out[65])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char bytes[64];

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        out[i] = digits[bytes[i] & 63];
    out[64] = '\0';
    OPENSSL_cleanse(bytes, sizeof bytes);
    return true;
}
