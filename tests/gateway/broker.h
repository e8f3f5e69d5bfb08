/* broker.h: a nats-server of the test's own, the streams of yzctl apply in small, and a publisher
 * beside the gateway.
 *
 * Lifetime  broker_start to broker_stop; its store is a temporary folder.
 * Thread    the test's; a publisher thread uses a connection of its own.
 */
#ifndef BROKER_H
#define BROKER_H

#include <arpa/inet.h>
#include <errno.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct broker {
    pid_t pid;
    int port;
    bool plain; /* without JetStream: the test plays it */
    char folder[64], url[64];
    natsConnection *nc; /* the test's own */
};

static inline bool broker_find(char path[512])
{
    const char *named = getenv("YZ_NATS_SERVER"), *dirs = getenv("PATH");

    if (named && *named) {
        snprintf(path, 512, "%s", named);
        return access(path, X_OK) == 0;
    }
    while (dirs && *dirs) {
        size_t len = strcspn(dirs, ":");

        snprintf(path, 512, "%.*s/nats-server", (int)len, dirs);
        if (access(path, X_OK) == 0)
            return true;
        dirs += len + (dirs[len] == ':');
    }
    return false;
}

static inline int broker_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        abort();
    close(fd);
    return ntohs(a.sin_port);
}

static inline void broker_exec(struct broker *b)
{
    char path[512], port[16], log[96];

    if (!broker_find(path))
        abort();
    snprintf(port, sizeof port, "%d", b->port);
    snprintf(log, sizeof log, "%s/log", b->folder);
    b->pid = fork();
    if (b->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that dies leaves no server behind */
        execl(path, path, "-a", "127.0.0.1", "-p", port, "-l", log, b->plain ? (char *)NULL : "-js",
              "-sd", b->folder, (char *)NULL);
        _exit(127);
    }
}

/* Until its JetStream answers. */
static inline void broker_await(natsConnection *nc)
{
    for (int i = 0; i < 500; i++) {
        natsMsg *reply = NULL;
        natsStatus s = natsConnection_RequestString(&reply, nc, "$JS.API.INFO", "", 1000);
        bool ok = s == NATS_OK && natsMsg_GetDataLength(reply) > 0;

        natsMsg_Destroy(reply);
        if (ok)
            return;
        nats_Sleep(20);
    }
    abort();
}

static inline natsConnection *broker_connect(const struct broker *b)
{
    natsConnection *nc = NULL;

    for (int i = 0; i < 500; i++) {
        if (natsConnection_ConnectTo(&nc, b->url) == NATS_OK)
            return nc;
        nats_Sleep(20);
    }
    abort();
}

static inline void broker_begin(struct broker *b, bool plain)
{
    memset(b, 0, sizeof *b);
    b->plain = plain;
    snprintf(b->folder, sizeof b->folder, "/tmp/yz-broker-XXXXXX");
    if (!mkdtemp(b->folder))
        abort();
    b->port = broker_free_port();
    snprintf(b->url, sizeof b->url, "nats://127.0.0.1:%d", b->port);
    broker_exec(b);
    b->nc = broker_connect(b);
}

static inline void broker_start(struct broker *b)
{
    broker_begin(b, false);
    broker_await(b->nc);
}

static inline void broker_start_plain(struct broker *b)
{
    broker_begin(b, true);
}

static inline void broker_kill(struct broker *b)
{
    natsConnection_Destroy(b->nc);
    b->nc = NULL;
    kill(b->pid, SIGTERM);
    kill(b->pid, SIGCONT); /* a test that failed may have left it stopped */
    waitpid(b->pid, NULL, 0);
}

/* Silent from now on: SIGSTOP takes effect a moment after kill returns. */
static inline void broker_pause(struct broker *b)
{
    kill(b->pid, SIGSTOP);
    waitpid(b->pid, NULL, WUNTRACED);
}

static inline void broker_resume(struct broker *b)
{
    kill(b->pid, SIGCONT);
}

/* The same port and store again. */
static inline void broker_restart(struct broker *b)
{
    broker_exec(b);
    b->nc = broker_connect(b);
    broker_await(b->nc);
}

static inline void broker_stop(struct broker *b)
{
    char command[128];

    broker_kill(b);
    snprintf(command, sizeof command, "rm -rf '%s'", b->folder);
    if (system(command) != 0)
        fprintf(stderr, "%s is left\n", b->folder);
}

static inline void broker_api(struct broker *b, const char *subject, const char *body)
{
    natsMsg *reply = NULL;

    if (natsConnection_RequestString(&reply, b->nc, subject, body, 5000) != NATS_OK ||
        strstr(natsMsg_GetData(reply), "\"error\"")) {
        fprintf(stderr, "%s: %s\n", subject, reply ? natsMsg_GetData(reply) : "no answer");
        abort();
    }
    natsMsg_Destroy(reply);
}

/* more: further settings, each with a comma before it. */
__attribute__((nonnull)) static inline void broker_stream(struct broker *b, const char *name,
                                                          const char *subjects, const char *epoch,
                                                          const char *more)
{
    char subject[64], body[1024], republish[160] = "";
    bool events = strcmp(name, "EVENTS") == 0;

    if (!events)
        snprintf(republish, sizeof republish,
                 ",\"republish\":{\"src\":\"%s\",\"dest\":\"live.%s\"}", subjects, subjects);
    snprintf(subject, sizeof subject, "$JS.API.STREAM.CREATE.%s", name);
    snprintf(body, sizeof body,
             "{\"name\":\"%s\",\"subjects\":[\"%s\"],\"storage\":\"file\",\"retention\":\"%s\","
             "\"allow_direct\":true,\"duplicate_window\":120000000000,"
             "\"metadata\":{\"yizhan-epoch\":\"%s\"}%s%s}",
             name, subjects, events ? "workqueue" : "limits", epoch, republish, more);
    broker_api(b, subject, body);
}

static inline void broker_delete(struct broker *b, const char *name)
{
    char subject[64];

    snprintf(subject, sizeof subject, "$JS.API.STREAM.DELETE.%s", name);
    broker_api(b, subject, "");
}

static inline void broker_streams(struct broker *b, const char *channel_limits)
{
    broker_stream(b, "EVENTS", "evt.>", "1.a", ",\"discard\":\"new\",\"max_bytes\":1048576");
    broker_stream(b, "CHANNELS", "chan.>", "1.a", channel_limits);
    broker_stream(b, "THREADS", "thr.>", "1.a", "");
    broker_stream(b, "STATE", "state.>", "1.a", ",\"max_msgs_per_subject\":1");
}

#endif
