/* Cross-checks: rows that need a row in another shard's database. A fork needs its source's pin, a pin its fork, a
 * subscription its source's feed. */
#ifndef SHARD_STORE_STORE_LOOK_CROSS_H
#define SHARD_STORE_STORE_LOOK_CROSS_H

#include <stdint.h>

#include "shard/store/store_look.h"
#include "common/attr.h"

struct cross_reference {
    uint64_t uid;        /* of the fork, or of the estuary */
    uint64_t source_uid; /* of the stream that is referred to */
    uint64_t pin;        /* of a fork */
};

typedef void store_look_cross(void *ctx, const struct cross_reference *reference);
/* Forks that hold their sources. */
bool store_look_forks(struct store_look *look, store_look_cross *visit, void *ctx) MUSTUSE;
bool store_look_fork_there(struct store_look *look, const struct cross_reference *reference) MUSTUSE;
bool store_look_pin_there(struct store_look *look, const struct cross_reference *reference) MUSTUSE;
/* Subscriptions in force. */
bool store_look_subscriptions(struct store_look *look, store_look_cross *visit, void *ctx) MUSTUSE;
bool store_look_subscription_there(struct store_look *look, const struct cross_reference *reference) MUSTUSE;
bool store_look_feed_there(struct store_look *look, uint64_t source_uid, unsigned shard) MUSTUSE;

#endif
