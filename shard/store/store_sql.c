/* The store's ground: transactions, prepared statements, and values in and out of them. A statement that fails ends the
 * process, for good if the database is damaged: then only `streamd restore` helps, and a restart would damage more.
 *
 * Lifetimes: bound slices belong to the caller and are not copied. Slices of a column point into memory of SQLite
 * and end with the next step or reset of that statement (https://www.sqlite.org/c3ref/column_blob.html). Two users of
 * the same statement must therefore not be nested. */
#include "shard/store/store_sql.h"

#include "common/log.h"

static const char *const store_sql_texts[SQL_COUNT] = {
#define SQL(NAME, text) text,
#include "shard/store/store_sql.def"
#undef SQL
};

const char *store_sql_text(enum store_sql sql)
{
    return store_sql_texts[sql];
}

void store_fatal(struct store *store, const char *what)
{
    int code = sqlite3_extended_errcode(store->db);
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB)
        fatal_never_restart("%s: %s: the database is damaged: %s", store->path, what, sqlite3_errmsg(store->db));
    fatalx("%s: %s: %s (%d)", store->path, what, sqlite3_errmsg(store->db), code);
}

/* A statement is prepared at its first use and kept. Resetting it ends the borrowing of its last row. */
sqlite3_stmt *store_prepare(struct store *store, enum store_sql sql)
{
    sqlite3_stmt **statement = &store->statements[sql];
    if (*statement)
        sqlite3_reset(*statement);
    else if (sqlite3_prepare_v3(store->db, store_sql_texts[sql], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) !=
             SQLITE_OK)
        store_fatal(store, store_sql_texts[sql]);
    return *statement;
}

/* IMMEDIATE: the lock is taken now, so that no statement of the turn meets somebody else's. */
void store_begin(struct store *store)
{
    if (store->open)
        return;
    if (sqlite3_step(store_prepare(store, SQL_BEGIN)) != SQLITE_DONE)
        store_fatal(store, "BEGIN");
    store->open = true;
    store->unsynced = false;
    store->changes_before = (unsigned)sqlite3_total_changes(store->db);
}

void store_begin_unsynced(struct store *store)
{
    if (store->open)
        return;
    store_begin(store);
    store->unsynced = true;
}

/* A change opens the transaction that it is part of, so none is ever made outside of one. */
void store_run(struct store *store, sqlite3_stmt *statement)
{
    if (!store->open && !sqlite3_stmt_readonly(statement))
        store_begin(store);
    if (sqlite3_step(statement) != SQLITE_DONE)
        store_fatal(store, sqlite3_sql(statement));
    sqlite3_reset(statement);
}

void store_run_with(struct store *store, enum store_sql sql, uint64_t value)
{
    sqlite3_stmt *statement = store_prepare(store, sql);
    bind_u64(statement, 1, value);
    store_run(store, statement);
}

/* The reset at the end of the rows lets the WAL begin anew: a query that is left in the middle holds its snapshot. */
bool store_step(struct store *store, sqlite3_stmt *statement)
{
    switch (sqlite3_step(statement)) {
    case SQLITE_ROW:
        return true;
    case SQLITE_DONE:
        sqlite3_reset(statement);
        return false;
    default:
        store_fatal(store, sqlite3_sql(statement));
    }
}

uint64_t store_get(struct store *store, sqlite3_stmt *statement)
{
    uint64_t value = store_step(store, statement) ? column_u64(statement, 0) : 0;
    sqlite3_reset(statement);
    return value;
}

void store_exec(struct store *store, const char *sql)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        store_fatal(store, sql);
}

int64_t store_number(struct store *store, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t value = 0;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        store_fatal(store, sql);
    if (store_step(store, statement))
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

void bind_u64(sqlite3_stmt *statement, int at, uint64_t value)
{
    if (value == STORE_NONE)
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_int64(statement, at, (sqlite3_int64)value);
}

/* SQLITE_STATIC: nothing is copied, since the caller's bytes outlive the step. Columns are NOT NULL, so an empty value
 * is an empty blob. */
void bind_slice(sqlite3_stmt *statement, int at, struct slice value)
{
    if (value.len)
        sqlite3_bind_blob64(statement, at, value.data, value.len, SQLITE_STATIC);
    else
        sqlite3_bind_zeroblob(statement, at, 0);
}

uint64_t column_u64(sqlite3_stmt *statement, int at)
{
    if (sqlite3_column_type(statement, at) == SQLITE_NULL)
        return STORE_NONE;
    return (uint64_t)sqlite3_column_int64(statement, at);
}

struct slice column_slice(sqlite3_stmt *statement, int at)
{
    const char *data = sqlite3_column_blob(statement, at);
    return slice_of(data, (size_t)sqlite3_column_bytes(statement, at));
}

void bind_bits(sqlite3_stmt *statement, int at, uint64_t value)
{
    sqlite3_bind_int64(statement, at, (sqlite3_int64)value);
}

uint64_t column_bits(sqlite3_stmt *statement, int at)
{
    return (uint64_t)sqlite3_column_int64(statement, at);
}
