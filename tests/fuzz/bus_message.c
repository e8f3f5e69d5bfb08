#include "tests/fuzz/bus_message.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

void bus_message_open(void)
{
    static bool opened;

    /* natsMsg_Destroy hands the message to a collector that nats_Open makes. */
    if (!opened)
        PROMISE(nats_Open(-1) == NATS_OK);
    opened = true;
}

static void set_headers(natsMsg *msg, char *lines)
{
    char *line;

    while ((line = strsep(&lines, "\n"))) {
        char *colon = strstr(line, ": ");

        if (!colon || colon == line)
            continue;
        *colon = '\0';
        if (natsMsgHeader_Set(msg, line, colon + 2) != NATS_OK)
            return;
    }
}

natsMsg *bus_message_parse(const char *subject, const void *data, size_t len)
{
    char text[BUS_MESSAGE_MAX], *body;
    natsMsg *msg = NULL;
    size_t body_len = 0;

    len = len < sizeof text - 1 ? len : sizeof text - 1;
    if (len > 0)
        memcpy(text, data, len);
    text[len] = '\0';
    body = memmem(text, len, "\n\n", 2);
    if (body) {
        *body = '\0';
        body += 2;
        body_len = len - (size_t)(body - text);
    }
    PROMISE(natsMsg_Create(&msg, subject, NULL, body, (int)body_len) == NATS_OK);
    set_headers(msg, text);
    return msg;
}
