/* Within the store: the tables of a database, and the versions of them that this program reads. */
#ifndef SHARD_STORE_STORE_SCHEMA_H
#define SHARD_STORE_STORE_SCHEMA_H

#include "shard/store/store.h"

#define STORE_APPLICATION_ID 0x5354524d /* "STRM" */

/* Creates the tables of a new database; raises the version of an older one. Ends the process for good if the database
 * is not streamd's or newer. */
void store_schema_check(struct store *store);

#endif
