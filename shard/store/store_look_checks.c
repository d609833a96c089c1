/* Checks that a query can do, and the table `fresh`, which knows what the journal says of streams.
 *
 * Every check is a query whose rows are the complaints, so a sound database gives none. A new check is a new element of
 * store_look_checks. States in the queries: 0 live, 1 soft-deleted, 2 deleting; `kind & 1` is an estuary.
 *
 * Failure modes: a query that SQLite cannot finish (a damaged page) makes store_look_tables() return false, after the
 * other checks have run. */
#include "shard/store/store_look_checks.h"

#include <string.h>

#include "shard/store/store_look_sql.h"
#include "shard/store/store_sql.h"

/* Of one kind: a database with one systematic fault would otherwise print a line for every stream. */
#define LINES_MAX "200"

#define STREAM_TEXT(uid) "'stream ' || printf('%016llx', " uid ")"
#define THERE "SELECT uid FROM stream WHERE state < 2 UNION ALL SELECT uid FROM fresh WHERE known AND NOT gone"

/* Each gives a line a row. Streams that are not there have no name, so the text has the uid. */
static const struct {
    const char *sql;
    bool shared; /* only where all references were seen */
} store_look_checks[] = {
    {"SELECT 'chunks of ' || " STREAM_TEXT("uid") " || ', which is not there' FROM (SELECT DISTINCT uid FROM chunk)"
                                                  " WHERE uid NOT IN (SELECT uid FROM stream) LIMIT " LINES_MAX,
     false},
    {"SELECT 'segments of ' || " STREAM_TEXT("uid") " || ', which is not there' FROM (SELECT DISTINCT uid FROM segment)"
                                                    " WHERE uid NOT IN (SELECT uid FROM stream) LIMIT " LINES_MAX,
     false},
    {"SELECT 'producers of ' || " STREAM_TEXT(
         "uid") " || ', which is not there' FROM (SELECT DISTINCT uid FROM"
                " producer) WHERE uid NOT IN (SELECT uid FROM stream) LIMIT " LINES_MAX,
     false},
    {"SELECT 'the journal has appends to ' || " STREAM_TEXT(
         "uid") " || ', which is not there' FROM fresh WHERE NOT known"
                " AND NOT gone LIMIT " LINES_MAX,
     false},
    {"SELECT 'a pin of ' || " STREAM_TEXT(
         "source_uid") " || ', which is not there' FROM pin WHERE source_uid NOT IN (" THERE ") LIMIT " LINES_MAX,
     false},
    {"SELECT 'a feed of ' || " STREAM_TEXT("source_uid") " || ', which is not there' FROM feed WHERE state < 2 AND"
                                                         " source_uid NOT IN (" THERE ") LIMIT " LINES_MAX,
     false},
    {"SELECT 'a subscription to ' || " STREAM_TEXT(
         "source_uid") " || ' without its subscription source' FROM subscription WHERE"
                       " from_position IS NOT NULL AND source_uid NOT IN "
                       "(SELECT source_uid FROM inflow) LIMIT " LINES_MAX,
     false},
    {"SELECT 'a subscription of ' || " STREAM_TEXT(
         "estuary_uid") " || ', which is no estuary that is there' FROM"
                        " subscription WHERE estuary_uid NOT IN (SELECT uid FROM stream WHERE state = 0 AND kind & 1) "
                        "LIMIT " LINES_MAX,
     false},
    {"SELECT 'the segment of ' || " STREAM_TEXT("uid") " || ' at ' || start || ' is an orphan, too' FROM segment JOIN"
                                                       " orphan USING(uid, start, object) LIMIT " LINES_MAX,
     false},
    {"SELECT 'slot ' || (uid >> 44) || ' gives numbers again: ' || " STREAM_TEXT(
         "max(uid)") " || ' has one' FROM stream"
                     " GROUP BY uid >> 44 HAVING max(uid) & ((1 << 44) - 1) > ifnull((SELECT next_serial FROM slot "
                     "WHERE slot ="
                     " uid >> 44), 0) LIMIT " LINES_MAX,
     false},
    {"SELECT 'project ' || CAST(project AS TEXT) || ' has ' || sum(streams) || ' streams and ' || sum(bytes) ||"
     " ' bytes, ' || sum(counted) || ' and ' || sum(counted_bytes) || ' are counted' FROM (SELECT substr(name, 1,"
     " instr(name, x'2f') - 1) AS project, state = 0 AS streams, bytes, 0 AS counted, 0 AS counted_bytes FROM stream"
     " WHERE name IS NOT NULL UNION ALL SELECT project, 0, 0, streams, bytes FROM usage) GROUP BY project"
     " HAVING sum(streams) <> sum(counted) OR sum(bytes) <> sum(counted_bytes) LIMIT " LINES_MAX,
     false},
    {"SELECT 'shared bytes ' || printf('%016llx', s.id) || ' count ' || s.refs || ' references, there are ' ||"
     " ifnull(t.refs, 0) FROM shared s LEFT JOIN tally t ON t.id = s.id WHERE s.refs <> ifnull(t.refs, 0)"
     " LIMIT " LINES_MAX,
     true},
};

