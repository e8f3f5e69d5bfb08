#include "gateway/conceal.h"

#include "common/log.h"
#include "schemas/receipt_hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct job {
    uv_work_t work;
    TAILQ_ENTRY(job) entry;
    struct gw_conceal *conceal; /* NULL: it is gone, nobody waits */
    gw_concealed_fn *on_done;
    void *arg;
    uint8_t salt[crypto_pwhash_SALTBYTES];
    char receipt[YZ_RECEIPT_DIGITS + 1];
    char concealed[YZ_RECEIPT_CONCEALED_MAX];
    enum yz_err err;
};

TAILQ_HEAD(jobs, job);

struct gw_conceal {
    uv_loop_t *loop;
    struct yz_receipt_key key;
    struct jobs waiting, running;
    size_t waiting_count, running_count;
};

enum yz_err gw_conceal_new(const struct yz_conf *conf, uv_loop_t *loop, struct gw_conceal **out)
{
    struct gw_conceal *conceal = calloc(1, sizeof *conceal);
    const char *reason = "";
    enum yz_err err = YZ_INTERNAL;

    if (conceal)
        err = yz_receipt_key_read(conf->receipt_secret_file, &conceal->key, &reason);
    if (err) {
        yz_error("receipt_secret_unusable", "setting=receipt_secret_file reason=\"%s\"", reason);
        free(conceal);
        return err;
    }
    conceal->loop = loop;
    TAILQ_INIT(&conceal->waiting);
    TAILQ_INIT(&conceal->running);
    *out = conceal;
    return YZ_OK;
}

static void free_job(struct job *job)
{
    sodium_memzero(job, sizeof *job);
    free(job);
}

/* In a thread of the pool. */
static void compute(uv_work_t *work)
{
    struct job *job = work->data;

    job->err = yz_receipt_hash(job->receipt, job->salt, job->concealed);
    sodium_memzero(job->receipt, sizeof job->receipt);
}

static void start_next(struct gw_conceal *conceal);

static void on_computed(uv_work_t *work, int status)
{
    struct job *job = work->data;
    struct gw_conceal *conceal = job->conceal;

    if (conceal) {
        TAILQ_REMOVE(&conceal->running, job, entry);
        conceal->running_count--;
        start_next(conceal);
        job->on_done(job->arg, status < 0 ? YZ_BUSY : job->err, job->concealed);
    }
    free_job(job);
}

static void start_next(struct gw_conceal *conceal)
{
    struct job *job;

    while (conceal->running_count < CONCEAL_AT_ONCE && (job = TAILQ_FIRST(&conceal->waiting))) {
        TAILQ_REMOVE(&conceal->waiting, job, entry);
        conceal->waiting_count--;
        TAILQ_INSERT_TAIL(&conceal->running, job, entry);
        conceal->running_count++;
        (void)uv_queue_work(conceal->loop, &job->work, compute, on_computed);
    }
}

enum yz_err gw_conceal(struct gw_conceal *conceal, const char *tenant, const char *receipt,
                       gw_concealed_fn *on_done, void *arg)
{
    struct job *job;

    if (conceal->waiting_count >= CONCEAL_QUEUE_MAX)
        return YZ_BUSY;
    job = calloc(1, sizeof *job);
    if (!job)
        return YZ_INTERNAL;
    job->work.data = job;
    job->conceal = conceal;
    job->on_done = on_done;
    job->arg = arg;
    snprintf(job->receipt, sizeof job->receipt, "%s", receipt);
    yz_receipt_salt(&conceal->key, tenant, job->salt);
    TAILQ_INSERT_TAIL(&conceal->waiting, job, entry);
    conceal->waiting_count++;
    start_next(conceal);
    return YZ_OK;
}

size_t gw_conceal_pending(const struct gw_conceal *conceal)
{
    return conceal->waiting_count + conceal->running_count;
}

void gw_conceal_give_up(struct gw_conceal *conceal)
{
    struct job *job;

    while ((job = TAILQ_FIRST(&conceal->running))) {
        TAILQ_REMOVE(&conceal->running, job, entry);
        conceal->running_count--;
        job->conceal = NULL; /* the pool has it; freed when that is done */
        job->on_done(job->arg, YZ_DRAINING, "");
    }
    while ((job = TAILQ_FIRST(&conceal->waiting))) {
        TAILQ_REMOVE(&conceal->waiting, job, entry);
        conceal->waiting_count--;
        job->on_done(job->arg, YZ_DRAINING, "");
        free_job(job);
    }
}

void gw_conceal_free(struct gw_conceal *conceal)
{
    if (!conceal)
        return;
    gw_conceal_give_up(conceal);
    sodium_memzero(conceal, sizeof *conceal);
    free(conceal);
}
