/* A client's frames through the whole session, and the bus's answers between them. The first byte:
 * bit 0 the encoding (0: protobuf), bit 1 whether a good hello was sent before. Then pieces of a
 * byte (what it is), two bytes (its length) and so many bytes. */
#include "schemas/text.h"
#include "tests/fuzz/edge.h"
#include "tests/fuzz/fuzz.h"

#include <client.pb-c.h>
#include <jansson.h>
#include <string.h>

#define OUTPUT_MAX (4 << 20)
#define PIECES_MAX 64

static struct edge edge;

static void on_answered(void *peer)
{
    (void)peer;
}

/* Every line is a JSON object. */
static void judge_lines(const char *text, size_t len)
{
    PROMISE(text[len - 1] == '\n' && yz_text_valid(text, len));
    while (len > 0) {
        size_t line = (size_t)((const char *)memchr(text, '\n', len) - text) + 1;
        json_t *frame = json_loadb(text, line, JSON_REJECT_DUPLICATES, NULL);

        PROMISE(json_is_array(json_object_get(frame, "items")));
        json_decref(frame);
        text += line;
        len -= line;
    }
}

/* A client can read all that comes. */
static void take(struct gw_session *session, enum gw_encoding encoding, size_t room)
{
    static uint8_t buffer[OUTPUT_MAX];
    size_t next = gw_session_next(session), len;
    Yizhan__V1__ServerFrame *frame;

    if (room < next)
        room = next;
    PROMISE(next <= sizeof buffer);
    len = gw_session_take(session, buffer, room);
    PROMISE(len >= next && len <= room);
    if (len == 0)
        return;
    if (encoding == GW_JSON) {
        judge_lines((const char *)buffer, len);
        return;
    }
    frame = yizhan__v1__server_frame__unpack(NULL, len, buffer);
    PROMISE(frame && frame->n_items > 0);
    yizhan__v1__server_frame__free_unpacked(frame, NULL);
}

static void say_hello(struct gw_session *session, enum gw_encoding encoding)
{
    Yizhan__V1__ClientFrame frame = YIZHAN__V1__CLIENT_FRAME__INIT;
    Yizhan__V1__Hello hello = YIZHAN__V1__HELLO__INIT;
    uint8_t bytes[1024];
    char text[1024];

    snprintf(text, sizeof text, "{\"id\":1,\"hello\":{\"token\":\"%s\"}}", edge_token());
    hello.token = (char *)(uintptr_t)edge_token();
    frame.id = 1;
    frame.body_case = YIZHAN__V1__CLIENT_FRAME__BODY_HELLO;
    frame.hello = &hello;
    if (encoding == GW_JSON)
        gw_session_frame(session, text, strlen(text), false);
    else
        gw_session_frame(session, bytes, yizhan__v1__client_frame__pack(&frame, bytes), true);
    PROMISE(!gw_session_closing(session) && gw_session_next(session) > 0);
}

static void act(struct gw_session *session, enum gw_encoding encoding, uint8_t what,
                const uint8_t *data, size_t len)
{
    uint8_t how = len > 0 ? data[0] : 0;

    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        gw_session_frame(session, data, len, encoding == GW_PROTOBUF);
        break;
    case 3:
        edge_accept(&edge, how);
        break;
    case 4:
        edge_answer(&edge, how, data + (len > 0), len - (len > 0));
        break;
    case 5:
        edge_channel(&edge, how, data + (len > 0), len - (len > 0));
        break;
    case 6:
        take(session, encoding, len);
        break;
    case 7:
        if (how == 0xFF)
            gw_session_frame(session, data, len, encoding != GW_PROTOBUF);
        else if (how == 0xFE)
            gw_session_close(session, YZ_CLOSE_GOING_AWAY);
        else
            gw_sessions_tick(edge.sessions);
        break;
    }
}

static void drive(struct gw_session *session, enum gw_encoding encoding, const uint8_t *data,
                  size_t size)
{
    for (int i = 0; size >= 3 && i < PIECES_MAX; i++) {
        size_t len = (size_t)data[1] | (size_t)data[2] << 8;

        if (len > size - 3)
            len = size - 3;
        act(session, encoding, data[0], data + 3, len);
        data += 3 + len;
        size -= 3 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_session *session;
    enum gw_encoding encoding;

    if (!edge.sessions)
        edge_open(&edge, &edge_deaf, on_answered);
    if (size == 0)
        return 0;
    encoding = data[0] & 1 ? GW_JSON : GW_PROTOBUF;
    PROMISE(gw_session_open(edge.sessions, encoding, &edge, &session) == YZ_OK);
    if (data[0] & 2)
        say_hello(session, encoding);
    drive(session, encoding, data + 1, size - 1);
    while (gw_session_next(session) > 0)
        take(session, encoding, 65536);
    PROMISE(gw_session_closing(session) == (gw_session_done(session) != YZ_CLOSE_NONE));
    gw_session_free(session);
    PROMISE(edge_held() == 0 && gw_sessions_count(edge.sessions) == 0);
    /* Answers to who is gone go nowhere. */
    edge_accept(&edge, 0);
    edge_answer(&edge, 1, data, size);
    edge_forget();
    return 0;
}
