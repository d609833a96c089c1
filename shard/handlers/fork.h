/* Forks between streams of any two shards, killed at any step.
 *
 *   1. The fork's shard asks the source's to pin it (PIN); the pin is durable before PINNED comes back, and from then
 *      on the source's bytes stay, whatever happens to the source.
 *      A sub-offset into bytes that the source has inherited is checked where they are (BOUNDARY, BOUNDED).
 *   2. The fork's shard creates the fork, which names its pin. If it dies before, the source's shard finds out by
 *      asking (PROBE) and drops the pin.
 *   3. When the fork is gone, a row in the unpin queue is committed with its end, and UNPIN is repeated until the
 *      source's shard has committed that (UNPINNED). A source that was deleted goes with its last pin, and the same
 *      goes on up the chain.
 *
 * Source and fork in one shard take the same way: the frames go to this shard itself. */
#ifndef SHARD_HANDLERS_FORK_H
#define SHARD_HANDLERS_FORK_H

#include "shard/peers/ask.h"
#include "shard/peers/peers.h"

struct shard;
struct wire_create;

/* What is asked of the shards of sources: shard->asks[ASK_FORK]. */
extern const struct ask_kind fork_questions;

/* Starts making a fork; answered when the source has answered, or 503 after router.shard_wait. */
void fork_begin(struct shard *shard, struct asker asker, const struct wire_create *m);

#endif
