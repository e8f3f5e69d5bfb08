#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct {
    struct loop_watch watch;
    struct loop *loop;
    void (*on_command)(const char *word, const char *line);
    char buffer[CONTROL_LINE_MAX];
    size_t len;
} input;

static void take_line(char *line)
{
    char word[32];

    if (sscanf(line, "%31s", word) != 1)
        return;
    if (strcmp(word, "quit") == 0)
        loop_stop(input.loop);
    else
        input.on_command(word, line);
}

static void on_input(struct loop_watch *watch, uint32_t events)
{
    ssize_t got = read(watch->fd, input.buffer + input.len, sizeof input.buffer - input.len - 1);
    char *end;

    (void)events;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        loop_stop(input.loop);
        return;
    }
    input.len += (size_t)got;
    input.buffer[input.len] = '\0';
    while ((end = strchr(input.buffer, '\n'))) {
        size_t used = (size_t)(end + 1 - input.buffer);
        char line[CONTROL_LINE_MAX];

        *end = '\0';
        memcpy(line, input.buffer, used);
        memmove(input.buffer, end + 1, input.len - used + 1);
        input.len -= used;
        take_line(line);
    }
    if (input.len == sizeof input.buffer - 1)
        bench_die("a command is longer than %d characters", CONTROL_LINE_MAX);
}

void control_init(struct loop *loop, void (*on_command)(const char *word, const char *line))
{
    input.loop = loop;
    input.on_command = on_command;
    input.watch = (struct loop_watch){.fd = STDIN_FILENO, .on_ready = on_input};
    loop_watch(loop, &input.watch, EPOLLIN);
}

void control_answer(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void control_error(const char *format, ...)
{
    va_list args;

    fputs("{\"error\":\"", stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fputs("\"}\n", stdout);
    fflush(stdout);
}

/* Where the value begins; NULL. */
static const char *find(const char *line, const char *key)
{
    size_t len = strlen(key);

    for (const char *at = line; (at = strstr(at, key)); at += len)
        if (at > line && at[-1] == ' ' && at[len] == '=')
            return at + len + 1;
    return NULL;
}

double control_number(const char *line, const char *key, double fallback)
{
    const char *value = find(line, key);

    return value ? strtod(value, NULL) : fallback;
}

bool control_text(const char *line, const char *key, char *out, size_t size)
{
    const char *value = find(line, key);
    size_t len = value ? strcspn(value, " \n") : 0;

    if (len >= size)
        bench_die("%s is too long", key);
    if (len > 0)
        memcpy(out, value, len);
    out[len] = '\0';
    return value != NULL;
}
