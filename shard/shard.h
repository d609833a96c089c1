/* A shard: one event loop, one database, the streams of its slots. It speaks frames and nothing about HTTP.
 *
 * A turn takes every frame that has arrived and puts each answer into its link's out buffer; then it commits; then it
 * flushes the links. So nobody hears of anything that is not on disk, and while one commit runs the next turn's frames
 * gather in the sockets: that is the group commit. */
#ifndef SHARD_H
#define SHARD_H

#include <event2/event.h>

#include "common/config.h"
#include "common/errors.h"
#include "common/layout.h"
#include "common/link.h"
#include "common/metrics.h"
#include "common/role.h"
#include "shard/backup/backup.h"
#include "shard/fanout/bus.h"
#include "shard/fanout/estuary.h"
#include "shard/streams/page_file.h"
#include "shard/streams/stream.h"
#include "shard/tiering/offload.h"

#define SHARD_ROUTERS_MAX ROLE_ROUTER_PLACES

/* A data socket and which of its successive processes is at the other end. */
struct peer {
    struct link link;
    unsigned generation;
    uint64_t timed_id, taken_us; /* the request that comes next is to be timed: its id, and since when it is here */
};

/* Who asked, for answers that come in a later turn: the router may have died in between. */
struct asker {
    unsigned router;
    unsigned generation;
    uint64_t id;
    uint64_t taken_us; /* its time is measured: when it was taken; 0: it is not */
};

struct cold_wait;    /* shard/segments/cold.c */
struct fork_making;  /* shard/handlers/fork.c */
struct remote_read;  /* shard/handlers/read.c */
struct subscribing;  /* shard/handlers/subscribe.c */
struct waiting_list; /* shard/handlers/list.c */
struct waiting_read;

struct shard {
    struct role *role;
    struct metrics *metrics; /* NULL in tests */
    struct event_base *base;
    const struct config *cfg;
    unsigned index;
    struct layout layout;
    struct store *store;
    struct streams streams;

    struct peer routers[SHARD_ROUTERS_MAX];
    struct peer shards[LAYOUT_SHARDS_MAX];
    struct buf self; /* frames to this shard itself, taken in the next turn */

    struct fork_making *forks_making;
    struct remote_read *remote_reads;
    struct waiting_read *waiting_reads, **waiting_reads_end;
    struct waiting_list *waiting_lists, **waiting_lists_end;
    struct page_files page_files;
    struct worker worker;
    struct objects objects;
    struct offloads offloads;
    struct backup backup;
    struct segment_sums segment_sums; /* of the round under way */
    struct cold_wait *cold_waits;
    unsigned cold_wait_count;
    struct bus bus;
    struct inflows inflows;
    struct subscribing *subscribing;
    unsigned subscribing_count;
    unsigned forks_making_count, remote_reads_count;
    uint64_t last_id; /* of what was asked of other shards; begins anywhere, so that late answers to a predecessor match
                         nothing */

    uint64_t now_ms;                     /* Unix time of this turn; the clock may be set */
    uint64_t ticks_ms;                   /* monotonic: what durations in memory are measured by */
    size_t turn_appends, turn_bytes;     /* of this turn */
    size_t turn_read;                    /* bytes of pages read from the store in it */
    uint64_t journaled, journaled_bytes; /* entries since a generation of the log was last chosen to be settled */
    uint64_t written_ms;                 /* in ticks, as the next two are: when the last append was */
    uint64_t flush_due_ms;               /* when what waits in the log is settled at the latest; 0: nothing does */
    uint64_t upkeep_ms;                  /* when the rarer upkeep is due */
    size_t evicted;                      /* streams that left memory since it was last given back */
    struct event *tick, *again;
    bool tick_due, stopping;
    uint64_t leave_until_ms; /* monotonic: it leaves when all is answered, and then at the latest; 0: it stays */
    bool disk_looked;        /* it was looked what is free, */
    uint64_t disk_left;      /* which was so much, */
    size_t disk_unlooked;    /* and so many bytes were appended since */
    bool disk_full;          /* less than shard.disk_reserve is free: no appends */
    bool disk_stuck;         /* the disk takes nothing at all: no deletes either */
    bool vacuums;            /* what the database does not use is given back to a full disk */
    /* Batches of the log, by seq: being settled (0: none are), settled, and dropped. */
    int64_t flushing_upto, flushed_upto, dropped_upto;
};

/* The out buffer of shard `index` (this one's own included), or NULL while it is down. */
struct buf *shard_out(struct shard *shard, unsigned index);

/* The shard that owns a stream. */
unsigned shard_owner_of_name(const struct shard *shard, struct slice name);
unsigned shard_owner_of_uid(const struct shard *shard, uint64_t uid);

/* The out buffer of the router that asked, or NULL if that process is gone. */
struct buf *asker_out(struct shard *shard, struct asker asker);

/* To be put there in front of the answer: how long that took, for those who want to know. */
void asker_time(struct buf *out, struct asker asker);

/* This request, which comes next, was taken at that time. */
void shard_time(struct shard *shard, unsigned router, uint64_t id, uint64_t taken_us);

/* Runs another turn at once, for work left over. */
void shard_again(struct shard *shard);

/* No more is taken, for lack of room on the disk or for too much that should be in segments. */
bool shard_is_full(const struct shard *shard) MUSTUSE;

/* A frame of a router or a shard that was kept is taken as if it came now. */
void shard_retake(struct shard *shard, bool router, unsigned index, struct slice frame);

/* The live stream of a name, as a request sees it: an expired one is removed on the way. NULL: *error is
 * STREAM_NOT_FOUND or STREAM_GONE. */
struct stream *shard_stream(struct shard *shard, struct slice name, enum error *error);

#endif
