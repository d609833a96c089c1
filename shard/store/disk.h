/* Whether the disk takes what a shard writes. While less than the reserve is free, nobody may append, and what the
 * shard writes by itself is little at a time or waits: it fits into what the store has been given beforehand. */
#ifndef SHARD_STORE_DISK_H
#define SHARD_STORE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

struct config;
struct metrics;
struct store;

struct disk {
    struct store *store;
    const struct config *cfg;
    struct metrics *metrics; /* NULL in tests */
    unsigned shards;         /* that share the file system */
    bool full;               /* less than shard.disk_reserve is free: no appends */
    bool stuck;              /* the disk takes nothing at all: no deletes either */
    bool looked;             /* the file system was asked once, */
    uint64_t left;           /* and had so many bytes free, */
    size_t unlooked;         /* and so many were appended since; */
    uint64_t room;           /* transactions could write so much without asking it */
};

/* Looks for the first time. */
void disk_init(struct disk *disk, struct store *store, const struct config *cfg, struct metrics *metrics,
               unsigned shards);

/* Asks the file system how much is free. At the start, by the tick, and whenever much was written. */
void disk_look(struct disk *disk);

/* Before so many bytes are appended: true if they may be. */
bool disk_takes(struct disk *disk, size_t bytes) MUSTUSE;

/* So many bytes were appended. */
static inline void disk_appended(struct disk *disk, size_t bytes)
{
    disk->unlooked += bytes;
}

/* Once a turn, after the commit. */
void disk_committed(struct disk *disk);

/* The disk is full, and this turn has written as much as it may: what is left is for the next. */
bool disk_spent(const struct disk *disk) MUSTUSE;

/* True unless the disk is full and this shard's part of what is free is less than so much. */
bool disk_has(const struct disk *disk, uint64_t bytes) MUSTUSE;

#endif
