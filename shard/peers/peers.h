/* The processes a shard talks with: its links to routers and to other shards, which shard owns a stream, who asked, and
 * the buffers that frames for all of them go into. What is put leaves when the turn's commit is durable. */
#ifndef SHARD_PEERS_PEERS_H
#define SHARD_PEERS_PEERS_H

#include <event2/event.h>

#include "common/layout.h"
#include "common/link.h"
#include "common/role.h"
#include "shard/peers/release.h"

#define PEERS_ROUTERS_MAX ROLE_ROUTER_SLOTS

/* A link, and which of the successive processes of that index is at its other end. */
struct peer {
    struct link link;
    struct release release;      /* which bytes of link.out may leave */
    unsigned generation;         /* grows when the process is another one, or gone */
    uint64_t timed_id, taken_us; /* the request that comes next is to be timed: its id, and since when it is here */
};

struct peers {
    struct event_base *base;
    unsigned index;       /* of this shard */
    struct layout layout; /* which shard has which streams */
    struct peer routers[PEERS_ROUTERS_MAX];
    struct peer shards[LAYOUT_SHARDS_MAX];
    struct buf self; /* frames of this shard to itself: taken in this turn or the next, without a link */
};

/* Who asked, for answers that come in a later turn: the router may have died in between. */
struct asker {
    unsigned router;
    unsigned generation;
    uint64_t id;
    uint64_t taken_us; /* its time is measured: when it was taken; 0: it is not */
};

/* No link is up. Reads the data folder's layout; ends the process if it cannot be read. */
void peers_init(struct peers *peers, struct event_base *base, const char *data_dir, unsigned index);
void peers_clear(struct peers *peers);

/* A socket to a new process of that index, in place of any earlier one. The index is in range. */
void peers_router_up(struct peers *peers, unsigned router, int fd);
void peers_shard_up(struct peers *peers, unsigned shard, int fd);

/* Closes the link if it is dead. True: it was closed now; whoever asked over it is gone. */
bool peers_reap(struct peer *peer) MUSTUSE;

/* What was put since the last seal belongs to this commit; commits up to `durable` are durable. */
void peers_seal(struct peers *peers, uint64_t commit, uint64_t durable);
/* Writes what belongs to commits up to this one. */
void peers_release(struct peers *peers, uint64_t durable);

/* Routers' later requests stay in their sockets. Then: whether all that came before has an answer, which has left. */
void peers_quiesce_routers(struct peers *peers);
bool peers_routers_answered(const struct peers *peers) MUSTUSE;

/* The shard that owns a stream. */
unsigned peers_owner_of_name(const struct peers *peers, struct slice name);
unsigned peers_owner_of_uid(const struct peers *peers, uint64_t uid);

/* The buffer that frames for a shard go into, NULL while that one is down. For this shard itself it is `self`: nobody
 * has to wake it, because a turn that leaves frames there is followed by another. */
struct buf *peers_out(struct peers *peers, unsigned shard);

/* The buffer for a router that watches something, NULL while it is down. */
struct buf *peers_router_out(struct peers *peers, unsigned router);

/* The buffer for the answer, NULL if the process that asked is gone. */
struct buf *asker_out(struct peers *peers, struct asker asker);

/* The same for an answer that brings a copy of fd along. NULL also if there is no descriptor left for one. */
struct buf *asker_out_enclose(struct peers *peers, struct asker asker, int fd) MUSTUSE;

/* To be put in front of an answer: how long it took, for those who want to know. */
void asker_time(struct buf *out, struct asker asker);

/* The router's next request, which has this id, was taken at that time (monotonic). */
void peers_time(struct peers *peers, unsigned router, uint64_t id, uint64_t taken_us);

/* Who asks with this request, which is taken now. */
struct asker peers_asker(struct peers *peers, unsigned router, uint64_t id);

#endif
