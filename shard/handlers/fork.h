/* Forks between streams of any two shards, killed at any step.
 *
 *   1. The fork's shard asks the source's to pin it (PIN); the pin is durable before PINNED comes back, and from then
 * on the source's bytes stay, whatever happens to the source.
 *      A sub-offset into bytes that the source has inherited is checked where they are (BOUNDARY, BOUNDED).
 *   2. The fork's shard creates the fork, which names its pin. If it dies before, the source's shard finds out by
 * asking (PROBE) and drops the pin.
 *   3. When the fork is gone, a duty to let the pin go is committed with its end and repeated (UNPIN) until the
 * source's shard has committed that (UNPINNED). A source that was deleted goes with its last pin, and the same goes on
 * up the chain.
 *
 * Source and fork in one shard take the same way: the frames go to this shard itself. */
#ifndef SHARD_HANDLERS_FORK_H
#define SHARD_HANDLERS_FORK_H

#include "shard/shard.h"

/* Starts making a fork; answered when the source has answered, or 503 after router.shard_wait. */
void fork_begin(struct shard *shard, struct asker asker, const struct wire_create *m);

/* A shard has a new link: what it was asked and has not answered is asked again. */
void fork_shard_up(struct shard *shard, unsigned index);

/* By the tick: gives up on forks that wait too long. */
void fork_tick(struct shard *shard);

void fork_clear(struct shard *shard);

#endif
