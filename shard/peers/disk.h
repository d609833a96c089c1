/* Whether the disk takes what a shard writes. While less than the reserve is free, nobody may append, and what the
 * shard writes by itself is little at a time or waits: it fits into what the store has been given beforehand. */
#ifndef SHARD_PEERS_DISK_H
#define SHARD_PEERS_DISK_H

#include "shard/shard.h"

/* Looks how much is free. At the start, by the tick, and whenever much was written. */
void disk_look(struct shard *shard);

/* Before so many bytes are appended: true if they may be. */
bool disk_takes(struct shard *shard, size_t bytes) MUSTUSE;

/* Once a turn, after the commit. */
void disk_committed(struct shard *shard);

/* The disk is full, and this turn has written as much as it may: what is left is for the next. */
bool disk_spent(const struct shard *shard) MUSTUSE;

/* True unless the disk is full and this shard's part of what is free is less than so much. */
bool disk_has(const struct shard *shard, uint64_t bytes) MUSTUSE;

#endif
