/* READ: which reads begin now, which wait for the next turn, and which for a segment. */
#ifndef SHARD_HANDLERS_READ_H
#define SHARD_HANDLERS_READ_H

#include "common/slice.h"

struct outcome;
struct reading;
struct shard;

void read_init(struct shard *shard);

/* The step of a turn: goes on with the reads that the last one had no time for. */
void read_turn(struct shard *shard);

/* By the tick: forgets pages that nobody asks for again. */
void read_tick(struct shard *shard);

void read_clear(struct shard *shard);

/* Begins a reading of the stream with this name, or goes on with one whose search has been in other shards. Takes the
 * reading's page. */
void read_begin(struct shard *shard, struct reading *reading, struct slice name);

/* The outcome is not DONE: the reading waits for the segment and begins anew then, or fails. */
void read_fail_or_wait(struct shard *shard, struct reading *reading, struct slice name, const struct outcome *outcome);

#endif
