/* yz-gateway: clients on one side, the bus on the other. */

#include "common/conf.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/subject.h"
#include "gateway/listener.h"
#include "gateway/node.h"
#include "gateway/supervisor.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Descriptors beside those of sessions: HTTP, the admin port, the bus, files. */
#define SPARE_DESCRIPTORS 1536
#define EXIT_USAGE        2

static const char usage[] =
    "yz-gateway: WebSocket and HTTP for clients, events and pushes on the bus.\n\n"
    "SIGTERM drains and ends; SIGHUP reads the token keys and the certificate again.";

/* One descriptor for each session, if the system allows it. The limit is lowered, too, when it is
 * far above: libwebsockets keeps tables of that size, and takes a limit of more than ten million
 * for none at all. */
static void fit_descriptors(const struct yz_conf *conf)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)conf->sessions_max + SPARE_DESCRIPTORS;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (limit.rlim_cur < wanted)
        yz_warn("descriptors_short", "limit=%llu wanted=%llu", (unsigned long long)limit.rlim_max,
                (unsigned long long)wanted);
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int run_process(const struct yz_conf *conf, size_t number, bool shared)
{
    uint16_t client_port = (uint16_t)conf->listen_port;
    uint16_t admin_port = (uint16_t)(conf->admin_port + (int64_t)number);
    int client_fd, admin_fd = -1;
    char digest[33];

    yz_hash(NULL, 0, digest); /* the loop's thread takes its memory now: see subject.h */
    fit_descriptors(conf);
    if (gw_listener_bind(conf->listen_address, &client_port, shared, &client_fd) != YZ_OK)
        return 1;
    if (conf->admin_port > 0 &&
        gw_listener_bind(conf->admin_address, &admin_port, false, &admin_fd) != YZ_OK)
        return 1;
    return gw_node_run(conf, client_fd, admin_fd);
}

static int live_as_child(void *arg, size_t number)
{
    return run_process(arg, number, true);
}

/* The parent holds the port without listening, so that it is the same for all, also when it was
 * left to the system and when every child is away. */
static int run_many(struct yz_conf *conf)
{
    uint16_t port = (uint16_t)conf->listen_port;
    int fd, code;

    if (gw_listener_bind(conf->listen_address, &port, true, &fd) != YZ_OK)
        return 1;
    conf->listen_port = port;
    code = gw_supervisor_run((size_t)conf->processes, live_as_child, conf);
    close(fd);
    return code;
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return yz_malloc(size);
}

static void *crypto_realloc(void *piece, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return yz_realloc(piece, size);
}

static void crypto_free(void *piece, const char *file, int line)
{
    (void)file;
    (void)line;
    free(piece);
}

/* The libraries that judge what came from outside take memory by us, so that a refusal is known
 * and not taken for a bad token or text. Before their first use. */
static void use_refusing_memory(void)
{
    yz_memory_policy(YZ_MEMORY_REFUSE);
    CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free);
    json_set_alloc_funcs(yz_malloc, free);
}

int main(int argc, char **argv)
{
    struct yz_conf conf;
    enum yz_log_level level;

    if (!yz_conf_parse(&conf, YZ_CONF_GATEWAY, argc, argv, usage, NULL))
        return EXIT_USAGE;
    if (!yz_log_level_parse(conf.log_level, &level)) {
        fprintf(stderr, "--log-level: '%s' is not error, warn, info or debug\n", conf.log_level);
        return EXIT_USAGE;
    }
    yz_log_init("yz-gateway", level);
    use_refusing_memory();
    signal(SIGPIPE, SIG_IGN);
    return conf.processes > 1 ? run_many(&conf) : run_process(&conf, 0, false);
}
