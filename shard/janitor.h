/* Upkeep by the tick: streams that expire, what deletion left behind, accesses to be written down, forks' duties,
 * memory. */
#ifndef SHARD_JANITOR_H
#define SHARD_JANITOR_H

#include "shard/shard.h"

/* Once a turn; works only when the tick is due. */
void janitor_turn(struct shard *shard);

#endif
