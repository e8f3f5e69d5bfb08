#include "gateway/head.h"

#include "schemas/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LENGTH_DIGITS_MAX 15
#define KEY_LEN           24 /* of Sec-WebSocket-Key: 16 bytes in base64 */

static enum gw_method method_of(struct lws *wsi)
{
    char *uri;
    int len;

    switch (lws_http_get_uri_and_method(wsi, &uri, &len)) {
    case LWSHUMETH_GET:
        return GW_GET;
    case LWSHUMETH_HEAD:
        return GW_HEAD;
    case LWSHUMETH_POST:
        return GW_POST;
    case LWSHUMETH_OPTIONS:
        return GW_OPTIONS;
    default:
        return GW_OTHER_METHOD;
    }
}

const char *gw_head_copy(struct lws *wsi, enum lws_token_indexes token, char *to, size_t size)
{
    if (lws_hdr_copy(wsi, to, (int)size, token) < 0)
        to[0] = '\0';
    return to;
}

/* A header that must not stand twice, into a text of this size. */
struct single {
    enum lws_token_indexes token;
    const char *name;
    char *to;
    size_t size;
};

static bool copy_single(struct lws *wsi, const struct single *header, struct yz_violation *v)
{
    int len = lws_hdr_total_length(wsi, header->token);

    header->to[0] = '\0';
    if (len <= 0)
        return true;
    if (lws_hdr_fragment_length(wsi, header->token, 1) > 0)
        return yz_violate(v, YZ_BAD_FRAME, header->name, "The header stands twice.") == YZ_OK;
    if (lws_hdr_copy(wsi, header->to, (int)header->size, header->token) < 0)
        return yz_violate(v, YZ_TOO_LONG, header->name, NULL) == YZ_OK;
    return true;
}

static bool copy_headers(struct lws *wsi, struct gw_head *head, struct yz_violation *v)
{
    const struct single headers[] = {
        {WSI_TOKEN_HTTP, "HTTP", head->version, sizeof head->version},
        {WSI_TOKEN_HOST, "Host", head->host, sizeof head->host},
        {WSI_TOKEN_ORIGIN, "Origin", head->origin, sizeof head->origin},
        {WSI_TOKEN_HTTP_CONTENT_LENGTH, "Content-Length", head->content_length,
         sizeof head->content_length},
        {WSI_TOKEN_HTTP_CONTENT_TYPE, "Content-Type", head->content_type,
         sizeof head->content_type},
        {WSI_TOKEN_HTTP_AUTHORIZATION, "Authorization", head->authorization,
         sizeof head->authorization},
    };

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (!copy_single(wsi, &headers[i], v))
            return false;
    }
    gw_head_copy(wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH, head->if_none_match,
                 sizeof head->if_none_match);
    return true;
}

static bool printable(const char *text)
{
    while (*text && (unsigned char)*text >= ' ' && *text != 0x7f)
        text++;
    return *text == '\0';
}

static bool copy_path(const char *uri, size_t len, struct gw_head *head, struct yz_violation *v)
{
    if (len >= sizeof head->path || memchr(uri, '\0', len))
        return yz_violate(v, YZ_TOO_LONG, "path", NULL) == YZ_OK;
    memcpy(head->path, uri, len);
    head->path[len] = '\0';
    if (head->path[0] != '/' || !printable(head->path))
        return yz_violate(v, YZ_BAD_FRAME, "path", "The path is not one of this server.") == YZ_OK;
    return true;
}

/* Between two '&' there may be nothing: then the fragment has no length, as one that is not there.
 */
static bool has_fragment(struct lws *wsi, int i)
{
    char none[1];

    return lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i) > 0 ||
           lws_hdr_copy_fragment(wsi, none, sizeof none, WSI_TOKEN_HTTP_URI_ARGS, i) == 0;
}

/* Each fragment of the query is one decoded name=value. */
static bool copy_pairs(struct lws *wsi, struct gw_head *head, struct yz_violation *v)
{
    size_t used = 0, *count = &head->request.pair_count;

    for (int i = 0; has_fragment(wsi, i); i++) {
        char *text = head->query + used, *equals;
        int len = *count < HEAD_PAIRS_MAX
                      ? lws_hdr_copy_fragment(wsi, text, (int)(sizeof head->query - used),
                                              WSI_TOKEN_HTTP_URI_ARGS, i)
                      : -1;

        used += (size_t)(len < 0 ? 0 : len) + 1;
        if (len < 0 || used >= sizeof head->query)
            return yz_violate(v, YZ_TOO_MANY, "query", NULL) == YZ_OK;
        equals = strchr(text, '=');
        if (equals)
            *equals = '\0';
        /* A refusal would say the name, and a value's own says the field. */
        if (!yz_text_valid(text, strlen(text)))
            return yz_violate(v, YZ_INVALID_UTF8, "query", NULL) == YZ_OK;
        /* A bare '?' or '&': libwebsockets puts a slash for what is empty at the end. */
        if (!equals && (*text == '\0' || strcmp(text, "/") == 0))
            continue;
        head->pairs[*count].name = text;
        head->pairs[(*count)++].value = equals ? equals + 1 : "";
    }
    return true;
}

