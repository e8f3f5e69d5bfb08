/* openapi.h: schemas/openapi.json as it was when the gateway was built; CMake writes its bytes.
 *
 * Lifetime  constant.
 * Thread    any.
 */
#ifndef GW_OPENAPI_H
#define GW_OPENAPI_H

#include <stddef.h>

struct gw_openapi {
    const char *etag; /* with its quotes */
    const unsigned char *text;
    size_t len;
};
extern const struct gw_openapi gw_openapi;

#endif
