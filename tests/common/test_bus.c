#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/bus.h"
#include "common/log.h"
#include "services.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISHES 100

static struct service nats;
static struct yz_conf conf;
static natsConnection *nc;

static int set_up(void **state)
{
    char *argv[] = {(char *)(uintptr_t) "test", NULL};
    natsOptions *options = NULL;

    (void)state;
    yz_log_init("test", YZ_LOG_ERROR);
    unsetenv("YZ_NATS_URL");
    if (!service_start_nats(&nats) || !yz_conf_parse(&conf, YZ_CONF_WORKER, 1, argv, "", NULL))
        return -1;
    conf.nats_url = nats.url;
    if (yz_bus_options(&conf, "test", &options) != YZ_OK)
        return -1;
    if (yz_bus_connect(options, 5000, &nc) != YZ_OK)
        return -1;
    natsOptions_Destroy(options);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    natsConnection_Destroy(nc);
    service_stop(&nats);
    nats_Close();
    return 0;
}

/* Each round begins with an empty buffer, and nats.c's thread writes a millisecond later only: a
 * hurry that does nothing leaves bytes in nearly all of them. */
static void nothing_waits_behind_a_hurry(void **state)
{
    int left = 0;

    (void)state;
    for (int i = 0; i < PUBLISHES; i++) {
        assert_int_equal(natsConnection_PublishString(nc, "here", "x"), NATS_OK);
        yz_bus_hurry(nc);
        left += natsConnection_Buffered(nc) > 0;
    }
    assert_int_equal(left, 0);
}

/* It comes back without an answer, and the connection is as good as before. */
static void a_silent_broker_is_not_waited_for(void **state)
{
    natsSubscription *sub = NULL;
    natsMsg *msg = NULL;

    (void)state;
    assert_int_equal(natsConnection_SubscribeSync(&sub, nc, "there"), NATS_OK);
    service_signal(&nats, SIGSTOP);
    for (int i = 0; i < PUBLISHES; i++) {
        assert_int_equal(natsConnection_PublishString(nc, "there", "x"), NATS_OK);
        yz_bus_hurry(nc);
        assert_int_equal(natsConnection_Buffered(nc), 0);
    }
    service_signal(&nats, SIGCONT);
    for (int i = 0; i < PUBLISHES; i++) {
        assert_int_equal(natsSubscription_NextMsg(&msg, sub, 5000), NATS_OK);
        natsMsg_Destroy(msg);
    }
    assert_int_equal(natsConnection_FlushTimeout(nc, 5000), NATS_OK);
    natsSubscription_Destroy(sub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_waits_behind_a_hurry),
        cmocka_unit_test(a_silent_broker_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
