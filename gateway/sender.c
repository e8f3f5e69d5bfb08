#include "gateway/sender.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/subject.h"
#include "gateway/metrics.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* A peer that takes nothing for so long is gone. */
#define WRITE_DEADLINE_MS 2000
/* What is sent behind a pause of this length goes out at once; nats.c sends the rest together, a
 * millisecond later at most. */
#define HURRY_US 250
/* Unsubscribed ones wait for an idle moment, but not more than this many. */
#define ENDED_MAX    64
#define BURY_WAIT_MS 1000
/* A message's weight beside its data. */
#define MESSAGE_OVERHEAD 512

enum verb { PUBLISH, SUBSCRIBE, UNSUBSCRIBE, REOPEN };

struct command {
    STAILQ_ENTRY(command) entry;
    enum verb verb;
    size_t weight;
    struct gw_subscription *subscription; /* SUBSCRIBE, UNSUBSCRIBE */
    natsMsg *msg;                         /* PUBLISH, and what follows */
    uint64_t connection;                  /* sent on this one only */
    uint64_t request;
    enum yz_err err; /* once failed */
};

STAILQ_HEAD(command_list, command);

/* Its commands lie in it, so that no unsubscribe can fail for want of memory. */
struct gw_subscription {
    struct command subscribe, unsubscribe;
    LIST_ENTRY(gw_subscription) entry; /* the thread's */
    natsSubscription *sub;             /* NULL while the connection is closed */
    uint64_t tap;
    char subject[];
};

LIST_HEAD(subscription_list, gw_subscription);

/* What nats.c's delivery thread holds of a subscription: it outlives the tap until the last call is
 * over. */
struct outlet {
    struct gw_inbound *inbound;
    uint64_t tap;
    enum gw_worth worth;
};

struct gw_sender {
    const struct yz_conf *conf;
    struct gw_inbound *inbound;
    struct gw_metrics *metrics;
    pthread_t thread;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wanted;
    bool asleep, stopping;
    size_t unheard; /* commands given since the thread was woken */
    struct command_list queue, failed;
    size_t count, bytes; /* until done */
    struct command reopen;
    bool reopening;

    /* the thread's own */
    natsConnection *nc;
    natsStatistics *statistics;
    struct subscription_list subscriptions;
    struct subscription_list ended; /* unsubscribed, to be freed by bury() */
    size_t ended_count;
    bool bury_tried;    /* with those that are there now */
    int64_t hurried_us; /* monotonic */
};

/* nats.c's threads */

static void on_bus_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
    struct outlet *outlet = closure;

    (void)nc;
    (void)sub;
    gw_inbound_push(outlet->inbound, outlet->tap, msg, outlet->worth);
}

static void on_outlet_complete(void *closure)
{
    struct outlet *outlet = closure;

    gw_inbound_unref(outlet->inbound);
    free(outlet);
}

/* A number that changes with each reconnect of this nc. */
static uint64_t connection_of(natsConnection *nc, natsStatistics *statistics)
{
    uint64_t reconnects = 0;

    if (natsConnection_GetStats(nc, statistics) == NATS_OK)
        (void)natsStatistics_GetCounts(statistics, NULL, NULL, NULL, NULL, &reconnects);
    return reconnects;
}

static void on_bus_connected(natsConnection *nc, void *closure)
{
    natsStatistics *statistics = NULL;

    if (natsStatistics_Create(&statistics) != NATS_OK) {
        gw_inbound_note_closed(closure); /* out of memory: it is made anew later */
        return;
    }
    gw_inbound_note_connected(closure, connection_of(nc, statistics));
    natsStatistics_Destroy(statistics);
}

static void on_bus_disconnected(natsConnection *nc, void *closure)
{
    (void)nc;
    gw_inbound_note_disconnected(closure);
}

/* The connection's last call. */
static void on_bus_closed(natsConnection *nc, void *closure)
{
    (void)nc;
    gw_inbound_note_closed(closure);
    gw_inbound_unref(closure);
}

static void on_bus_error(natsConnection *nc, natsSubscription *sub, natsStatus err, void *closure)
{
    struct gw_metrics *metrics = closure;

    (void)sub;
    if (yz_bus_on_error(nc, err)) {
        yz_count(&metrics->bus_denied, 1);
        yz_trouble_note(&metrics->troubles, YZ_TROUBLE_bus_permission, true);
    }
}

/* The sender's thread */

static enum yz_err set_callbacks(struct gw_sender *sender, natsOptions *options)
{
    struct gw_inbound *in = sender->inbound;

