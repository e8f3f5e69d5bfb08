#include "workers/ctl/probe.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define RESPONSE_MAX 65536

static bool copy(char *out, size_t cap, const char *from, size_t len)
{
    if (len >= cap)
        return false;
    memcpy(out, from, len);
    out[len] = '\0';
    return true;
}

bool ctl_address_parse(const char *url, const char *default_port, struct ctl_address *address)
{
    const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : url;
    size_t len = strcspn(host, "/,");
    const char *at = memchr(host, '@', len), *port, *end = host + len;
    bool bracket;

    if (at)
        host = at + 1;
    bracket = *host == '[';
    port = bracket ? memchr(host, ']', (size_t)(end - host)) : host;
    if (!port)
        return false;
    port = memchr(port, ':', (size_t)(end - port));
    len = (size_t)((port ? port : end) - host);
    if (bracket)
        len -= 2;
    if (len == 0 || !copy(address->host, sizeof address->host, host + bracket, len))
        return false;
    if (port && (end - port < 2 || strspn(port + 1, "0123456789") < (size_t)(end - port - 1)))
        return false;
    if (!(port ? copy(address->port, sizeof address->port, port + 1, (size_t)(end - port - 1))
               : copy(address->port, sizeof address->port, default_port, strlen(default_port))))
        return false;
    return copy(address->path, sizeof address->path, *end == '/' ? end : "/",
                *end == '/' ? strlen(end) : 1);
}

static int connect_to(const struct addrinfo *info)
{
    struct timeval limit = {CTL_PROBE_TIMEOUT_MS / 1000, CTL_PROBE_TIMEOUT_MS % 1000 * 1000};
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, info->ai_protocol);

    if (fd < 0)
        return -1;
    /* The time to send limits connect as well. */
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, info->ai_addr, info->ai_addrlen) == 0)
        return fd;
    close(fd);
    return -1;
}

static int open_to(const struct ctl_address *address, const char **reason)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int fd = -1, code = getaddrinfo(address->host, address->port, &hints, &list);

    if (code != 0) {
        *reason = gai_strerror(code);
        return -1;
    }
    for (const struct addrinfo *info = list; info && fd < 0; info = info->ai_next)
        fd = connect_to(info);
    if (fd < 0)
        *reason = errno == EINPROGRESS ? "timed out" : strerror(errno);
    freeaddrinfo(list);
    return fd;
}

bool ctl_probe_line(const struct ctl_address *address, char *line, size_t cap, const char **reason)
{
    int fd = open_to(address, reason);
    size_t len = 0;

    if (fd < 0)
        return false;
    *reason = CTL_PROBE_DUMB;
    while (len < cap - 1 && !memchr(line, '\n', len)) {
        ssize_t got = recv(fd, line + len, cap - 1 - len, 0);

        if (got <= 0)
            break;
        len += (size_t)got;
    }
    close(fd);
    line[len] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    return len > 0;
}

bool ctl_probe_port(const struct ctl_address *address, const char **reason)
{
    int fd = open_to(address, reason);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static size_t body_length(const char *head)
{
    const char *field = strcasestr(head, "\r\nContent-Length:");

    return field ? strtoul(field + strlen("\r\nContent-Length:"), NULL, 10) : RESPONSE_MAX;
}

/* Head and body, until the length it tells or the end. */
static size_t read_response(int fd, char *response, size_t cap)
{
    size_t len = 0, whole = cap - 1;
    const char *body;
    ssize_t got;

    response[0] = '\0';
    while (len < whole && (got = recv(fd, response + len, cap - 1 - len, 0)) > 0) {
        len += (size_t)got;
        response[len] = '\0';
        body = strstr(response, "\r\n\r\n");
        if (body) {
            size_t told = (size_t)(body + 4 - response) + body_length(response);

            whole = told < cap - 1 ? told : cap - 1;
        }
    }
    return len;
}

bool ctl_probe_get(const struct ctl_address *address, int *status, char *body, size_t cap,
                   const char **reason)
{
    char request[CTL_HOST_MAX * 2 + 64], *response, *start;
    int fd = open_to(address, reason), len;
    bool good = false;

    if (fd < 0)
        return false;
    *reason = "it does not speak HTTP";
    response = malloc(RESPONSE_MAX);
    len = snprintf(request, sizeof request,
                   "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", address->path,
                   address->host);
    if (response && send(fd, request, (size_t)len, MSG_NOSIGNAL) == len &&
        read_response(fd, response, RESPONSE_MAX) > 0 && strncmp(response, "HTTP/1.", 7) == 0 &&
        strlen(response) > 12) {
        *status = (int)strtol(response + 9, NULL, 10);
        start = strstr(response, "\r\n\r\n");
        snprintf(body, cap, "%s", start ? start + 4 : "");
        good = true;
    }
    free(response);
    close(fd);
    return good;
}
