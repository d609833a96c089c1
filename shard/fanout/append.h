/* The steps of every append, from a client or from a source. */
#ifndef SHARD_FANOUT_APPEND_H
#define SHARD_FANOUT_APPEND_H

#include "shard/shard.h"

/* Appends the entry at the stream's tail, in this turn's transaction, and lets its watchers know. The caller has filled
 * in what is appended: count, flags and what belongs to them, boundaries, data. */
void append_entry(struct shard *shard, struct stream *stream, struct journal_entry *entry);

#endif
