/* The fsyncs that commits wait for. */
#ifndef SHARD_STORE_STORE_WAL_H
#define SHARD_STORE_STORE_WAL_H

#include <stdint.h>

struct store;

/* Makes all transactions durable that were committed. Ends the process if it fails. */
void store_sync(struct store *store);
/* Microseconds that fsyncs of the write-ahead log and of the journal's files took since the last call. */
uint64_t store_synced_us(struct store *store);

/* Within the store, after the database was opened. */
void store_wal_init(struct store *store);

#endif