static bool judge_version(struct lws *wsi, struct gw_head *head, struct yz_violation *v)
{
    bool old = strcmp(head->version, "HTTP/1.0") == 0;
    char connection[64];

    /* To libwebsockets a decoded end of line is the request line's own: then no version follows. */
    if (!*head->version)
        return yz_violate(v, YZ_BAD_FRAME, "path",
                          "The request line names no version, or %0A or %0D stands in it.") ==
               YZ_OK;
    if (!old && strcmp(head->version, "HTTP/1.1") != 0)
        return yz_violate(v, YZ_BAD_FRAME, "HTTP", "HTTP/1.1 is spoken here.") == YZ_OK;
    if (!old && head->host[0] == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, "Host", NULL) == YZ_OK;
    gw_head_copy(wsi, WSI_TOKEN_CONNECTION, connection, sizeof connection);
    head->last = old || strcasestr(connection, "close");
    return true;
}

/* A length beside a Transfer-Encoding does not count, and libwebsockets reads no chunks: a POST of
 * this kind is answered 411 and closed by whoever wants its length; anything else ends here, else a
 * chunk would be taken for the next request. */
static bool judge_body(struct lws *wsi, struct gw_head *head, struct yz_violation *v)
{
    const char *text = head->content_length;
    size_t digits = strspn(text, "0123456789");

    head->request.content_length = -1;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0) {
        if (head->request.method == GW_POST || head->request.method == GW_OTHER_METHOD)
            return true;
        return yz_violate(v, YZ_BAD_FRAME, "Transfer-Encoding", "This takes no body.") == YZ_OK;
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) == 0)
        return true;
    if (digits == 0 || digits > LENGTH_DIGITS_MAX || text[digits] != '\0')
        return yz_violate(v, YZ_INVALID_VALUE, "Content-Length", NULL) == YZ_OK;
    head->request.content_length = strtoll(text, NULL, 10);
    return true;
}

bool gw_head_read(struct lws *wsi, const char *uri, size_t len, struct gw_head *head,
                  struct yz_violation *v)
{
    struct gw_request *request = &head->request;

    memset(request, 0, sizeof *request);
    head->last = true;
    request->method = method_of(wsi);
    request->path = head->path;
    request->pairs = head->pairs;
    request->authorization = head->authorization;
    request->content_type = head->content_type;
    request->if_none_match = head->if_none_match;
    request->origin = head->origin;
    request->host = head->host;
    return copy_headers(wsi, head, v) && judge_version(wsi, head, v) &&
           copy_path(uri, len, head, v) && copy_pairs(wsi, head, v) && judge_body(wsi, head, v);
}

/* One of ours stands in the list of subprotocols, or there is none. */
static bool subprotocol_known(struct lws *wsi)
{
    char list[256], *rest = list, *name;
    int len = lws_hdr_copy(wsi, list, sizeof list, WSI_TOKEN_PROTOCOL);

    if (len <= 0)
        return len == 0;
    while ((name = strsep(&rest, ", "))) {
        if (*name && lws_vhost_name_to_protocol(lws_get_vhost(wsi), name))
            return true;
    }
    return false;
}

/* Base64 of 16 bytes: 22 characters and "==". */
static bool key_valid(struct lws *wsi)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char key[KEY_LEN + 2];

    gw_head_copy(wsi, WSI_TOKEN_KEY, key, sizeof key);
    return strlen(key) == KEY_LEN && strspn(key, digits) == KEY_LEN - 2 &&
           strcmp(key + KEY_LEN - 2, "==") == 0;
}

static bool wants_upgrade(struct lws *wsi)
{
    char text[128];

    return strcasestr(gw_head_copy(wsi, WSI_TOKEN_CONNECTION, text, sizeof text), "upgrade") &&
           lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) <= 0 &&
           lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0;
}

void gw_head_judge_upgrade(struct lws *wsi, const char *upgrade, const char *path, int *status,
                           struct yz_violation *v)
{
    char *uri = NULL, version[8];
    int len = 0, method = lws_http_get_uri_and_method(wsi, &uri, &len);

    *status = 0;
    if (strcasecmp(upgrade, "websocket") != 0) {
        (void)yz_violate(v, YZ_BAD_FRAME, "Upgrade", "Only WebSocket is spoken here.");
    } else if (method != LWSHUMETH_GET) {
        (void)yz_violate(v, YZ_METHOD_NOT_ALLOWED, NULL, NULL);
    } else if ((size_t)len != strlen(path) || memcmp(uri, path, (size_t)len) != 0) {
        (void)yz_violate(v, YZ_UNKNOWN_PATH, NULL, NULL);
    } else if (strcmp(gw_head_copy(wsi, WSI_TOKEN_VERSION, version, sizeof version), "13") != 0) {
        *status = 426;
        (void)yz_violate(v, YZ_BAD_FRAME, "Sec-WebSocket-Version", "The version is 13.");
    } else if (!key_valid(wsi)) {
        (void)yz_violate(v, YZ_BAD_FRAME, "Sec-WebSocket-Key", NULL);
    } else if (!wants_upgrade(wsi)) {
        (void)yz_violate(v, YZ_BAD_FRAME, "Connection", "This is no WebSocket handshake.");
    } else if (!subprotocol_known(wsi)) {
        (void)yz_violate(v, YZ_BAD_FRAME, "Sec-WebSocket-Protocol",
                         "The subprotocols are yizhan.v1.protobuf and yizhan.v1.json.");
    }
}
