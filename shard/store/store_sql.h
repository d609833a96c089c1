/* Within the store: prepared statements, and how values go in and out of them. Only files of this folder include
 * <sqlite3.h>. */
#ifndef SHARD_STORE_STORE_SQL_H
#define SHARD_STORE_STORE_SQL_H

#include <sqlite3.h>

#include "common/attr.h"
#include "common/slice.h"
#include "shard/store/store.h"
#include "shard/store/store_handle.h"

NORETURN void store_fatal(struct store *store, const char *what);

const char *store_sql_text(enum store_sql sql);
/* The statement, ready for new values. */
sqlite3_stmt *store_prepare(struct store *store, enum store_sql sql);
/* Runs a statement that gives no rows. */
void store_run(struct store *store, sqlite3_stmt *statement);
/* Runs one whose only value is this number. */
void store_run_with(struct store *store, enum store_sql sql, uint64_t value);
/* One step of a query: true if there is a row. */
bool store_step(struct store *store, sqlite3_stmt *statement) MUSTUSE;
/* The first number of the only row of a statement; 0: there is none. */
uint64_t store_get(struct store *store, sqlite3_stmt *statement);
/* Runs SQL that is used once. */
void store_exec(struct store *store, const char *sql);
/* The number that SQL without parameters gives. */
int64_t store_number(struct store *store, const char *sql);

/* SQLite's integers are signed: STORE_NONE is NULL, every other number of ours fits. */
void bind_u64(sqlite3_stmt *statement, int at, uint64_t value);
void bind_slice(sqlite3_stmt *statement, int at, struct slice value);
uint64_t column_u64(sqlite3_stmt *statement, int at);
struct slice column_slice(sqlite3_stmt *statement, int at);
/* Random numbers of 64 bits, bound and read as they are. */
void bind_bits(sqlite3_stmt *statement, int at, uint64_t value);
uint64_t column_bits(sqlite3_stmt *statement, int at);

#endif