/* Calls visit with the text of each row, but for "ok". */
static bool store_look_checks_visit(struct store_look *look, const char *sql, store_look_text *visit, void *ctx)
{
    sqlite3_stmt *statement;
    enum look_step result;
    if (sqlite3_prepare_v2(look->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return store_look_failed(look);
    while ((result = store_look_step(look, statement)) == STEP_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text && strcmp(text, "ok") != 0)
            visit(ctx, text);
    }
    sqlite3_finalize(statement);
    return result == STEP_END;
}

bool store_look_integrity(struct store_look *look, bool quick, store_look_text *visit, void *ctx)
{
    return store_look_checks_visit(look, quick ? "PRAGMA quick_check(100)" : "PRAGMA integrity_check(100)", visit, ctx);
}

/* A check that fails does not keep the others from being made: a damaged table is named, and so is what else is wrong.
 */
bool store_look_tables(struct store_look *look, bool shared, store_look_text *visit, void *ctx)
{
    bool good = true;
    for (size_t i = 0; i < sizeof store_look_checks / sizeof store_look_checks[0]; i++)
        if (shared || !store_look_checks[i].shared)
            good &= store_look_checks_visit(look, store_look_checks[i].sql, visit, ctx);
    return good;
}

bool store_look_fresh(struct store_look *look, uint64_t uid, struct fresh_stream *fresh)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_FRESH);
    if (!statement)
        return false;
    bind_u64(statement, 1, uid);
    if (store_look_step(look, statement) != STEP_ROW)
        return false;
    *fresh = (struct fresh_stream){
        .uid = uid,
        .tail = column_u64(statement, 0),
        .known = column_u64(statement, 1) != 0,
        .gone = column_u64(statement, 2) != 0,
        .closed = column_u64(statement, 3) != 0,
        .json = column_u64(statement, 4) != 0,
    };
    sqlite3_reset(statement);
    return true;
}

void store_look_fresh_put(struct store_look *look, const struct fresh_stream *fresh)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_FRESH_PUT);
    if (!statement)
        return;
    bind_u64(statement, 1, fresh->uid);
    bind_u64(statement, 2, fresh->tail);
    bind_u64(statement, 3, fresh->known);
    bind_u64(statement, 4, fresh->gone);
    bind_u64(statement, 5, fresh->closed);
    bind_u64(statement, 6, fresh->json);
    (void)store_look_step(look, statement);
}

/* Streams of the table `fresh` that have no row yet: verify counts them with those that have. */
uint64_t store_look_born(struct store_look *look)
{
    int64_t count = 0;
    (void)!store_look_number(
        look, "SELECT count(*) FROM fresh WHERE known AND NOT gone AND uid NOT IN (SELECT uid FROM stream)", &count);
    return (uint64_t)count;
}
