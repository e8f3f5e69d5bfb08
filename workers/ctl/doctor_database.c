#include "workers/ctl/doctor.h"

#include "common/clock.h"
#include "workers/ctl/probe.h"

#include <inttypes.h>
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <string.h>

#define WRITE_WARN_MS 250
#define OVERDUE_MS    30000
#define LINES_SHOWN   3

#define SERVER_AUTHENTICATION_FAILED 18

/* hello from a client of our own: the store's functions do not show it. */
static bool say_hello(const char *uri_text, const char *options, bson_t *reply, int64_t *asked_ms,
                      bson_error_t *error)
{
    mongoc_uri_t *uri = mongoc_uri_new(uri_text);
    mongoc_client_t *client = NULL;
    bson_t command = BSON_INITIALIZER;
    int64_t begin;
    bool good = false;

    bson_init(reply);
    if (uri) {
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 2000);
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, 2000);
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 2000);
        if (options)
            mongoc_uri_set_option_as_bool(uri, options, true);
        client = mongoc_client_new_from_uri(uri);
    }
    if (client) {
        bson_destroy(reply);
        BSON_APPEND_INT32(&command, "hello", 1);
        mongoc_client_command_simple(client, "admin", &command, NULL, reply, NULL);
        begin = yz_clock_wall_ms(); /* again, now that the connection stands */
        bson_destroy(reply);
        good = mongoc_client_command_simple(client, "admin", &command, NULL, reply, error);
        *asked_ms = (begin + yz_clock_wall_ms()) / 2;
        mongoc_client_destroy(client);
    }
    bson_destroy(&command);
    if (uri)
        mongoc_uri_destroy(uri);
    return good;
}

static const char *text_in(const bson_t *document, const char *key)
{
    bson_iter_t field;

    return bson_iter_init_find(&field, document, key) && BSON_ITER_HOLDS_UTF8(&field)
               ? bson_iter_utf8(&field, NULL)
               : "";
}

static bool is_primary(const bson_t *hello)
{
    bson_iter_t field;

    return bson_iter_init_find(&field, hello, "isWritablePrimary") && bson_iter_as_bool(&field);
}

/* It answers, but not as the primary of the set that was asked for. */
static void examine_set(struct ctl_doctor *doctor, const char *host, const char *named,
                        const bson_t *hello)
{
    const char *set = text_in(hello, "setName");

    if (*set && named && strcmp(set, named) == 0)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_database_no_primary,
                  "%s answers, %s, but the set %s has no primary that takes writes", host,
                  is_primary(hello) ? "as primary" : "not as primary", set);
    else
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_database_set,
                  "%s answers, as %s%s; YZ_MONGODB_URI asks for %s", host,
                  *set ? "a member of the set " : "no member of a replica set", set,
                  named ? named : "none");
}

static bool is_login_refused(const bson_error_t *error)
{
    return error->code == SERVER_AUTHENTICATION_FAILED ||
           (error->domain == MONGOC_ERROR_CLIENT &&
            error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE);
}

/* It is there, and does not take the user or the password. */
static bool examine_login(struct ctl_doctor *doctor)
{
    bson_error_t error = {0};
    int64_t asked_ms;
    bson_t reply;
    bool refused = !say_hello(doctor->ctl->conf->mongodb_uri, NULL, &reply, &asked_ms, &error) &&
                   is_login_refused(&error);

    bson_destroy(&reply);
    if (refused)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_database_login, "it refuses the login: %s",
                  error.message);
    return refused;
}

/* The first host alone, whatever the name of its set. */
static void examine_refusal(struct ctl_doctor *doctor)
{
    mongoc_uri_t *uri = mongoc_uri_new(doctor->ctl->conf->mongodb_uri);
    const mongoc_host_list_t *host = uri ? mongoc_uri_get_hosts(uri) : NULL;
    const char *name = host ? host->host_and_port : "what YZ_MONGODB_URI names";
    const char *reason = "it has no address";
    struct ctl_address address;
    int64_t asked_ms;
    bson_error_t error;
    char direct[384];
    bson_t reply;

    snprintf(direct, sizeof direct, "mongodb://%s/%s", host ? host->host_and_port : "",
             uri && mongoc_uri_get_tls(uri) ? "?tls=true" : "");
    if (host && say_hello(direct, MONGOC_URI_DIRECTCONNECTION, &reply, &asked_ms, &error)) {
        examine_set(doctor, name, mongoc_uri_get_replica_set(uri), &reply);
        bson_destroy(&reply);
    } else if (host && ctl_address_parse(name, "27017", &address) &&
               ctl_probe_port(&address, &reason)) {
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_database_silent,
                  "%s takes a connection but does not answer", name);
    } else {
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_database_unreachable, "%s does not answer: %s",
                  name, reason);
    }
    if (uri)
        mongoc_uri_destroy(uri);
}

