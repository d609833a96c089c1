/* What forks owe and own: a pin holds a source for one fork; the unpin queue has pins that are still to be removed in
 * another shard. */
#ifndef SHARD_STORE_STORE_FORK_H
#define SHARD_STORE_STORE_FORK_H

#include "common/attr.h"
#include "common/slice.h"
#include "shard/store/store.h"

/* A pin's number is 64 random bits. `fork` is the fork's name. */
void store_pin_insert(struct store *store, uint64_t source_uid, uint64_t pin, struct slice fork, uint64_t now_ms);
void store_pin_delete(struct store *store, uint64_t source_uid, uint64_t pin);
void store_pin_confirm(struct store *store, uint64_t source_uid, uint64_t pin);
bool store_pinned(struct store *store, uint64_t source_uid) MUSTUSE;
/* How many pins a source has, counted up to `most`. */
uint64_t store_pins_count(struct store *store, uint64_t source_uid, uint64_t most);

typedef void store_pin_visit(void *ctx, uint64_t source_uid, uint64_t pin, struct slice fork);
/* Up to max pins that nobody has confirmed and that were not made in the time from since_ms to now_ms. */
void store_pins_unconfirmed(struct store *store, uint64_t since_ms, uint64_t now_ms, unsigned max,
                            store_pin_visit *visit, void *ctx);

void store_unpin_insert(struct store *store, uint64_t fork_uid, uint64_t source_uid, uint64_t pin);
void store_unpin_delete(struct store *store, uint64_t fork_uid);
typedef void store_unpin_visit(void *ctx, uint64_t fork_uid, uint64_t source_uid, uint64_t pin);
/* The first thousand of the queue. */
void store_unpin_queue(struct store *store, store_unpin_visit *visit, void *ctx);

#endif
