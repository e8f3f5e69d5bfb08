#include "workers/ctl/commands.h"

#include "workers/ctl/keyfile.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag *const groups[] = {ctl_flags_output, NULL};

const struct ctl_command ctl_secret_new = {
    .name = "secret new",
    .words = "[FILE]",
    .summary = "make the secret of the check-in codes, or the members' key",
    .help = "Every meeting's code key is derived from it, so all workers share one file, and a new "
            "one makes\n"
            "the codes of open meetings worthless. Without FILE: YZ_CODE_SECRET_FILE. A file that "
            "exists\n"
            "is never overwritten. YZ_MEMBER_KEY_FILE is made by it, too: name that file. Keep a "
            "copy of it\n"
            "apart from the database: what members' keys encrypt cannot be read without it.",
    .examples = "yzctl secret new\n"
                "yzctl secret new /etc/yizhan/checkin-code.secret\n"
                "yzctl secret new /etc/yizhan/member.key",
    .word_max = 1,
    .groups = groups,
    .exec = exec,
};

static enum ctl_exit exec(const struct ctl *ctl)
{
    const char *path = ctl->args.word_count ? ctl->args.words[0] : ctl->conf->code_secret_file;
    char secret[65];
    bool good;

    if (!ctl_keyfile_random(secret))
        return ctl_fail(ctl, "no_randomness", "the system gives no random bytes");
    good = ctl_keyfile_write(path, secret, strlen(secret), 0600);
    OPENSSL_cleanse(secret, sizeof secret);
    if (!good)
        return ctl_fail(ctl, errno == EEXIST ? "exists" : "not_written", "%s: %s", path,
                        strerror(errno));
    if (ctl->json)
        ctl_print_json(json_pack("{s:s}", "file", path));
    else
        printf("made %s\n", path);
    return CTL_DONE;
}
