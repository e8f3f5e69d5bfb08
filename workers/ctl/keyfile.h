/* keyfile.h: the files of token keys: their names, reading and making them.
 *
 * <kid>.HS256.key holds the secret's bytes; <kid>.RS256.pem and <kid>.ES256.pem the public key, for
 * the gateway; <kid>.RS256.private.pem the private one, for whoever signs: the gateway passes over
 * it.
 *
 * Lifetime  ctl_keyfile_read gives memory to free with ctl_keyfile_free.
 * Thread    main.
 * Limits    CTL_KEYFILE_MAX bytes.
 */
#ifndef CTL_KEYFILE_H
#define CTL_KEYFILE_H

#include "common/subject.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTL_KEYFILE_MAX   16384
#define CTL_PATH_MAX      1024
#define CTL_SECRET_MIN    32
#define CTL_RSA_BITS      3072
#define CTL_ALGORITHM_MAX 8

enum ctl_key_part { CTL_KEY_SECRET, CTL_KEY_PUBLIC, CTL_KEY_PRIVATE };

struct ctl_keyname {
    char kid[YZ_ID_MAX];
    char algorithm[CTL_ALGORITHM_MAX]; /* HS256, RS256, ES256 */
    enum ctl_key_part part;
};

bool ctl_keyfile_algorithm_valid(const char *algorithm);
/* Take a file's name (or a path's last part) apart; false when it is no key's. */
bool ctl_keyfile_parse(const char *path, struct ctl_keyname *name);
/* Path of a key's part in dir; false when it is too long. */
bool ctl_keyfile_path(const char *dir, const struct ctl_keyname *name, char out[CTL_PATH_MAX]);

/* NULL: errno says why; EFBIG when it is too large. A NUL stands behind the bytes. */
uint8_t *ctl_keyfile_read(const char *path, size_t *len);
void ctl_keyfile_free(uint8_t *data, size_t len);
/* Write a file that must not exist yet; mode as for open. false: errno says why. */
bool ctl_keyfile_write(const char *path, const void *data, size_t len, unsigned mode);
/* 64 characters that carry 48 random bytes. false: the system has no randomness. */
bool ctl_keyfile_random(char out[65]);

#endif
