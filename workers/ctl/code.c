#include "workers/ctl/commands.h"

#include "common/clock.h"
#include "workers/code.h"
#include "workers/ctl/ask.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/message.h"

#include <assert.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <meeting.pb-c.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 5000

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "tenant", .kind = CTL_TEXT, .value = "ID", .required = true, .help = "the tenant"},
    {.name = "org-path",
     .kind = CTL_TEXT,
     .value = "PATH",
     .required = true,
     .help = "the meeting's org, g1/c1/b1"},
    {.name = "meeting", .kind = CTL_TEXT, .value = "ID", .required = true, .help = "the meeting"},
    {.name = "at",
     .kind = CTL_TEXT,
     .value = "TIME",
     .help = "RFC 3339 (default: the worker's clock, now)"},
    {.name = "member",
     .kind = CTL_TEXT,
     .value = "ID",
     .help = "ask as this secretary (default: yzctl)"},
    {.name = "local",
     .kind = CTL_SWITCH,
     .help = "ask no worker: derive the key from YZ_CODE_SECRET_FILE"},
    {.name = "period",
     .kind = CTL_NUMBER,
     .value = "S",
     .def = WK_CODE_PERIOD_S,
     .min = 20,
     .max = 30,
     .help = "with --local: the meeting's code period"},
    {0},
};
static const struct ctl_flag *const groups[] = {flags, ctl_flags_output, NULL};

const struct ctl_command ctl_code = {
    .name = "code",
    .words = "",
    .summary = "the check-in code that a meeting's screen shows now",
    .help = "Asks the workers for the meeting's key as its secretary would (query "
            "meeting.code_key) and makes\n"
            "the code of the slot: what the secretary's page does, for trying things by hand.",
    .examples = "yzctl code --tenant demo --org-path g1/c1/b1 --meeting m42\n"
                "yzctl code --tenant demo --org-path g1/c1/b1 --meeting m42 --at "
                "2026-03-01T08:00:00Z --json",
    .groups = groups,
    .exec = exec,
};

struct source {
    uint8_t key[WK_CODE_KEY_BYTES];
    int64_t period_s, now_s;
};

static enum yz_err take_key(natsMsg *reply, struct source *source, struct yz_violation *v)
{
    const Yizhan__V1__MeetingCodeKeyReply *answer;
    struct ctl_payload decoded;
    enum yz_err err;

    ctl_payload_init(&decoded);
    err = yz_pb_decode(&yizhan__v1__meeting_code_key_reply__descriptor, natsMsg_GetData(reply),
                       (size_t)natsMsg_GetDataLength(reply), &decoded.arena, &decoded.message, v);
    answer = (const Yizhan__V1__MeetingCodeKeyReply *)decoded.message;
    if (!err && (answer->key.len != sizeof source->key || answer->code_period_s == 0))
        err = yz_violate(v, YZ_INTERNAL, NULL, "The worker's answer holds no key.");
    if (!err) {
        memcpy(source->key, answer->key.data, sizeof source->key);
        source->period_s = answer->code_period_s;
        if (answer->server_time)
            source->now_s = answer->server_time->seconds;
    }
    ctl_payload_deinit(&decoded);
    return err;
}

static enum ctl_exit ask_key(const struct ctl *ctl, const struct wk_code_meeting *meeting,
                             struct source *source)
{
    Yizhan__V1__MeetingCodeKeyRequest request = YIZHAN__V1__MEETING_CODE_KEY_REQUEST__INIT;
    const char *member = ctl_given(ctl, "member") ? ctl_text(ctl, "member") : "yzctl";
    natsConnection *nc = ctl_nats_open(ctl, false);
    enum ctl_exit code = CTL_DONE;
    struct yz_actor actor = {0};
    struct yz_violation v;
    natsMsg *reply = NULL;
    struct yz_buf bytes;

