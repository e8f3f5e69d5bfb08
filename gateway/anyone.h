/* anyone.h: how much those may send who need say nobody's name: by address and by tenant, without
 * keeping an address.
 *
 * An address counts under SipHash of it with a key that this process drew at its start and tells
 * nobody: who reads its memory afterwards must try addresses, and a restart forgets all. Each
 * process counts for itself.
 *
 * Lifetime  one per process.
 * Thread    loop.
 * Limits    ANYONE_ADDRESSES_MAX addresses and ANYONE_TENANTS_MAX tenants that are not fully
 *           rested; the one that came first is forgotten first.
 */
#ifndef GW_ANYONE_H
#define GW_ANYONE_H

#include "common/conf.h"
#include "gateway/limits.h"

#define ANYONE_ADDRESSES_MAX 65536
#define ANYONE_TENANTS_MAX   1024

struct gw_anyone;

YZ_MUST_USE enum yz_err gw_anyone_new(const struct yz_conf *conf, struct gw_anyone **anyone);
void gw_anyone_free(struct gw_anyone *anyone);
/* The tenant's public paths are there: setting public_tenants. */
bool gw_anyone_serves(const struct gw_anyone *anyone, const char *tenant);
/* Take one message. 0: it is allowed; else the milliseconds until the next one is. from NULL: an
 * address that is not known; only the tenant's limit counts. */
uint32_t gw_anyone_take(struct gw_anyone *anyone, const char *tenant, const struct gw_address *from,
                        int64_t now_ms);

#endif
