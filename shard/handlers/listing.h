/* Listings: the streams that are there now, by name, whether their rows are written or only in the journal. */
#ifndef SHARD_HANDLERS_LISTING_H
#define SHARD_HANDLERS_LISTING_H

#include "common/wire.h"
#include "shard/shard.h"

/* What a listing says of the stream; slices point into it. `stream` NULL: it is not in memory, and the row is all. */
struct wire_listed_stream listing_facts(const struct stream_row *row, const struct stream *stream,
                                        char room[LIVES_ONE]);

void listing_init(struct shard *shard);

/* The step of a turn: the listings that were asked for. */
void listing_turn(struct shard *shard);
void listing_clear(struct shard *shard);

#endif
