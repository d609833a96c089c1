/* The links to the shards. When a shard dies, what can be repeated without harm, or had not left yet, is sent to its
 * successor; the others get an answer that says that the outcome is unknown. Requests for a shard that is away wait, up
 * to router.shard_wait. */
#ifndef ROUTER_SHARDS_SHARDS_H
#define ROUTER_SHARDS_SHARDS_H

#include "common/attr.h"
#include "common/layout.h"
#include "common/link.h"
#include "common/list.h"

struct router;
struct shard_request;
struct wire_event;
struct wire_usage;
struct wire_watch_usage;

/* Functions for what a shard sends without being asked. router.c sets them at the start. */
struct shards_events {
    void (*event)(struct router *router, const struct wire_event *m);                 /* to a watched stream */
    void (*usage)(struct router *router, unsigned shard, const struct wire_usage *m); /* of a watched project */
    void (*up)(struct router *router, unsigned shard);   /* it is there (again), and watches nothing */
    void (*down)(struct router *router, unsigned shard); /* before requests that are lost with it fail */
};

struct shard_peer {
    struct link link;
    struct list sent;  /* requests, in the order of the link */
    struct list queue; /* wait for the link */
    struct list reads; /* wait for the link or for reads before them */
    size_t reads_out;  /* reads in sent */
    size_t held;       /* bytes of all frames of these lists */
    uint64_t put;      /* bytes put to the link since it was opened */
};

struct shards {
    struct router *router;
    const struct shards_events *events;
    struct layout layout;
    struct shard_peer *peers;     /* LAYOUT_SHARDS_MAX */
    unsigned count;               /* one past the highest that was ever up */
    struct shard_request **slots; /* by the low half of an id */
    uint32_t slot_count;
    struct shard_request *unused; /* by `owner` */
};

/* Ends the process if the data folder's layout cannot be read. */
void shards_init(struct shards *shards, struct router *router, const struct shards_events *events);

/* The shard that has the stream, or that speaks for the project, of this name. */
unsigned shards_of(const struct shards *shards, struct slice name);

/* A frame without an answer; nothing happens if the shard is away, which has then forgotten all watches. */
void shards_unwatch(struct shards *shards, unsigned shard, struct slice name, uint64_t watch);

/* The same for a project's usage; a shard that is away is told when it is there again (project_usage.h). */
void shards_watch_usage(struct shards *shards, unsigned shard, const struct wire_watch_usage *m);

/* A socket to a shard, perhaps in place of an earlier one. */
void shards_peer(struct shards *shards, unsigned shard, int fd);

/* The steps of a turn: what the shards have sent is handled; what was put to them leaves. */
void shards_receive(struct shards *shards);
void shards_flush(struct shards *shards);

#endif
