#include "workers/ctl/doctor.h"

#include "common/clock.h"

#include <inttypes.h>
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <string.h>

#define AREA          "database"
#define WRITE_WARN_MS 100
#define LINES_SHOWN   3

/* hello from a client of our own: the store's functions do not show it. */
static bool say_hello(const char *uri_text, const char *options, bson_t *reply, int64_t *asked_ms)
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
        good = mongoc_client_command_simple(client, "admin", &command, NULL, reply, NULL);
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

/* The first host alone, whatever the name of its set. */
static void examine_refusal(struct ctl_doctor *doctor)
{
    mongoc_uri_t *uri = mongoc_uri_new(doctor->ctl->conf->mongodb_uri);
    const mongoc_host_list_t *host = uri ? mongoc_uri_get_hosts(uri) : NULL;
    const char *named = uri ? mongoc_uri_get_replica_set(uri) : NULL;
    char direct[384], set[80] = "";
    int64_t asked_ms;
    bson_t reply;

    snprintf(direct, sizeof direct, "mongodb://%s/%s", host ? host->host_and_port : "",
             uri && mongoc_uri_get_tls(uri) ? "?tls=true" : "");
    if (host && say_hello(direct, MONGOC_URI_DIRECTCONNECTION, &reply, &asked_ms)) {
        snprintf(set, sizeof set, "%s", text_in(&reply, "setName"));
        ctl_found(&doctor->findings, CTL_BROKEN, AREA,
                  *set ? "put replicaSet=<its name> into YZ_MONGODB_URI"
                       : "start it as a replica set (mongod --replSet rs0, rs.initiate())",
                  "%s answers, as %s%s; YZ_MONGODB_URI asks for %s", host->host_and_port,
                  *set ? "a member of the set " : "no member of a replica set", set,
                  named ? named : "none");
        bson_destroy(&reply);
    } else {
        ctl_found(&doctor->findings, CTL_BROKEN, AREA,
                  "is it running? scripts/up starts one; YZ_MONGODB_URI names another",
                  "%s does not answer", host ? host->host_and_port : "what YZ_MONGODB_URI names");
    }
    if (uri)
        mongoc_uri_destroy(uri);
}

static void examine_hello(struct ctl_doctor *doctor)
{
    bson_iter_t field, hosts;
    int64_t asked_ms = 0;
    bson_t reply;
    int count = 0;

    if (say_hello(doctor->ctl->conf->mongodb_uri, NULL, &reply, &asked_ms)) {
        if (bson_iter_init_find(&field, &reply, "hosts") && bson_iter_recurse(&field, &hosts)) {
            while (bson_iter_next(&hosts))
                count++;
        }
        ctl_found(&doctor->findings, CTL_FINE, AREA,
                  count < 2 ? "in production run three members: one node has no second copy" : NULL,
                  "replica set %s of %d", text_in(&reply, "setName"), count);
        if (bson_iter_init_find(&field, &reply, "localTime"))
            ctl_doctor_clock(doctor, AREA, bson_iter_date_time(&field) - asked_ms);
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
        ctl_found(&doctor->findings, CTL_BROKEN, AREA,
                  "has the user readWrite on the database? Is a majority of the set there? Is its "
                  "disk full? Its log says",
                  "a majority write fails: %s", yz_err_code(err));
    else
        ctl_found(&doctor->findings, ms > WRITE_WARN_MS ? CTL_WARNING : CTL_FINE, AREA,
                  ms > WRITE_WARN_MS ? "its disk is slow, or a member of the set is behind" : NULL,
                  "a majority write takes %" PRId64 " ms", ms);
}

struct missing {
    struct ctl_doctor *doctor;
    int count;
};

static void on_missing(void *arg, const char *line)
{
    struct missing *missing = arg;

    if (missing->count++ < LINES_SHOWN)
        ctl_found(&missing->doctor->findings, CTL_BROKEN, AREA, "yzctl apply does it", "%s", line);
}

static void examine_indexes(struct ctl_doctor *doctor)
{
    struct missing missing = {.doctor = doctor};
    enum yz_err err = wk_store_apply_indexes(doctor->db.store, true, on_missing, &missing);

    if (err)
        ctl_found(&doctor->findings, CTL_BROKEN, AREA, "has the user the right to list indexes?",
                  "collections and indexes cannot be read: %s", yz_err_code(err));
    else if (missing.count == 0)
        ctl_found(&doctor->findings, CTL_FINE, AREA, NULL, "collections and indexes as declared");
    else if (missing.count > LINES_SHOWN)
        ctl_found(&doctor->findings, CTL_BROKEN, AREA, "yzctl apply does it", "%d more of the kind",
                  missing.count - LINES_SHOWN);
}

void ctl_doctor_database(struct ctl_doctor *doctor)
{
    struct ctl_database *db = &doctor->db;

    if (wk_pool_new(doctor->ctl->conf, &db->pool)) {
        ctl_found(&doctor->findings, CTL_BROKEN, AREA, "mongodb://host:port/?replicaSet=name",
                  "YZ_MONGODB_URI is no connection string");
        return;
    }
    if (wk_pool_ping(db->pool)) {
        examine_refusal(doctor);
        ctl_database_close(db);
        return;
    }
    db->store = wk_store_pop(db->pool);
    examine_hello(doctor);
    examine_write(doctor);
    examine_indexes(doctor);
}
