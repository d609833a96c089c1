/* A shard: one event loop, one database, the streams of its slots. It speaks frames and nothing about HTTP.
 *
 * A turn takes every frame that has arrived and puts each answer into its link's out buffer; then it seals what it
 * wrote as one commit. Answers leave when that commit is durable, so nobody hears of anything that a crash can take
 * back. */
#ifndef SHARD_H
#define SHARD_H

#include <event2/event.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/errors.h"
#include "common/list.h"
#include "common/metrics.h"
#include "common/role.h"
#include "common/slice.h"
#include "shard/backup/backup.h"
#include "shard/fanout/bus.h"
#include "shard/fanout/source.h"
#include "shard/peers/ask.h"
#include "shard/peers/peers.h"
#include "shard/store/disk.h"
#include "shard/store/store_segment.h"
#include "shard/streams/page_file.h"
#include "shard/streams/streams.h"
#include "shard/tiering/offload.h"
#include "shard/tiering/orphans.h"

/* What is asked of other shards: each kind has its questions, its limit and its answers. */
enum ask_place {
    ASK_FORK,   /* the source of a fork that is being made: shard/handlers/fork.c */
    ASK_READ,   /* inherited bytes: shard/handlers/remote_read.c */
    ASK_ATTACH, /* a source of a subscription: shard/handlers/subscribe.c */
    ASK_CYCLE,  /* what a stream is subscribed to: shard/handlers/subscribe_cycle.c */
    ASK_KINDS
};

struct shard {
    struct role *role;
    struct metrics *metrics; /* NULL in tests */
    struct event_base *base;
    const struct config *cfg;
    struct store *store;
    struct streams streams;

    struct peers peers;
    struct disk disk;

    struct asks asks[ASK_KINDS];
    struct list waiting_reads; /* for a turn that has time: shard/handlers/read.c */
    struct list waiting_lists; /* shard/handlers/listing.c */
    struct page_files page_files;
    struct worker worker;
    struct objects objects;
    struct offloads offloads;
    struct orphans orphans;
    struct backup backup;
    struct segment_sums segment_sums; /* of the round under way */
    struct bus bus;
    struct sources sources;
    unsigned subscribing_count; /* subscriptions that are being made */

    uint64_t now_ms;                     /* Unix time of this turn; the clock may be set */
    uint64_t ticks_ms;                   /* monotonic: what durations in memory are measured by */
    size_t turn_appends, turn_bytes;     /* of this turn */
    size_t turn_read;                    /* bytes of pages read from the store in it */
    uint64_t journaled, journaled_bytes; /* entries since a generation of the journal last began to be flushed */
    uint64_t written_ms;                 /* in ticks, as the next two are: when the last append was */
    uint64_t flush_due_ms;               /* when what waits in the journal is flushed at the latest; 0: nothing does */
    uint64_t upkeep_ms;                  /* when the rarer upkeep is due */
    size_t evicted;                      /* streams that left memory since it was last given back, */
    uint64_t appended;                   /* and bytes that were appended */
    struct event *tick, *wake;
    bool turn_again; /* work is left over: another turn follows at once. The loop's callbacks need not set it */
    bool tick_due, stopping;
    uint64_t leave_until_ms; /* monotonic: it leaves when all is answered, and then at the latest; 0: it stays */
    bool vacuums;            /* what the database does not use is given back to a full disk */
    /* Batches of the journal, by seq: being flushed (0: none are), flushed, and dropped. */
    int64_t flushing_upto, flushed_upto, dropped_upto;
};

#endif
