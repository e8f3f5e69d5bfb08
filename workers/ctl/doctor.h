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
};

/* NATS: reachable, new enough, storing safely; streams and buckets as declared. Opens nc. */
void ctl_doctor_bus(struct ctl_doctor *doctor);
void ctl_doctor_streams(struct ctl_doctor *doctor);
/* The database: reachable, a replica set, writing, indexed. Opens db. */
void ctl_doctor_database(struct ctl_doctor *doctor);
/* Workers alive, partitions owned, events settled, dead letters; admin pages. */
void ctl_doctor_workers(struct ctl_doctor *doctor);
void ctl_doctor_pages(struct ctl_doctor *doctor);
/* This host: open files, keys, secret, disk. */
void ctl_doctor_host(struct ctl_doctor *doctor);

/* A finding about another host's clock. ahead_ms: how far it is ahead of ours, give or take half
 * the round trip. */
void ctl_doctor_clock(struct ctl_doctor *doctor, const char *area, int64_t ahead_ms);

#endif
