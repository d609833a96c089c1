/* The write-ahead log of the database. */
#ifndef SHARD_STORE_STORE_WAL_H
#define SHARD_STORE_STORE_WAL_H

struct store;

/* Makes all transactions durable that were committed. Ends the process if it fails. */
void store_sync(struct store *store);

/* Within the store, after the database was opened. */
void store_wal_init(struct store *store);

#endif
