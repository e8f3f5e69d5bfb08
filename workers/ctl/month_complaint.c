/* What the made-up month has of complaints: with a name and without one, heard, answered and rated,
 * all in its last days, so that no clock rang before its time. Their content is sealed as by every
 * client, for a handler whose secret key and receipts the demo prints: it is of nobody. */
#include "workers/ctl/month.h"

#include "common/subject.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LAST_DAYS 12
#define KEY_ID    "demo-handler"
#define TEXT_MAX  256
#define BOX_MAX   (TEXT_MAX + crypto_box_SEALBYTES)

/* Days after it was filed. */
enum step { HEARD = 1, ADDED = 2, CLOSED = 4, RATED = 5 };

static const struct {
    int day; /* of the last days */
    int branch;
    bool named, accuses;
    const char *category, *text, *reply, *more, *result, *answer;
    int rating;
} stories[CTL_MONTH_CASES] = {
    {0, 2, false, true, "CONDUCT", "支部书记开会经常迟到，态度敷衍。", "请补充是哪几次会议。",
     "本月的两次支部委员会都是。", "UPHELD", "经核实情况属实，已进行谈话提醒。", 5},
    {3, 5, true, false, "SERVICE", "活动室的报刊三个月没有更新了。", "已转综合办公室核实。",
     "公告栏也一样。", "PARTLY_UPHELD", "报刊已更新，公告栏下周更换。", 4},
    {6, 0, false, false, "DISCIPLINE", "有人代替他人完成学习打卡。", "请提供大致时间。",
     "上周三晚上。", "NOT_UPHELD", "经核查系同一家庭两名党员共用设备，已提醒。", 3},
    {9, 6, true, false, "PETITION", "申请为夜班职工增加一次集中学习场次。",
     "已收到，正在与工会商量。", "谢谢，夜班共十二人。", "UPHELD", "已安排。", 5},
    {11, 3, false, true, "CONDUCT", "评优名单公示时间不足。", "已收到。", "公示只有一天。",
     "UPHELD", "已重新公示。", 5},
};

static int filed_on(const struct ctl_month *month, int i)
{
    return (month->days > LAST_DAYS ? month->days - LAST_DAYS : 0) + stories[i].day;
}

int ctl_month_complaints(const struct ctl_month *month)
{
    int count = 0;

    while (count < CTL_MONTH_CASES && filed_on(month, count) < month->days)
        count++;
    return count;
}

static void draw_receipt(struct ctl_dice *dice, char receipt[YZ_RECEIPT_DIGITS + 1])
{
    struct yz_violation v;

    do {
        for (int i = 0; i < YZ_RECEIPT_DIGITS; i++)
            receipt[i] = (char)('0' + ctl_dice_roll(dice, 10));
        receipt[YZ_RECEIPT_DIGITS] = '\0';
    } while (yz_check_receipt(receipt, "receipt", &v) != YZ_OK);
}

/* The reporter's key pair, from the receipt as PROTOCOL.md tells every client. */
static enum yz_err reply_key_of(const char *tenant, const char *receipt,
                                uint8_t public[crypto_box_PUBLICKEYBYTES])
{
    uint8_t salt[crypto_pwhash_SALTBYTES], seed[crypto_box_SEEDBYTES];
    uint8_t secret[crypto_box_SECRETKEYBYTES];
    char label[YZ_ID_MAX + 32];

    snprintf(label, sizeof label, "yizhan reply key 1\n%s", tenant);
    crypto_generichash(salt, sizeof salt, (const uint8_t *)label, strlen(label), NULL, 0);
    if (crypto_pwhash(seed, sizeof seed, receipt, strlen(receipt), salt, YZ_RECEIPT_OPS,
                      YZ_RECEIPT_MEMORY_BYTES, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return YZ_BUSY;
    crypto_box_seed_keypair(public, secret, seed);
    return YZ_OK;
}

enum yz_err ctl_month_complaints_draw(struct ctl_month *month, const struct yz_receipt_key *key)
{
    const char *tenant = month->cast->admin.tenant;
    uint8_t salt[crypto_pwhash_SALTBYTES], seed[crypto_box_SEEDBYTES];
    enum yz_err err = YZ_OK;

    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)ctl_dice_roll(&month->dice, 256);
    crypto_box_seed_keypair(month->handler_public, month->handler_secret, seed);
    yz_receipt_salt(key, tenant, salt);
    for (int i = 0; !err && i < ctl_month_complaints(month); i++) {
        struct ctl_month_case *one = &month->cases[i];

        draw_receipt(&month->dice, one->receipt);
        err = yz_receipt_hash(one->receipt, salt, one->concealed);
        if (!err)
            err = reply_key_of(tenant, one->receipt, one->reply_key);
        if (!err)
            yz_receipt_case(one->concealed, one->id);
    }
    return err;
}

static json_t *base64(const uint8_t *bytes, size_t len)
{
    char text[sodium_base64_ENCODED_LEN(BOX_MAX, sodium_base64_VARIANT_ORIGINAL)];

    sodium_bin2base64(text, sizeof text, bytes, len, sodium_base64_VARIANT_ORIGINAL);
    return json_string(text);
}

static json_t *seal(const uint8_t public[crypto_box_PUBLICKEYBYTES], const char *text)
{
    uint8_t box[BOX_MAX];
    size_t len = strnlen(text, TEXT_MAX);

    return crypto_box_seal(box, (const uint8_t *)text, len, public) == 0
               ? base64(box, len + crypto_box_SEALBYTES)
               : NULL;
}

static json_t *for_handler(const struct ctl_month *month, const char *text)
{
    return json_pack("[{s:s, s:o}]", "keyId", KEY_ID, "sealed", seal(month->handler_public, text));
}

bool ctl_month_complaints_begin(struct ctl_month *month)
{
    const struct yz_actor *handler = &month->cast->discipline;
    const char *group = month->cast->group.path;
    int64_t from_ms = ctl_month_time(month, -1, 10, 0);

    return ctl_month_emit(month, &month->cast->admin, from_ms, "complaint.handler_registered",
                          json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "orgPath", group,
                                    "memberId", handler->member, "homePath", group, "keyId", KEY_ID,
                                    "publicKey",
                                    base64(month->handler_public, sizeof month->handler_public),
                                    "from", ctl_month_rfc3339(from_ms), "until",
                                    ctl_month_rfc3339(from_ms + 730 * INT64_C(86400000)))) &&
           ctl_past_settle(month->past);
}

