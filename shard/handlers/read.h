/* Reading: a stream's own bytes from its shard's store, a fork's inherited bytes from whichever shard has them. */
#ifndef SHARD_HANDLERS_READ_H
#define SHARD_HANDLERS_READ_H

#include "shard/shard.h"

void read_init(struct shard *shard);

/* A shard has a new link: bytes it was asked for and has not sent are asked for again. */
void read_shard_up(struct shard *shard, unsigned index);

/* Goes on with the reads that the last turn had no time for. */
void read_turn(struct shard *shard);

/* By the tick: gives up on reads that wait too long for another shard, and forgets pages that nobody asks for again. */
void read_tick(struct shard *shard);

void read_clear(struct shard *shard);

#endif
