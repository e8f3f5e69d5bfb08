/* doctor.h: the examinations of `yzctl doctor`, one file for each part of the system.
 *
 * Lifetime  a ctl_doctor lives for the one run.
 * Thread    main; each examination blocks for a few seconds at most.
 * Failure   what cannot be examined is itself a finding.
 */
#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include "workers/ctl/database.h"
#include "workers/ctl/finding.h"

#include <nats/nats.h>

struct ctl_doctor {
    const struct ctl *ctl;
    struct ctl_findings findings;
    natsConnection *nc;     /* NULL: NATS is away */
    struct ctl_database db; /* all NULL: the database is away */
    json_t *beats;          /* workers that beat, by id; NULL: not known */
};

/* NATS: reachable, new enough, storing safely. Opens nc. false: JetStream does not answer. */
bool ctl_doctor_bus(struct ctl_doctor *doctor);
/* Streams and buckets: as declared, with room, replicas and their sequence. */
void ctl_doctor_streams(struct ctl_doctor *doctor);
/* The database: reachable, a replica set, writing, indexed. Opens db. */
void ctl_doctor_database(struct ctl_doctor *doctor);
/* Partitions owned and read, events settled, dead letters. Fills beats. */
void ctl_doctor_workers(struct ctl_doctor *doctor);
/* Gateways and workers as they answer on the bus: how many, ready, what they find wrong. */
void ctl_doctor_processes(struct ctl_doctor *doctor);
/* The admin pages that were named. */
void ctl_doctor_pages(struct ctl_doctor *doctor);
/* This host: open files, keys, secret, disk. */
void ctl_doctor_host(struct ctl_doctor *doctor);

/* A finding about a clock. ahead_ms: how far it is ahead of ours, give or take unsure_ms. */
void ctl_doctor_clock(struct ctl_doctor *doctor, const char *whose, int64_t ahead_ms,
                      int64_t unsure_ms);

#endif