    if (natsOptions_SetRetryOnFailedConnect(options, true, on_bus_connected, in) != NATS_OK ||
        natsOptions_SetReconnectedCB(options, on_bus_connected, in) != NATS_OK ||
        natsOptions_SetDisconnectedCB(options, on_bus_disconnected, in) != NATS_OK ||
        natsOptions_SetClosedCB(options, on_bus_closed, in) != NATS_OK ||
        natsOptions_SetErrorHandler(options, on_bus_error, sender->metrics) != NATS_OK ||
        natsOptions_SetWriteDeadline(options, WRITE_DEADLINE_MS) != NATS_OK)
        return YZ_INTERNAL;
    return YZ_OK;
}

static enum yz_err make_options(struct gw_sender *sender, natsOptions **options)
{
    enum yz_err err = yz_bus_options(sender->conf, "yz-gateway", options);

    if (!err && (err = set_callbacks(sender, *options)))
        natsOptions_Destroy(*options);
    return err;
}

static enum gw_worth worth_of(const struct gw_subscription *subscription)
{
    if (subscription->tap == SENDER_TAP_INBOX)
        return GW_WORTH_REPLY;
    return yz_subject_is_signal(subscription->subject) ? GW_WORTH_SIGNAL : GW_WORTH_LIVE;
}

static enum yz_err listen_to(struct gw_sender *sender, struct gw_subscription *subscription)
{
    struct outlet *outlet = malloc(sizeof *outlet);
    natsSubscription *sub = NULL;

    if (!outlet)
        return YZ_INTERNAL;
    *outlet =
        (struct outlet){gw_inbound_ref(sender->inbound), subscription->tap, worth_of(subscription)};
    if (natsConnection_Subscribe(&sub, sender->nc, subscription->subject, on_bus_message, outlet) !=
        NATS_OK) {
        on_outlet_complete(outlet);
        return YZ_BUS_UNAVAILABLE;
    }
    /* Our queue is the bound; nats.c's own would drop without telling us what. */
    (void)natsSubscription_SetPendingLimits(sub, -1, -1);
    if (natsSubscription_SetOnCompleteCB(sub, on_outlet_complete, outlet) != NATS_OK) {
        /* The connection was closed meanwhile, and a call may still run: a few bytes are left to
         * it. */
        natsSubscription_Destroy(sub);
        return YZ_BUS_UNAVAILABLE;
    }
    subscription->sub = sub;
    return YZ_OK;
}

/* Without a connection it is subscribed with the others when there is one. */
static void subscribe(struct gw_sender *sender, struct gw_subscription *subscription)
{
    if (!sender->nc || listen_to(sender, subscription) == YZ_OK)
        return;
    yz_warn_spaced("subscribe_failed", "subject=%s", subscription->subject);
    gw_inbound_note_closed(sender->inbound);
}

static void unsubscribe(struct gw_sender *sender, struct gw_subscription *subscription)
{
    LIST_REMOVE(subscription, entry);
    if (subscription->sub)
        natsSubscription_Unsubscribe(subscription->sub);
    LIST_INSERT_HEAD(&sender->ended, subscription, entry);
    sender->ended_count++;
    sender->bury_tried = false;
}

static void free_ended(struct gw_sender *sender)
{
    struct gw_subscription *subscription;

    while ((subscription = LIST_FIRST(&sender->ended))) {
        LIST_REMOVE(subscription, entry);
        natsSubscription_Destroy(subscription->sub);
        free(subscription);
    }
    sender->ended_count = 0;
}

/* nats.c 3.4's reading thread finds a message's subscription and only then takes its lock, without
 * holding a reference in between: one that is freed meanwhile is used. What was unsubscribed before
 * the broker's answer to a PING is not in that thread's hands any more when the answer is. */
static void bury(struct gw_sender *sender)
{
    sender->bury_tried = true;
    if (!sender->nc || natsConnection_FlushTimeout(sender->nc, BURY_WAIT_MS) == NATS_OK)
        free_ended(sender);
}

static void close_bus(struct gw_sender *sender)
{
    struct gw_subscription *subscription;

    natsConnection_Close(sender->nc); /* its reading thread has ended then */
    LIST_FOREACH(subscription, &sender->subscriptions, entry)
    {
        natsSubscription_Destroy(subscription->sub);
        subscription->sub = NULL;
    }
    free_ended(sender);
    natsConnection_Destroy(sender->nc);
    sender->nc = NULL;
}

