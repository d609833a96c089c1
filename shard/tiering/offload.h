/* Rotation: settled history leaves the database, segment by segment; and
 * small segments of a stream become one. For each: the stream's chunks are read, a turn
 * some; the file's name is put on disk as an orphan; the worker makes the file and puts it where it is kept, and reads
 * it back; then one transaction makes it a segment and no orphan any more; and the chunks go, a turn some. Whoever dies
 * in between leaves an orphan, which is removed, and chunks, which are looked at again because the stream is still due.
 */
#ifndef SHARD_TIERING_OFFLOAD_H
#define SHARD_TIERING_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/store/store_orphan.h"

struct offload;
struct removal;
struct shard;

struct offloads {
    struct offload *first; /* under way, one a stream */
    unsigned count;
    uint64_t last_uid;                      /* the stream that was begun last */
    uint64_t paused_until_ms, pause_ms;     /* after a failure */
    unsigned removing, failed;              /* orphans that are being removed, and that could not be, this round */
    struct removal *waiting, *waiting_last; /* of those being removed: their commits are not durable yet */
    bool round;                             /* all orphans are gone through, those after this one are next: */
    struct orphan_place place;
    bool visiting; /* some are being looked at just now */
};

void offload_turn(struct shard *shard);

/* By the tick: orphans are removed. */
void offload_upkeep(struct shard *shard);

/* After the worker was stopped. */
void offload_clear(struct shard *shard);

#endif
