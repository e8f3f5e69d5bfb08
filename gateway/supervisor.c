#include "gateway/supervisor.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_CONFIGURATION 2

struct child {
    pid_t pid; /* 0: not running */
    int64_t started_ms, due_ms;
};

struct supervisor {
    size_t count;
    struct child *children;
    gw_child_fn *live;
    void *arg;
    sigset_t waited, before;
    bool ending;
    int code;
};

static void start_child(struct supervisor *s, size_t number)
{
    struct child *child = &s->children[number];
    pid_t parent = getpid(), pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(1);
        sigprocmask(SIG_SETMASK, &s->before, NULL);
        exit(s->live(s->arg, number));
    }
    child->started_ms = yz_clock_mono_ms();
    child->due_ms = child->started_ms + SUPERVISOR_PAUSE_MS;
    child->pid = pid > 0 ? pid : 0;
    if (pid < 0)
        yz_error("fork_failed", "reason=%s", strerror(errno));
    else
        yz_info("process_started", "number=%zu child=%d", number, (int)pid);
}

static void pass_on(struct supervisor *s, int signum)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->children[i].pid)
            kill(s->children[i].pid, signum);
    }
}

static void end_all(struct supervisor *s, int signum)
{
    s->ending = true;
    pass_on(s, signum);
}

static void note_end(struct supervisor *s, size_t number, int status)
{
    struct child *child = &s->children[number];
    int64_t now_ms = yz_clock_mono_ms();
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;

    yz_log(s->ending ? YZ_LOG_INFO : YZ_LOG_ERROR, "process_ended",
           "number=%zu child=%d exit=%d signal=%d", number, (int)child->pid,
           WIFEXITED(status) ? WEXITSTATUS(status) : -1,
           WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    child->pid = 0;
    child->due_ms =
        now_ms - child->started_ms < SUPERVISOR_EARLY_MS ? now_ms + SUPERVISOR_PAUSE_MS : now_ms;
    if (code == EXIT_CONFIGURATION && !s->ending)
        end_all(s, SIGTERM);
    if (s->ending && code > s->code)
        s->code = code;
}

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < s->count; i++) {
            if (s->children[i].pid == pid)
                note_end(s, i, status);
        }
    }
}

/* Start whoever is not there and due. Returns the time until the next is due. */
static int64_t start_due(struct supervisor *s)
{
    int64_t now_ms = yz_clock_mono_ms(), wait_ms = 60000;

    for (size_t i = 0; i < s->count && !s->ending; i++) {
        struct child *child = &s->children[i];

        if (child->pid == 0 && child->due_ms <= now_ms)
            start_child(s, i);
        if (child->pid == 0 && child->due_ms - now_ms < wait_ms)
            wait_ms = child->due_ms > now_ms ? child->due_ms - now_ms : 1;
    }
    return wait_ms;
}

static bool any_left(const struct supervisor *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->children[i].pid)
            return true;
    }
    return false;
}

static void watch(struct supervisor *s)
{
    while (!s->ending || any_left(s)) {
        int64_t wait_ms = start_due(s);
        struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = (wait_ms % 1000) * 1000000};
        int signum = sigtimedwait(&s->waited, NULL, &wait);

        if (signum == SIGTERM || signum == SIGINT)
            end_all(s, SIGTERM);
        else if (signum == SIGHUP)
            pass_on(s, SIGHUP);
        reap(s);
    }
}

int gw_supervisor_run(size_t count, gw_child_fn *live, void *arg)
{
    struct supervisor s = {.count = count, .live = live, .arg = arg};

    s.children = calloc(count, sizeof *s.children);
    if (!s.children)
        return 1;
    sigemptyset(&s.waited);
    sigaddset(&s.waited, SIGTERM);
    sigaddset(&s.waited, SIGINT);
    sigaddset(&s.waited, SIGHUP);
    sigaddset(&s.waited, SIGCHLD);
    sigprocmask(SIG_BLOCK, &s.waited, &s.before);
    watch(&s);
    free(s.children);
    return s.code;
}
