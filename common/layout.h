/* Which shard owns which stream: stream name -> slot by a pure function, slot -> shard by a small table that is kept
 * with the data (DATA_DIR/layout, one text file, replaced atomically). */
#ifndef COMMON_LAYOUT_H
#define COMMON_LAYOUT_H

#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

#define LAYOUT_SLOTS 1024u
#define LAYOUT_SHARDS_MAX 256u

/* A stream's uid carries its slot in the bits from LAYOUT_UID_BITS up, so a slot's streams are one range of uids. */
#define LAYOUT_UID_BITS 44u

struct layout {
    unsigned shards;              /* the shard count this table is for, or is moving to */
    uint16_t owner[LAYOUT_SLOTS]; /* the shard whose file holds the slot now */
};

/* The slot of a stream name: 0 .. LAYOUT_SLOTS-1. Never changes for a name (golden-tested). */
unsigned layout_slot(struct slice name);

static inline unsigned layout_slot_of_uid(uint64_t uid)
{
    return (unsigned)(uid >> LAYOUT_UID_BITS);
}

/* Spreads the slots over `shards` shards from nothing. */
void layout_init(struct layout *layout, unsigned shards);

/* Fills target[] with the owner each slot should have under `shards` shards, moving only what must move: every shard
 * ends with LAYOUT_SLOTS/shards slots, rounded up or down, and a slot whose owner may keep it stays. */
void layout_plan(const struct layout *layout, unsigned shards, uint16_t target[LAYOUT_SLOTS]);

enum layout_load { LAYOUT_LOADED, LAYOUT_ABSENT, LAYOUT_DAMAGED };

/* Reads DATA_DIR/layout. DAMAGED: *why is a static text that says what is wrong. */
enum layout_load layout_load(const char *data_dir, struct layout *layout, const char **why) MUSTUSE;

/* Replaces DATA_DIR/layout: temporary file, fsync, rename, fsync of the folder. False: errno is set. */
bool layout_save(const char *data_dir, const struct layout *layout) MUSTUSE;

#endif