    if (!nc)
        return CTL_FAILED;
    snprintf(actor.tenant, sizeof actor.tenant, "%s", meeting->tenant);
    snprintf(actor.member, sizeof actor.member, "%s", member);
    snprintf(actor.org_path, sizeof actor.org_path, "%s", meeting->org_path);
    snprintf(actor.roles, sizeof actor.roles, "member,secretary@%s", meeting->org_path);
    request.org_path = (char *)(uintptr_t)meeting->org_path;
    request.meeting_id = (char *)(uintptr_t)meeting->meeting_id;
    yz_buf_init(&bytes, CTL_PAYLOAD_MAX);
    if (yz_pb_encode(&request.base, &bytes))
        code = ctl_fail(ctl, "internal", "out of memory");
    else if (ctl_ask(nc, &actor, "meeting.code_key", bytes.data, bytes.len, 0, TIMEOUT_MS, &reply,
                     &v) ||
             take_key(reply, source, &v))
        code = ctl_refused(ctl, &v);
    natsMsg_Destroy(reply);
    yz_buf_deinit(&bytes);
    ctl_nats_close(nc);
    return code;
}

static enum ctl_exit derive_key(const struct ctl *ctl, const struct wk_code_meeting *meeting,
                                struct source *source)
{
    uint8_t *secret = NULL;
    size_t len = 0;

    if (wk_code_secret_read(ctl->conf->code_secret_file, &secret, &len))
        return ctl_fail(ctl, "no_secret",
                        "%s cannot be read or is too short; yzctl secret new makes one",
                        ctl->conf->code_secret_file);
    wk_code_key(secret, len, meeting, source->key);
    OPENSSL_cleanse(secret, len);
    free(secret);
    source->period_s = ctl_number(ctl, "period");
    return CTL_DONE;
}

static enum ctl_exit print_code(const struct ctl *ctl, const struct wk_code_meeting *meeting,
                                const struct source *source)
{
    uint32_t slot;
    char code[WK_CODE_LEN + 1], from[YZ_RFC3339_MAX], until[YZ_RFC3339_MAX];
    uint8_t nonce[WK_CODE_NONCE_BYTES];

    assert(source->period_s > 0);
    slot = (uint32_t)(source->now_s / source->period_s);
    if (RAND_bytes(nonce, sizeof nonce) != 1)
        return ctl_fail(ctl, "no_randomness", "the system gives no random bytes");
    wk_code_make(source->key, meeting, slot, nonce, code);
    if (!ctl->json) {
        printf("%s\n", code);
        return CTL_DONE;
    }
    yz_clock_format(slot * source->period_s, 0, from);
    yz_clock_format((slot + 1) * source->period_s, 0, until);
    ctl_print_json(json_pack("{s:s, s:I, s:I, s:s, s:s}", "code", code, "slot", (json_int_t)slot,
                             "periodS", (json_int_t)source->period_s, "shownFrom", from,
                             "shownUntil", until));
    return CTL_DONE;
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    const struct wk_code_meeting meeting = {ctl_text(ctl, "tenant"), ctl_text(ctl, "org-path"),
                                            ctl_text(ctl, "meeting")};
    const char *at = ctl_text(ctl, "at");
    struct source source = {.now_s = yz_clock_wall_ms() / 1000};
    enum ctl_exit code;
    int64_t at_s = 0;
    int32_t nanos;

    if (!yz_id_valid(meeting.tenant) || !yz_id_valid(meeting.meeting_id) ||
        !yz_org_path_valid(meeting.org_path))
        return ctl_misuse(ctl, "--tenant and --meeting are ids, --org-path ids joined by /");
    if (ctl_given(ctl, "member") && !yz_id_valid(ctl_text(ctl, "member")))
        return ctl_misuse(ctl, "--member must be an id");
    if (at && (!yz_clock_parse(at, strlen(at), &at_s, &nanos) || at_s < 0))
        return ctl_misuse(ctl, "'%s' is no time: 2026-03-01T08:00:00Z", at);
    code = ctl_given(ctl, "local") ? derive_key(ctl, &meeting, &source)
                                   : ask_key(ctl, &meeting, &source);
    if (at)
        source.now_s = at_s;
    if (!code)
        code = print_code(ctl, &meeting, &source);
    OPENSSL_cleanse(&source, sizeof source);
    return code;
}
