/* tls.h: TLS of the client port: the certificate, its private key, and their replacement while
 * sessions are open.
 *
 * Lifetime  from start until the loop has run out. A pair of certificate and key stays until a good
 *           one replaces it; connections made before keep what they negotiated.
 * Thread    loop; files are read and checked on libuv's pool.
 * Limits    TLS_FILE_MAX bytes a file. Nothing is kept for a resumed session: tickets only, whose
 *           keys are thrown away with each new certificate and every TLS_TICKET_LIFE_MS.
 * Failure   a pair that cannot be read, does not belong together or is not valid now is refused
 *           with a log line (tls_certificate_refused, once for the same bytes); the old one stays.
 *           At the start it ends the process instead, except that an expired one is only warned of.
 *
 * The files are read again every TLS_POLL_MS and compared by content, since a mounted secret is
 * replaced by turning a link; and at gw_tls_reload.
 */
#ifndef GW_TLS_H
#define GW_TLS_H

#include "common/conf.h"
#include "common/err.h"
#include "gateway/metrics.h"

#include <uv.h>

#define TLS_FILE_MAX       (1 << 20)
#define TLS_POLL_MS        2000
#define TLS_TICKET_LIFE_MS (6 * 3600 * 1000)

struct gw_tls;

/* Reads the pair that the settings name; *tls is NULL when they name none: the port is plain.
 * YZ_INVALID_VALUE: it cannot be used (logged). */
YZ_MUST_USE enum yz_err gw_tls_new(const struct yz_conf *conf, uv_loop_t *loop,
                                   struct gw_metrics *metrics, struct gw_tls **tls);
/* Prepare this SSL_CTX, to which handshakes then bring their certificate. false: out of memory. */
bool gw_tls_attach(struct gw_tls *tls, void *ssl_ctx);
/* Look at the files now. */
void gw_tls_reload(struct gw_tls *tls);
/* Stop looking; run the loop once more for the handles. NULL is fine, here and below. */
void gw_tls_close(struct gw_tls *tls);
/* When no connection is left and the loop has run. */
void gw_tls_free(struct gw_tls *tls);

#endif