static void examine_hello(struct ctl_doctor *doctor)
{
    bson_iter_t field, hosts;
    bson_error_t error = {0};
    int64_t asked_ms = 0;
    bson_t reply;
    int count = 0;

    if (say_hello(doctor->ctl->conf->mongodb_uri, NULL, &reply, &asked_ms, &error)) {
        if (bson_iter_init_find(&field, &reply, "hosts") && bson_iter_recurse(&field, &hosts)) {
            while (bson_iter_next(&hosts))
                count++;
        }
        if (count < 2)
            ctl_advised(&doctor->findings, CTL_database_single, "replica set %s of one",
                        text_in(&reply, "setName"));
        else
            ctl_found(&doctor->findings, CTL_FINE, CTL_database_single, "replica set %s of %d",
                      text_in(&reply, "setName"), count);
        if (bson_iter_init_find(&field, &reply, "localTime"))
            ctl_doctor_clock(doctor, "the database", bson_iter_date_time(&field) - asked_ms, 0);
    }
    bson_destroy(&reply);
}

/* `attempts` forgets its documents by itself. */
static void examine_write(struct ctl_doctor *doctor)
{
    bson_t update = BSON_INITIALIZER, set;
    int64_t begin = yz_clock_mono_ms(), ms;
    enum yz_err err;

    bson_append_document_begin(&update, "$set", 4, &set);
    BSON_APPEND_UTF8(&set, "tenant", "_");
    BSON_APPEND_INT64(&set, "evt_seq", 0);
    BSON_APPEND_DATE_TIME(&set, "at", yz_clock_wall_ms());
    bson_append_document_end(&update, &set);
    err = wk_store_update(doctor->db.store, "attempts", "_|doctor", &update, true);
    ms = yz_clock_mono_ms() - begin;
    bson_destroy(&update);
    if (err)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_database_write_fails,
                  "a majority write fails: %s", yz_err_code(err));
    else
        ctl_found(&doctor->findings, ms > WRITE_WARN_MS ? CTL_WARNING : CTL_FINE, CTL_database_slow,
                  "a majority write takes %" PRId64 " ms", ms);
}

static bool on_overdue(void *arg, const bson_t *row)
{
    bson_iter_t field;

    if (bson_iter_init_find(&field, row, "due_at"))
        *(int64_t *)arg = bson_iter_date_time(&field);
    return false;
}

static void examine_outbox(struct ctl_doctor *doctor)
{
    bson_t *filter = BCON_NEW("state", BCON_UTF8("due"), "due_at", "{", "$lte",
                              BCON_DATE_TIME(yz_clock_wall_ms() - OVERDUE_MS), "}");
    bson_t *opts = BCON_NEW("sort", "{", "due_at", BCON_INT32(1), "}", "limit", BCON_INT64(1));
    int64_t due_ms = 0;

    if (wk_store_find(doctor->db.store, "outbox", filter, opts, on_overdue, &due_ms) == YZ_OK)
        ctl_found_since(&doctor->findings, due_ms ? CTL_WARNING : CTL_FINE, CTL_outbox_overdue,
                        due_ms, "%s row of the outbox is overdue", due_ms ? "a" : "no");
    bson_destroy(opts);
    bson_destroy(filter);
}

struct missing {
    struct ctl_doctor *doctor;
    int count;
};

static void on_missing(void *arg, const char *line)
{
    struct missing *missing = arg;

    if (missing->count++ < LINES_SHOWN)
        ctl_found(&missing->doctor->findings, CTL_BROKEN, CTL_indexes_missing, "%s", line);
}

static void examine_indexes(struct ctl_doctor *doctor)
{
    struct missing missing = {.doctor = doctor};
    enum yz_err err = wk_store_apply_indexes(doctor->db.store, true, on_missing, &missing);

    if (err)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_indexes_unreadable,
                  "collections and indexes cannot be read: %s", yz_err_code(err));
    else if (missing.count == 0)
        ctl_found(&doctor->findings, CTL_FINE, CTL_indexes_missing,
                  "collections and indexes as declared");
    else if (missing.count > LINES_SHOWN)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_indexes_missing, "%d more of the kind",
                  missing.count - LINES_SHOWN);
}

void ctl_doctor_database(struct ctl_doctor *doctor)
{
    struct ctl_database *db = &doctor->db;

    if (wk_pool_new(doctor->ctl->conf, &db->pool)) {
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_database_uri,
                  "YZ_MONGODB_URI is no connection string");
        return;
    }
    if (wk_pool_ping(db->pool)) {
        if (!examine_login(doctor))
            examine_refusal(doctor);
        ctl_database_close(db);
        return;
    }
    db->store = wk_store_pop(db->pool);
    examine_hello(doctor);
    examine_write(doctor);
    examine_indexes(doctor);
    examine_outbox(doctor);
}
