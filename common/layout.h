/* Which shard owns which stream: stream name -> slot by a hash, slot -> shard by a small table that is kept with the
 * data (DATA_DIR/layout, one text file, replaced atomically).
 *
 * Names of a project with the same {group} have the same slot, and so the same shard, for whatever needs streams
 * together. Streams that were there before groups counted keep the slot of their whole name, which their uids carry: at
 * the first start of a program that knows groups, those whose slot would change are listed (shard/tools/move_names.c).
 * Until that is done, `groups` is false and nothing changes. */
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
    unsigned shards;              /* the shard count this table is for, or was for before the move */
    bool moving;                  /* a move has begun and not ended: shards may hold copies of slots of others */
    uint16_t owner[LAYOUT_SLOTS]; /* the shard whose file holds the slot now */
    bool groups;                  /* {group} in a name counts */
    uint64_t *kept;               /* with groups: hashes of names that have the slot of their whole name, ascending */
    size_t kept_count;
};

/* The slot of a stream name: 0 .. LAYOUT_SLOTS-1. Never changes for a stream (golden-tested). */
unsigned layout_slot(const struct layout *layout, struct slice name) MUSTUSE;

/* The group of a stream: the text between the first '{' of its name and the first '}' behind it; empty: none. */
struct slice layout_group(struct slice name);

/* The slot by either rule, and the hash that `kept` holds. A new name whose hash is there by chance has the slot of its
 * whole name, like the one that is listed. */
unsigned layout_slot_of_whole(struct slice name) MUSTUSE;
unsigned layout_slot_of_group(struct slice name) MUSTUSE;
uint64_t layout_hash(struct slice name) MUSTUSE;

/* From now on groups count, except in the names of these hashes, which come in any order. */
void layout_keep(struct layout *layout, const uint64_t *hashes, size_t count);

/* Frees what a layout holds. */
void layout_clear(struct layout *layout);

/* The checksum of the file; for layout_file.c. */
uint64_t layout_hash_bytes(const char *data, size_t len);

static inline unsigned layout_slot_of_uid(uint64_t uid)
{
    return (unsigned)(uid >> LAYOUT_UID_BITS);
}

/* A serial number is the time of creation in ms, or one more than the last of its slot, if that is later. With its slot
 * it is the stream's life (common/lives.h), which no other stream has, of whatever name: a fork's list of lives has
 * those of streams of other slots. Serial numbers below LAYOUT_SERIAL_FIRST, a moment of 2001, were counted from 1 by
 * an older streamd: these streams have life 0. */
#define LAYOUT_SERIAL_FIRST 1000000000000u
#define LAYOUT_SERIAL_LAST 8000000000000u /* a clock that is later counts as wrong */

/* The serial number that a stream gets at this time. A clock that is not between the two is wrong, and tells no time.
 */
static inline uint64_t layout_serial_at(uint64_t now_ms)
{
    return now_ms >= LAYOUT_SERIAL_FIRST && now_ms <= LAYOUT_SERIAL_LAST ? now_ms : LAYOUT_SERIAL_FIRST;
}

/* Lives grow with the serial number first, so a later one of whatever slot is the greater number. */
static inline uint64_t layout_life_of_uid(uint64_t uid)
{
    uint64_t serial = uid & (((uint64_t)1 << LAYOUT_UID_BITS) - 1);
    return serial < LAYOUT_SERIAL_FIRST ? 0 : serial * LAYOUT_SLOTS + layout_slot_of_uid(uid);
}

static inline uint64_t layout_serial_of_life(uint64_t life)
{
    return life / LAYOUT_SLOTS;
}

static inline uint64_t layout_uid_of_life(uint64_t life)
{
    return (life % LAYOUT_SLOTS << LAYOUT_UID_BITS) + layout_serial_of_life(life);
}

/* Spreads the slots over `shards` shards from nothing. */
void layout_init(struct layout *layout, unsigned shards);

/* Fills target[] with the owner each slot should have under `shards` shards, moving only what must move: every shard
 * ends with LAYOUT_SLOTS/shards slots, rounded up or down, and a slot whose owner may keep it stays. */
void layout_plan(const struct layout *layout, unsigned shards, uint16_t target[LAYOUT_SLOTS]);

/* The layout is for another shard count, or a move to any was cut. */
bool layout_must_move(const struct layout *layout, unsigned shards) MUSTUSE;

enum layout_load { LAYOUT_LOADED, LAYOUT_ABSENT, LAYOUT_DAMAGED };

/* Reads DATA_DIR/layout into *layout, for layout_clear(). DAMAGED: *why is a static text that says what is wrong. */
enum layout_load layout_load(const char *data_dir, struct layout *layout, const char **why) MUSTUSE;

/* Replaces DATA_DIR/layout: temporary file, fsync, rename, fsync of the folder. False: errno is set. */
bool layout_save(const char *data_dir, const struct layout *layout) MUSTUSE;

#endif