/* The connection with the subscriptions there are; it comes up in the background. */
static void open_bus(struct gw_sender *sender)
{
    struct gw_subscription *subscription;
    natsOptions *options = NULL;
    natsStatus s;

    if (make_options(sender, &options)) {
        gw_inbound_note_closed(sender->inbound);
        return;
    }
    gw_inbound_ref(sender->inbound); /* until on_bus_closed */
    s = natsConnection_Connect(&sender->nc, options);
    natsOptions_Destroy(options);
    if (s == NATS_OK) {
        gw_inbound_note_connected(sender->inbound, connection_of(sender->nc, sender->statistics));
    } else if (s != NATS_NOT_YET_CONNECTED) {
        yz_error_spaced("nats_connect_failed", "reason=\"%s\"", natsStatus_GetText(s));
        sender->nc = NULL;
        gw_inbound_note_closed(sender->inbound);
        gw_inbound_unref(sender->inbound);
        return;
    }
    LIST_FOREACH(subscription, &sender->subscriptions, entry)
    {
        subscribe(sender, subscription);
    }
}

static enum yz_err publish(struct gw_sender *sender, const struct command *command)
{
    if (!sender->nc || connection_of(sender->nc, sender->statistics) != command->connection)
        return YZ_BUS_UNAVAILABLE;
    switch (natsConnection_PublishMsg(sender->nc, command->msg)) {
    case NATS_OK:
        return YZ_OK;
    case NATS_MAX_PAYLOAD:
        return YZ_FRAME_TOO_LARGE;
    default:
        return YZ_BUS_UNAVAILABLE;
    }
}

static void execute(struct gw_sender *sender, struct command *command)
{
    switch (command->verb) {
    case PUBLISH:
        command->err = publish(sender, command);
        break;
    case SUBSCRIBE:
        LIST_INSERT_HEAD(&sender->subscriptions, command->subscription, entry);
        subscribe(sender, command->subscription);
        break;
    case UNSUBSCRIBE: /* frees the command, too */
        unsubscribe(sender, command->subscription);
        break;
    case REOPEN:
        close_bus(sender);
        open_bus(sender);
        break;
    }
}

/* Lock held. */
static void set_count(struct gw_sender *sender, size_t count)
{
    sender->count = count;
    atomic_store_explicit(&sender->metrics->bus_queued, (int64_t)count, memory_order_relaxed);
}

/* Up to SENDER_BATCH commands. Lock held. */
static size_t take(struct gw_sender *sender, struct command *batch[])
{
    size_t count = 0;

    while (count < SENDER_BATCH && (batch[count] = STAILQ_FIRST(&sender->queue))) {
        STAILQ_REMOVE_HEAD(&sender->queue, entry);
        if (batch[count]->verb == REOPEN)
            sender->reopening = false;
        count++;
    }
    return count;
}

/* Carry out what was taken. Without the lock; returns the bytes that are done. */
static size_t carry_out(struct gw_sender *sender, struct command *batch[], size_t count,
                        struct command_list *failed)
{
    size_t weight = 0, published = 0;

    for (size_t i = 0; i < count; i++) {
        enum verb verb = batch[i]->verb;

        weight += batch[i]->weight;
        execute(sender, batch[i]);
        if (verb == PUBLISH)
            batch[published++] = batch[i];
    }
    /* Together: nats.c has them freed by a thread of its own, which each of them would wake. */
    for (size_t i = 0; i < published; i++)
        natsMsg_Destroy(batch[i]->msg);
    for (size_t i = 0; i < published; i++) {
        batch[i]->msg = NULL;
        if (batch[i]->err)
            STAILQ_INSERT_TAIL(failed, batch[i], entry);
        else
            free(batch[i]);
    }
    if (sender->ended_count >= ENDED_MAX && !sender->bury_tried)
        bury(sender);
    return weight;
}

/* Lock held, and given up meanwhile. */
static void hurry(struct gw_sender *sender)
{
    if (!sender->nc || yz_clock_mono_us() - sender->hurried_us < HURRY_US)
        return;
    pthread_mutex_unlock(&sender->lock);
    yz_bus_hurry(sender->nc);
    sender->hurried_us = yz_clock_mono_us();
    pthread_mutex_lock(&sender->lock);
}

