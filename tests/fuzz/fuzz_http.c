/* HTTP behind the head's parser. Lines: method, path (percent-decoded), query, Authorization (+: a
 * good token), Content-Type, If-None-Match, Content-Length; behind them the body. */
#include "tests/fuzz/edge.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <string.h>

#define TEXT_MAX  8192
#define PAIRS_MAX 32
#define HEAD_MAX  8192

static struct edge edge;
static int answers;

static void on_answered(void *peer)
{
    PROMISE(peer == &edge);
    answers++;
}

static enum gw_method method_of(const char *text)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "OPTIONS"};

    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0)
            return (enum gw_method)i;
    }
    return GW_OTHER_METHOD;
}

static size_t split_pairs(char *query, struct yz_pair *pairs)
{
    size_t count = 0;
    char *pair;

    while (*query && count < PAIRS_MAX && (pair = strsep(&query, "&")) != NULL) {
        pairs[count].name = strsep(&pair, "=");
        pairs[count++].value = pair ? pair : "";
        if (!query)
            break;
    }
    return count;
}

/* An answer has a status, whole header lines, a body of the length it says, and JSON when it says
 * so. */
static void judge(const struct gw_exchange *exchange)
{
    const uint8_t *body;
    struct yz_buf head;
    size_t len;
    json_t *json;

    PROMISE(exchange->status >= 200 && exchange->status < 600);
    yz_buf_init(&head, HEAD_MAX);
    gw_exchange_head(exchange, &head);
    PROMISE(!head.failed && head.len > 4 && memcmp(head.data + head.len - 4, "\r\n\r\n", 4) == 0);
    PROMISE(memmem(head.data, head.len - 2, "\r\n\r\n", 4) == NULL);
    PROMISE(memchr(head.data, '\0', head.len) == NULL);
    yz_buf_deinit(&head);
    body = gw_exchange_body(exchange, &len);
    PROMISE(len == 0 || body);
    PROMISE(exchange->method != GW_HEAD || len == 0);
    if (len > 0 && strstr(exchange->content_type, "json")) {
        json = json_loadb((const char *)body, len, JSON_DECODE_ANY, NULL);
        PROMISE(json);
        json_decref(json);
    }
}

/* A page comes only from the files that are there. */
static void judge_path(const struct gw_request *request, const struct gw_exchange *exchange)
{
    const struct gw_file *file = gw_files_find(edge.files, request->path);

    PROMISE(!file || strcmp(file->path, "/index.html") == 0 ||
            strcmp(file->path, "/sub/page.html") == 0);
    PROMISE(!file || !strstr(request->path, ".."));
    if (exchange->status == 304 ||
        (exchange->status == 200 && exchange->borrowed && file && exchange->borrowed == file->data))
        PROMISE(file);
}

static void run(const struct gw_request *request, const char *body, size_t len)
{
    struct gw_exchange *exchange = gw_http_begin(edge.http, request, &edge);

    PROMISE(exchange);
    answers = 0;
    if (exchange->status == 0 && request->method == GW_POST) {
        gw_http_body(edge.http, exchange, body, len / 2);
        gw_http_body(edge.http, exchange, body + len / 2, len - len / 2);
        gw_http_finish(edge.http, exchange);
    }
    if (exchange->status == 0) {
        edge_accept(&edge, (uint8_t)len);
        edge_answer(&edge, (uint8_t)len, body, len);
        PROMISE(answers == 1);
    }
    judge(exchange);
    judge_path(request, exchange);
    gw_http_end(edge.http, exchange);
    edge_forget();
}

static char *next_line(char **rest)
{
    static char empty[1];

    return *rest ? strsep(rest, "\n") : empty;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_request request = {0};
    struct yz_pair pairs[PAIRS_MAX];
    char text[TEXT_MAX], *rest = text;
    static char authorization[1024];
    const char *number;

    if (!edge.http) {
        edge_open(&edge, &edge_deaf, on_answered);
        snprintf(authorization, sizeof authorization, "Bearer %s", edge_token());
    }
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    request.method = method_of(next_line(&rest));
    request.path = next_line(&rest);
    /* libwebsockets gives none that does not begin with it. */
    if (request.path[0] != '/')
        return 0;
    request.pair_count = split_pairs(next_line(&rest), pairs);
    request.pairs = pairs;
    request.authorization = next_line(&rest);
    if (strcmp(request.authorization, "+") == 0)
        request.authorization = authorization;
    request.content_type = next_line(&rest);
    request.if_none_match = next_line(&rest);
    number = next_line(&rest);
    request.content_length = *number ? strtoll(number, NULL, 10) : -1;
    rest = rest ? rest : text + size;
    run(&request, rest, size - (size_t)(rest - text));
    return 0;
}
