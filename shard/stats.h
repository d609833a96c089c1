/* The counters of a shard (common/metrics.def): gauges by the tick and, where that costs something, by the upkeep;
 * and its commits. What else happens is counted where it does. */
#ifndef SHARD_STATS_H
#define SHARD_STATS_H

#include <stdint.h>

struct shard;

/* The turn's transaction is durable; it began to become so at began_us (monotonic). */
void stats_commit(struct shard *shard, uint64_t began_us);

void stats_tick(struct shard *shard);
void stats_upkeep(struct shard *shard);

#endif
