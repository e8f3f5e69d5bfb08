#include "services.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_MS 20000
#define STOP_MS  5000
#define STEP_MS  20
#define PATH_LEN 512

static void sleep_ms(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

static int open_local(int port, bool listening)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && (listening ? bind(fd, (struct sockaddr *)&address, sizeof address)
                              : connect(fd, (struct sockaddr *)&address, sizeof address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A port that nobody held a moment ago. */
static int free_port(void)
{
    struct sockaddr_in address = {0};
    socklen_t len = sizeof address;
    int fd = open_local(0, true);
    int port = -1;

    if (fd >= 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0)
        port = ntohs(address.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

static void print_log(const struct service *service)
{
    char path[PATH_LEN], line[512];
    FILE *log;

    snprintf(path, sizeof path, "%s/log", service->folder);
    log = fopen(path, "re");
    while (log && fgets(line, sizeof line, log))
        fputs(line, stderr);
    if (log)
        fclose(log);
}

/* In the child: die with the test, write to the log, become the program. */
static void become(const struct service *service, char *const argv[])
{
    char path[PATH_LEN];
    int log;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    snprintf(path, sizeof path, "%s/log", service->folder);
    log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execvp(argv[0], argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static bool wait_ready(struct service *service)
{
    for (int waited_ms = 0; waited_ms < READY_MS; waited_ms += STEP_MS) {
        int fd = open_local(service->port, false);

        if (fd >= 0) {
            close(fd);
            return true;
        }
        if (waitpid(service->pid, NULL, WNOHANG) == service->pid) {
            service->pid = 0;
            break;
        }
        sleep_ms(STEP_MS);
    }
    print_log(service);
    service_stop(service);
    return false;
}

static bool make_folder(struct service *service)
{
    const char *parent = getenv("TMPDIR");

    memset(service, 0, sizeof *service);
    snprintf(service->folder, sizeof service->folder, "%s/yizhan-test-XXXXXX",
             parent && *parent ? parent : "/tmp");
    service->port = free_port();
    return service->port > 0 && mkdtemp(service->folder) != NULL;
}

static bool start(struct service *service, char *const argv[])
{
    service->pid = fork();
    if (service->pid == 0)
        become(service, argv);
    return service->pid > 0 && wait_ready(service);
}

static char *program(const char *variable, const char *fallback)
{
    char *named = getenv(variable);

    return named && *named ? named : (char *)(unsigned long)fallback;
}

static bool start_nats(struct service *service, bool jetstream)
{
    char port[16], data[PATH_LEN];

    if (!make_folder(service))
        return false;
    snprintf(port, sizeof port, "%d", service->port);
    snprintf(data, sizeof data, "%s/data", service->folder);
    snprintf(service->url, sizeof service->url, "nats://127.0.0.1:%d", service->port);
    char *const argv[] = {program("YZ_NATS_SERVER", "nats-server"),
                          "-a",
                          "127.0.0.1",
                          "-p",
                          port,
                          "-sd",
                          data,
                          jetstream ? "-js" : NULL,
                          NULL};
    return start(service, argv);
}

bool service_start_nats(struct service *service)
{
    return start_nats(service, true);
}

bool service_start_plain_nats(struct service *service)
{
    return start_nats(service, false);
}

bool service_start_database(struct service *service)
{
    char port[16], data[PATH_LEN];

    if (!make_folder(service))
        return false;
    snprintf(port, sizeof port, "%d", service->port);
    snprintf(data, sizeof data, "%s/data", service->folder);
    snprintf(service->url, sizeof service->url, "mongodb://127.0.0.1:%d/?directConnection=true",
             service->port);
    char *const argv[] = {program("YZ_DATABASE_SERVER", "secantusd-rs"),
                          "--port",
                          port,
                          "--storage-path",
                          data,
                          "--sync-on-commit",
                          NULL};
    return start(service, argv);
}

void service_signal(const struct service *service, int signal)
{
    kill(-service->pid, signal);
    /* A stop takes hold a moment later. */
    if (signal == SIGSTOP)
        waitpid(service->pid, NULL, WUNTRACED);
}

static bool wait_gone(const struct service *service, int wait_ms)
{
    for (int waited_ms = 0; waited_ms < wait_ms; waited_ms += STEP_MS) {
        if (waitpid(service->pid, NULL, WNOHANG) == service->pid)
            return true;
        sleep_ms(STEP_MS);
    }
    return false;
}

static void remove_folder(const char *folder)
{
    pid_t pid = fork();

    if (pid == 0) {
        execlp("rm", "rm", "-rf", folder, (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

void service_stop(struct service *service)
{
    if (service->pid > 0) {
        service_signal(service, SIGCONT);
        service_signal(service, SIGTERM);
        if (!wait_gone(service, STOP_MS)) {
            service_signal(service, SIGKILL);
            wait_gone(service, STOP_MS);
        }
    }
    service->pid = 0;
    if (service->folder[0])
        remove_folder(service->folder);
    service->folder[0] = '\0';
}
