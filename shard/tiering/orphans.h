/* Files that no stream needs are removed from where segments are kept: those of segments that were merged, dropped by
 * retention or deleted with their stream, and those that a crash left half made. */
#ifndef SHARD_TIERING_ORPHANS_H
#define SHARD_TIERING_ORPHANS_H

#include <stdbool.h>

#include "common/list.h"
#include "shard/store/store_orphan.h"

struct shard;

struct orphans {
    unsigned removing;         /* orphans that are being removed */
    unsigned failed;           /* that could not be, this round */
    bool round;                /* all orphans are gone through; the next are behind `place` */
    struct orphan_place place; /* the last that was looked at */
    bool visiting;             /* some are being looked at just now */
    struct list waiting;       /* of those being removed: their commits are not durable yet */
};

void orphans_init(struct shard *shard);
void orphans_clear(struct shard *shard);

/* Once a turn: files go whose commits are durable by now. */
void orphans_turn(struct shard *shard);

/* By the tick: more orphans are removed. */
void orphans_upkeep(struct shard *shard);

#endif