static struct yz_actor reporter_of(struct ctl_month *month, int i)
{
    struct yz_actor nobody = {0};

    if (stories[i].named)
        return ctl_cast_member(month->cast, stories[i].branch, 7)->actor;
    snprintf(nobody.tenant, sizeof nobody.tenant, "%s", month->cast->admin.tenant);
    return nobody;
}

static bool file(struct ctl_month *month, int i, int day)
{
    const struct ctl_month_case *one = &month->cases[i];
    const char *path = month->cast->branches[stories[i].branch].path;
    struct yz_actor reporter = reporter_of(month, i);
    json_t *payload =
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "receipt", one->concealed, "orgPath", path,
                  "category", stories[i].category, "content", for_handler(month, stories[i].text),
                  "replyKey", base64(one->reply_key, sizeof one->reply_key), "copy",
                  seal(one->reply_key, stories[i].text));

    if (stories[i].accuses)
        json_object_set_new(
            payload, "accused",
            json_pack("{s:s, s:s}", "orgPath", path, "memberId",
                      ctl_cast_secretary(month->cast, stories[i].branch)->actor.member));
    return ctl_month_emit(month, &reporter, ctl_month_time(month, day, 21, 0),
                          stories[i].named ? "complaint.filed_named" : "complaint.filed", payload);
}

static bool answer(struct ctl_month *month, int i, int64_t at_ms, const char *type,
                   const char *text, const char *result)
{
    json_t *payload =
        json_pack("{s:s, s:o, s:o}", "complaintId", month->cases[i].id, "sealed",
                  seal(month->cases[i].reply_key, text), "copies", for_handler(month, text));

    if (result)
        json_object_set_new(payload, "result", json_string(result));
    return ctl_month_emit(month, &month->cast->discipline, at_ms, type, payload);
}

static bool hear(struct ctl_month *month, int i, int day)
{
    return ctl_month_emit(month, &month->cast->discipline, ctl_month_time(month, day, 9, 0),
                          "complaint.acknowledged",
                          json_pack("{s:s}", "complaintId", month->cases[i].id)) &&
           answer(month, i, ctl_month_time(month, day, 10, 0), "complaint.replied",
                  stories[i].reply, NULL);
}

/* By whoever has the receipt. */
static bool say(struct ctl_month *month, int i, int day, const char *type, json_t *more)
{
    struct yz_actor nobody = {0};
    json_t *payload = json_pack("{s:s}", "receipt", month->cases[i].concealed);

    snprintf(nobody.tenant, sizeof nobody.tenant, "%s", month->cast->admin.tenant);
    json_object_update(payload, more);
    json_decref(more);
    return ctl_month_emit(month, &nobody, ctl_month_time(month, day, 22, 0), type, payload);
}

static bool go_on(struct ctl_month *month, int i, int day)
{
    switch (day - filed_on(month, i)) {
    case 0:
        return file(month, i, day);
    case HEARD:
        return hear(month, i, day);
    case ADDED:
        return say(month, i, day, "complaint.message_added",
                   json_pack("{s:o, s:o}", "content", for_handler(month, stories[i].more), "copy",
                             seal(month->cases[i].reply_key, stories[i].more)));
    case CLOSED:
        return answer(month, i, ctl_month_time(month, day, 16, 0), "complaint.resolved",
                      stories[i].answer, stories[i].result);
    case RATED:
        return say(month, i, day, "complaint.rated",
                   json_pack("{s:i}", "rating", stories[i].rating));
    default:
        return true;
    }
}

bool ctl_month_complaints_go_on(struct ctl_month *month, int day)
{
    bool good = true;

    for (int i = 0; good && i < ctl_month_complaints(month); i++)
        good = go_on(month, i, day);
    return good;
}
