#include "workers/ctl/doctor.h"

#include "workers/ctl/keyfile.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILES_MIN     20000
#define DISK_WARN_MIB 2048
#define DISK_FAIL_MIB 256

static void examine_files(struct ctl_doctor *doctor)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < FILES_MIN)
        ctl_found(&doctor->findings, CTL_WARNING, CTL_descriptors_limit,
                  "at most %" PRIu64 " open files", (uint64_t)limit.rlim_max);
    else
        ctl_found(&doctor->findings, CTL_FINE, CTL_descriptors_limit,
                  "open files may be raised to %" PRIu64, (uint64_t)limit.rlim_max);
}

/* A file that others must not read. */
static void examine_secrecy(struct ctl_doctor *doctor, const char *path)
{
    struct stat about;

    if (stat(path, &about) == 0 && (about.st_mode & (S_IRWXG | S_IRWXO)))
        ctl_found(&doctor->findings, about.st_mode & (S_IWGRP | S_IRWXO) ? CTL_BROKEN : CTL_WARNING,
                  CTL_key_exposed, "%s is open to others: mode %03o", path, about.st_mode & 0777U);
}

static bool examine_key(struct ctl_doctor *doctor, const char *path, const struct ctl_keyname *name)
{
    struct stat about;

    if (access(path, R_OK) != 0 || stat(path, &about) != 0) {
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_key_unreadable, "%s cannot be read: %s", path,
                  strerror(errno));
        return false;
    }
    if (name->part == CTL_KEY_PUBLIC)
        return true;
    examine_secrecy(doctor, path);
    if (name->part == CTL_KEY_PRIVATE) {
        ctl_found(&doctor->findings, CTL_WARNING, CTL_key_private, "%s is a private key", path);
        return false;
    }
    if (about.st_size < CTL_SECRET_MIN)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_key_short,
                  "%s is shorter than %d bytes: the gateway passes over it", path, CTL_SECRET_MIN);
    return about.st_size >= CTL_SECRET_MIN;
}

static void examine_keys(struct ctl_doctor *doctor)
{
    const char *folder = doctor->ctl->conf->keys_dir;
    DIR *dir = opendir(folder);
    struct dirent *entry;
    struct stat about;
    int usable = 0;

    if (!dir) {
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_keys_missing, "%s: %s", folder,
                  strerror(errno));
        return;
    }
    while ((entry = readdir(dir))) {
        struct ctl_keyname name;
        char path[CTL_PATH_MAX];

        if (ctl_keyfile_parse(entry->d_name, &name) && ctl_keyfile_path(folder, &name, path))
            usable += examine_key(doctor, path, &name);
    }
    closedir(dir);
    if (stat(folder, &about) == 0 && (about.st_mode & S_IWOTH))
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_key_exposed,
                  "%s may be written by everybody: anyone can add a key", folder);
    ctl_found(&doctor->findings, usable ? CTL_FINE : CTL_BROKEN, CTL_keys_missing,
              "%d token keys in %s", usable, folder);
}

static void examine_secret(struct ctl_doctor *doctor, const char *path, const char *what)
{
    struct stat about;

    if (stat(path, &about) != 0 || access(path, R_OK) != 0) {
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_secret_missing, "%s: %s", path,
                  strerror(errno));
        return;
    }
    examine_secrecy(doctor, path);
    if (about.st_size < CTL_SECRET_MIN)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_secret_short, "%s is shorter than %d bytes",
                  path, CTL_SECRET_MIN);
    else
        ctl_found(&doctor->findings, CTL_FINE, CTL_secret_missing, "%s is there", what);
}

static void examine_disk(struct ctl_doctor *doctor)
{
    const char *folder = ctl_text(doctor->ctl, "data");
    struct statvfs disk;
    uint64_t free_mib;

    if (!folder)
        folder = access("var", F_OK) == 0 ? "var" : ".";
    if (statvfs(folder, &disk) != 0) {
        ctl_found(&doctor->findings, CTL_WARNING, CTL_disk_unknown, "%s: %s", folder,
                  strerror(errno));
        return;
    }
    free_mib = (uint64_t)disk.f_bavail * disk.f_frsize >> 20;
    ctl_found(&doctor->findings,
              free_mib < DISK_FAIL_MIB   ? CTL_BROKEN
              : free_mib < DISK_WARN_MIB ? CTL_WARNING
                                         : CTL_FINE,
              CTL_disk_low, "%" PRIu64 " MiB free on the disk of %s", free_mib, folder);
}

void ctl_doctor_host(struct ctl_doctor *doctor)
{
    examine_files(doctor);
    examine_keys(doctor);
    examine_secret(doctor, doctor->ctl->conf->code_secret_file, "the check-in code secret");
    examine_secret(doctor, doctor->ctl->conf->member_key_file, "the key of the members' files");
    examine_disk(doctor);
}
