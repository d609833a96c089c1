/* READ: which reads begin now, which wait for the next turn, and which for a segment. */
#ifndef SHARD_HANDLERS_READ_H
#define SHARD_HANDLERS_READ_H

struct shard;

void read_init(struct shard *shard);

/* The step of a turn: goes on with the reads that the last one had no time for. */
void read_turn(struct shard *shard);

/* By the tick: forgets pages that nobody asks for again. */
void read_tick(struct shard *shard);

void read_clear(struct shard *shard);

#endif
