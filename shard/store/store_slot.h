/* Moving slots between databases, for `streamd move`, while no server runs. A slot is a range of uids in every table.
 */
#ifndef SHARD_STORE_STORE_SLOT_H
#define SHARD_STORE_STORE_SLOT_H

#include "common/attr.h"
#include "common/slice.h"
#include "shard/store/store.h"

struct feed_row;

/* Copies everything of a slot from the database file `from` (which nobody has open), replacing what an interrupted copy
 * left. Durable when it returns. */
void store_slot_copy(struct store *store, const char *from, unsigned slot);
/* Deletes everything of the slots for which keep[] is false; durable when it returns. True: something was deleted. */
bool store_slots_clean(struct store *store, const bool *keep);
/* Gives one chunk that refers to shared bytes bytes of its own. False: the slot has no such chunk. */
bool store_slot_expand(struct store *store, unsigned slot) MUSTUSE;
/* True if the slot has rows here. */
bool store_slot_used(struct store *store, unsigned slot) MUSTUSE;

/* Every name with '{' in it, and the stream's uid; visit must not use the store. */
typedef void store_slot_name_visit(void *ctx, uint64_t uid, struct slice name);
void store_slot_grouped(struct store *store, store_slot_name_visit *visit, void *ctx);

/* Every subscription source, as the feed that it is of: shard and state are not set. */
typedef void store_source_feed_visit(void *ctx, const struct feed_row *row);
void store_source_feeds(struct store *store, store_source_feed_visit *visit, void *ctx);
/* Deletes all feeds. */
void store_feeds_clear(struct store *store);

#endif
