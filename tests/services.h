/* services.h: a real nats-server and a real database for a unit test that needs one.
 *
 * Lifetime  started in a group's setup, stopped in its teardown. A service dies with the test, even
 *           when that is killed; its folder under $TMPDIR is removed by service_stop.
 * Thread    the test's.
 * Limits    a service that is not ready in 20 s has failed: its log is printed.
 *
 * The programs: YZ_NATS_SERVER and YZ_DATABASE_SERVER (what scripts/services prints), else
 * nats-server and secantusd-rs on PATH.
 */
#ifndef YZ_TEST_SERVICES_H
#define YZ_TEST_SERVICES_H

#include <stdbool.h>
#include <sys/types.h>

struct service {
    pid_t pid;
    int port;
    char folder[256];
    char url[128]; /* nats://... or mongodb://... */
};

/* With JetStream. */
bool service_start_nats(struct service *service);
/* Without: the test answers what is asked of it. */
bool service_start_plain_nats(struct service *service);
bool service_start_database(struct service *service);
void service_stop(struct service *service);
/* Send the signal to the process (a test of bad days). */
void service_signal(const struct service *service, int signal);

#endif
