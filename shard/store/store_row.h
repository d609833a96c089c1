/* Within the store: rows as both ways to a database read them, the store and store_look. */
#ifndef SHARD_STORE_STORE_ROW_H
#define SHARD_STORE_STORE_ROW_H

#include <sqlite3.h>

struct stream_row;

/* From STREAM_COLUMNS. */
void stream_row_read(sqlite3_stmt *statement, struct stream_row *row);

#endif
