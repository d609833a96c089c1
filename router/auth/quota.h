/* How much projects use, as their shards say, and whether that is more than they may. Only projects of the registry
 * have quotas, and only those that have some, or live readers, or whose tally was asked for, are kept track of. */
#ifndef ROUTER_AUTH_QUOTA_H
#define ROUTER_AUTH_QUOTA_H

#include <stdint.h>

#include "common/attr.h"
#include "common/errors.h"
#include "common/project.h"
#include "common/wire.h"
#include "router/conn/suspend.h"

struct request;
struct router;

/* What one project uses, over all shards and routers. Kept as long as the process lives. */
struct tally {
    char *project;
    uint64_t hash;
    struct tally_part *parts; /* a shard each */
    unsigned unheard;         /* shards that have not said anything yet */
    uint64_t streams, bytes;
    uint64_t readers, readers_elsewhere; /* of this router and of the others */
    int64_t appends_left;                /* of a second, in thousandths; refilled at refilled_ms */
    uint64_t refilled_ms;
    struct suspended_list waiting; /* until every shard was heard */
    struct tally *next, *changed_next;
    bool changed; /* readers, since the shard was told */
};

struct tallies {
    struct router *router;
    struct tally **table; /* `buckets` chains; a power of two */
    size_t buckets, count;
    struct tally *changed;
};

void tallies_init(struct tallies *tallies, struct router *router);

/* The tally of a project that the registry has, or NULL. */
struct tally *tally_of(struct tallies *tallies, struct slice project);

/* What a request about this stream has to wait for: its project's tally, if that has quotas. NULL: nothing. */
struct suspended_list *quota_wait(struct request *request, struct slice name) MUSTUSE;
/* The same for a request that asks for the tally. */
struct suspended_list *tally_wait(struct request *request, struct slice project) MUSTUSE;

/* Whether the project may have so many bytes more, by an append, which is counted, or in a new stream. The error, if it
 * is one, is for quota_refuse(). */
enum error quota_append(struct request *request, struct slice name, size_t bytes) MUSTUSE;
enum error quota_create(struct request *request, struct slice name, size_t bytes) MUSTUSE;
enum error quota_read_live(struct request *request, struct slice name) MUSTUSE;

/* Answers with QUOTA_EXCEEDED or QUOTA_RATE_EXCEEDED, when to come back, and what is left of the quotas of the project
 * that was asked about last. */
void quota_refuse(struct request *request, enum error error);

/* A live reader of this stream begins; NULL if nobody counts it. And it ends. */
struct tally *tally_reader(struct tallies *tallies, struct slice name);
void tally_reader_gone(struct tallies *tallies, struct tally *tally);

/* Shards: one is there (again), one has spoken; and what routers have to tell them leaves. */
void tallies_shard_up(struct tallies *tallies, unsigned shard);
void tallies_heard(struct tallies *tallies, unsigned shard, const struct wire_usage *m);
void tallies_tell(struct tallies *tallies);

#endif
