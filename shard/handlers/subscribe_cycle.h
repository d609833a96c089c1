/* The search for cycles: follows what a stream is subscribed to, over all shards, and says whether one estuary is
 * among it. */
#ifndef SHARD_HANDLERS_SUBSCRIBE_CYCLE_H
#define SHARD_HANDLERS_SUBSCRIBE_CYCLE_H

#include "common/errors.h"
#include "common/slice.h"
#include "common/table.h"
#include "shard/peers/ask.h"

struct cycle_search;
struct shard;

/* What is asked of the shards of the streams that are looked at: shard->asks[ASK_CYCLE]. */
extern const struct ask_kind subscribe_cycle_questions;

/* How a search ends; each is called from a message or the tick, and may free the search after subscribe_cycle_end(). */
struct cycle_ops {
    /* ERR_NONE: there is no cycle. SUBSCRIPTION_CIRCLE, SUBSCRIPTIONS_TOO_DEEP. */
    void (*found)(struct cycle_search *search, enum error result);
    /* A shard has not answered in time. */
    void (*expired)(struct cycle_search *search);
    /* The shard stops. */
    void (*drop)(struct cycle_search *search);
};

struct cycle_search {
    struct shard *shard;
    const struct cycle_ops *ops;
    struct slice estuary; /* its name, the caller's */
    uint64_t deadline_ms;
    struct table steps; /* the streams that were asked about, by name */
    size_t unanswered;
};

/* A search that has asked nothing yet. shard, ops, estuary and deadline_ms are set. */
void subscribe_cycle_init(struct cycle_search *search);

/* Looks above this stream, too: a source of the estuary. */
void subscribe_cycle_from(struct cycle_search *search, struct slice source);

/* Ends all questions, and frees what the search has. It can be used for another. */
void subscribe_cycle_end(struct cycle_search *search);

#endif
