/* Room on the disk: how large the database is, and blocks that its files have before they are needed. Writing to such a
 * block takes nothing from the file system, so that a shard goes on deleting when the disk is full. */
#ifndef SHARD_STORE_STORE_DISK_H
#define SHARD_STORE_STORE_DISK_H

#include "common/attr.h"
#include "shard/store/store.h"

/* The size of the database in bytes, and how many of these it does not use. */
uint64_t store_size(struct store *store);
uint64_t store_unused(struct store *store);

/* Takes so many bytes from the disk in advance, for the WAL and again for the database to grow, unless they were taken
 * before. False: the disk does not give them. 0: nothing is kept. */
bool store_reserve(struct store *store, uint64_t bytes) MUSTUSE;
/* True if the disk gives so many bytes; gives them back at once. */
bool store_probe(struct store *store, uint64_t bytes) MUSTUSE;
/* Bytes that transactions may write before they need more of the disk. */
uint64_t store_room(const struct store *store);
/* About how many rows the open transaction has changed. */
unsigned store_changes(const struct store *store);
/* Copies what is in the WAL into the database, outside of a transaction: the WAL begins anew. */
void store_checkpoint(struct store *store);

/* Within the store. True if the disk has room for the memory that readers of a database share. */
bool store_disk_shares(const char *data_dir) MUSTUSE;
/* After the database was opened, and before anything is written to it. */
void store_disk_write_wal_anew(const struct store *store);
/* After the database was opened; before and after it is closed. */
void store_disk_init(struct store *store);
void store_disk_closing(struct store *store);
void store_disk_closed(struct store *store);

#endif
