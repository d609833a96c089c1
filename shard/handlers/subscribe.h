/* Subscribing, in the shard of the estuary: on_subscribe() and on_attached(). A subscription is on disk before the
 * search for cycles and in force after it; from then on the estuary gets everything that is appended to the source. */
#ifndef SHARD_HANDLERS_SUBSCRIBE_H
#define SHARD_HANDLERS_SUBSCRIBE_H

struct ask_kind;

/* What is asked of the sources' shards: shard->asks[ASK_ATTACH]. */
extern const struct ask_kind subscribe_questions;

#endif