/* Lock held; it is given up while commands are carried out. false: stopping. */
static bool work(struct gw_sender *sender)
{
    struct command_list failed = STAILQ_HEAD_INITIALIZER(failed);
    struct command *batch[SENDER_BATCH];
    size_t count, weight;

    if (STAILQ_EMPTY(&sender->queue) && !sender->stopping)
        hurry(sender);
    while (STAILQ_EMPTY(&sender->queue) && !sender->stopping) {
        if (sender->ended_count > 0 && !sender->bury_tried) {
            pthread_mutex_unlock(&sender->lock);
            bury(sender);
            pthread_mutex_lock(&sender->lock);
            continue;
        }
        sender->asleep = true;
        pthread_cond_wait(&sender->wanted, &sender->lock);
    }
    sender->asleep = false;
    if (sender->stopping)
        return false;
    count = take(sender, batch);
    pthread_mutex_unlock(&sender->lock);
    weight = carry_out(sender, batch, count, &failed);
    pthread_mutex_lock(&sender->lock);
    sender->bytes -= weight;
    set_count(sender, sender->count - count);
    if (!STAILQ_EMPTY(&failed)) {
        STAILQ_CONCAT(&sender->failed, &failed);
        gw_inbound_note_failed(sender->inbound);
    }
    return true;
}

/* The threads of nats.c, which inherit it, hand each message on to the next one: on a core that
 * they share with the loop each would take it at once from the one that woke it, two changes of
 * thread a message. Like this they take it when that one has nothing left: a quarter of an
 * arrival's CPU. */
static void wait_for_turn(void)
{
    struct sched_param none = {0};

    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
}

static void *run(void *arg)
{
    struct gw_sender *sender = arg;

    wait_for_turn();
    open_bus(sender);
    pthread_mutex_lock(&sender->lock);
    while (work(sender))
        ;
    pthread_mutex_unlock(&sender->lock);
    close_bus(sender);
    return NULL;
}

/* The loop */

/* The end of what was not carried out: as if it had been, without a connection. */
static void discard(struct gw_sender *sender, struct command_list *list)
{
    struct command *command;

    while ((command = STAILQ_FIRST(list))) {
        STAILQ_REMOVE_HEAD(list, entry);
        if (command->verb == PUBLISH) {
            natsMsg_Destroy(command->msg);
            free(command);
        } else if (command->verb == SUBSCRIBE) {
            LIST_INSERT_HEAD(&sender->subscriptions, command->subscription, entry);
        } else if (command->verb == UNSUBSCRIBE) {
            unsubscribe(sender, command->subscription);
        }
    }
}

static void dismantle(struct gw_sender *sender)
{
    struct gw_subscription *subscription;

    discard(sender, &sender->queue);
    discard(sender, &sender->failed);
    while ((subscription = LIST_FIRST(&sender->subscriptions)))
        unsubscribe(sender, subscription);
    free_ended(sender);
    pthread_mutex_destroy(&sender->lock);
    pthread_cond_destroy(&sender->wanted);
    natsStatistics_Destroy(sender->statistics);
    gw_inbound_unref(sender->inbound);
    free(sender);
}

/* Lock held. */
static void rouse(struct gw_sender *sender)
{
    sender->unheard = 0;
    if (sender->asleep)
        pthread_cond_signal(&sender->wanted);
    sender->asleep = false;
}

/* Lock held. */
static void append(struct gw_sender *sender, struct command *command)
{
    STAILQ_INSERT_TAIL(&sender->queue, command, entry);
    sender->bytes += command->weight;
    set_count(sender, sender->count + 1);
    if (++sender->unheard >= SENDER_BATCH)
        rouse(sender);
}

/* false: the queue is full. */
static bool put(struct gw_sender *sender, struct command *command)
{
    bool fits;

    pthread_mutex_lock(&sender->lock);
    fits = sender->count < (size_t)sender->conf->bus_queue_max &&
           sender->bytes + command->weight <= SENDER_BYTES_MAX;
    if (fits)
        append(sender, command);
    pthread_mutex_unlock(&sender->lock);
    if (!fits)
        yz_count(&sender->metrics->bus_queue_refused, 1);
    return fits;
}

/* What is wrong with the settings is said at start. */
static enum yz_err check_options(struct gw_sender *sender)
{
    natsOptions *options = NULL;
    enum yz_err err = make_options(sender, &options);

    if (!err)
        natsOptions_Destroy(options);
    return err;
}

static enum yz_err start(struct gw_sender *sender, const char *inbox)
{
    struct gw_subscription *subscription;
    enum yz_err err = check_options(sender);

    if (err)
        return err;
    if (natsStatistics_Create(&sender->statistics) != NATS_OK)
        return YZ_INTERNAL;
    err = gw_sender_subscribe(sender, SENDER_TAP_INBOX, inbox, &subscription);
    if (!err && pthread_create(&sender->thread, NULL, run, sender) != 0)
        err = YZ_INTERNAL;
    return err;
}

