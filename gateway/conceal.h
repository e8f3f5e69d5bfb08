/* conceal.h: puts a receipt's Argon2id hash in its place, so that nobody behind this process ever
 * sees the receipt: see schemas/receipt.h, and schemas/receipt_hash.h for the hash.
 *
 * Lifetime  one per process; the loop runs once more after gw_conceal_free.
 * Thread    loop; the hashes are computed by libuv's thread pool.
 * Limits    CONCEAL_AT_ONCE at a time, CONCEAL_QUEUE_MAX waiting, else YZ_BUSY.
 */
#ifndef GW_CONCEAL_H
#define GW_CONCEAL_H

#include "common/conf.h"
#include "schemas/receipt.h"

#include <uv.h>

#define CONCEAL_AT_ONCE   2
#define CONCEAL_QUEUE_MAX 64

struct gw_conceal;

/* A secret that cannot be read is logged, and YZ_INVALID_VALUE. */
YZ_MUST_USE enum yz_err gw_conceal_new(const struct yz_conf *conf, uv_loop_t *loop,
                                       struct gw_conceal **conceal);
/* As gw_conceal_give_up. */
void gw_conceal_free(struct gw_conceal *conceal);
/* How many are not done. */
size_t gw_conceal_pending(const struct gw_conceal *conceal);
/* What is not done is answered YZ_DRAINING, inside: it will not be sent on. */
void gw_conceal_give_up(struct gw_conceal *conceal);

/* concealed is "" unless err is YZ_OK. */
typedef void gw_concealed_fn(void *arg, enum yz_err err, const char *concealed);
/* YZ_OK: on_done is called once, later. The receipt is copied, and wiped when it is done. */
YZ_MUST_USE enum yz_err gw_conceal(struct gw_conceal *conceal, const char *tenant,
                                   const char *receipt, gw_concealed_fn *on_done, void *arg);

#endif
