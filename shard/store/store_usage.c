/* Sums of projects: read only, since triggers of the schema keep them. */
#include "shard/store/store_usage.h"

#include "shard/store/store_sql.h"

void store_usage(struct store *store, struct slice project, uint64_t *streams, uint64_t *bytes)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_USAGE);
    *streams = *bytes = 0;
    bind_slice(statement, 1, project);
    if (store_step(store, statement)) {
        *streams = column_u64(statement, 0);
        *bytes = column_u64(statement, 1);
    }
    sqlite3_reset(statement);
}

void store_usage_all(struct store *store, uint64_t *streams, uint64_t *bytes)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_USAGE_ALL);
    *streams = *bytes = 0;
    if (store_step(store, statement)) {
        *streams = column_u64(statement, 0);
        *bytes = column_u64(statement, 1);
    }
    sqlite3_reset(statement);
}