enum yz_err gw_sender_new(const struct yz_conf *conf, const char *inbox, struct gw_inbound *inbound,
                          struct gw_metrics *metrics, struct gw_sender **out)
{
    struct gw_sender *sender = calloc(1, sizeof *sender);
    enum yz_err err;

    if (!sender)
        return YZ_INTERNAL;
    sender->conf = conf;
    sender->metrics = metrics;
    sender->inbound = gw_inbound_ref(inbound);
    sender->reopen.verb = REOPEN;
    STAILQ_INIT(&sender->queue);
    STAILQ_INIT(&sender->failed);
    LIST_INIT(&sender->subscriptions);
    pthread_mutex_init(&sender->lock, NULL);
    pthread_cond_init(&sender->wanted, NULL);
    err = start(sender, inbox);
    if (err)
        dismantle(sender);
    else
        *out = sender;
    return err;
}

void gw_sender_free(struct gw_sender *sender)
{
    if (!sender)
        return;
    pthread_mutex_lock(&sender->lock);
    sender->stopping = true;
    pthread_cond_signal(&sender->wanted);
    pthread_mutex_unlock(&sender->lock);
    pthread_join(sender->thread, NULL);
    dismantle(sender);
}

enum yz_err gw_sender_publish(struct gw_sender *sender, natsMsg *msg, uint64_t connection,
                              uint64_t request)
{
    struct command *command = calloc(1, sizeof *command);

    if (command) {
        *command = (struct command){.verb = PUBLISH,
                                    .msg = msg,
                                    .connection = connection,
                                    .request = request,
                                    .weight = sizeof *command + MESSAGE_OVERHEAD +
                                              (size_t)natsMsg_GetDataLength(msg)};
        if (put(sender, command))
            return YZ_OK;
    }
    natsMsg_Destroy(msg);
    free(command);
    return command ? YZ_BUSY : YZ_INTERNAL;
}

bool gw_sender_half_full(struct gw_sender *sender)
{
    bool half;

    pthread_mutex_lock(&sender->lock);
    half = sender->count >= (size_t)sender->conf->bus_queue_max / 2 ||
           sender->bytes >= SENDER_BYTES_MAX / 2;
    pthread_mutex_unlock(&sender->lock);
    return half;
}

enum yz_err gw_sender_subscribe(struct gw_sender *sender, uint64_t tap, const char *subject,
                                struct gw_subscription **out)
{
    size_t len = strlen(subject);
    struct gw_subscription *subscription = calloc(1, sizeof *subscription + len + 1);

    if (!subscription)
        return YZ_INTERNAL;
    subscription->tap = tap;
    memcpy(subscription->subject, subject, len);
    subscription->subscribe = (struct command){
        .verb = SUBSCRIBE, .subscription = subscription, .weight = sizeof *subscription + len};
    subscription->unsubscribe = (struct command){.verb = UNSUBSCRIBE, .subscription = subscription};
    if (!put(sender, &subscription->subscribe)) {
        free(subscription);
        return YZ_BUSY;
    }
    *out = subscription;
    return YZ_OK;
}

void gw_sender_unsubscribe(struct gw_sender *sender, struct gw_subscription *subscription)
{
    pthread_mutex_lock(&sender->lock);
    append(sender, &subscription->unsubscribe);
    pthread_mutex_unlock(&sender->lock);
}

void gw_sender_flush(struct gw_sender *sender)
{
    pthread_mutex_lock(&sender->lock);
    if (sender->unheard > 0)
        rouse(sender);
    pthread_mutex_unlock(&sender->lock);
}

void gw_sender_reopen(struct gw_sender *sender)
{
    pthread_mutex_lock(&sender->lock);
    if (!sender->reopening)
        append(sender, &sender->reopen);
    sender->reopening = true;
    pthread_mutex_unlock(&sender->lock);
}

size_t gw_sender_failed(struct gw_sender *sender, struct gw_failure *failures, size_t count)
{
    struct command *command;
    size_t taken = 0;

    pthread_mutex_lock(&sender->lock);
    while (taken < count && (command = STAILQ_FIRST(&sender->failed))) {
        STAILQ_REMOVE_HEAD(&sender->failed, entry);
        failures[taken++] = (struct gw_failure){command->request, command->err};
        free(command);
    }
    pthread_mutex_unlock(&sender->lock);
    return taken;
}
