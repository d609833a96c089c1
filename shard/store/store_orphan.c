/* The table of orphans. A segment that is dropped becomes an orphan in the same transaction (store_segment.c), named
 * after the newest backup: that one may refer to its file.
 *
 *     orphan (backup 0) --file written--> segment --dropped--> orphan (newest backup) --backup gone--> file removed
 *          |                                                                                                ^
 *          +----------------------------------- the write failed, or a crash -------------------------------+ */
#include "shard/store/store_orphan.h"

#include "shard/store/store_sql.h"

static void store_orphan_run(struct store *store, enum store_sql sql, const struct object *object)
{
    sqlite3_stmt *statement = store_prepare(store, sql);
    bind_u64(statement, 1, object->uid);
    bind_u64(statement, 2, object->start);
    bind_bits(statement, 3, object->id);
    store_run(store, statement);
}

void store_orphan_put(struct store *store, const struct object *object)
{
    store_orphan_run(store, SQL_ORPHAN_PUT, object);
}

void store_orphan_delete(struct store *store, const struct object *object)
{
    store_orphan_run(store, SQL_ORPHAN_DELETE, object);
}

uint64_t store_orphan_count(struct store *store, unsigned max)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_ORPHAN_COUNT);
    bind_u64(statement, 1, max);
    return store_get(store, statement);
}

/* Ordered by (backup, uid, start, object), which is where the next round goes on. */
unsigned store_orphans(struct store *store, const struct orphan_place *place, unsigned max, store_orphan_visit *visit,
                       void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_ORPHANS);
    unsigned count = 0;
    bind_u64(statement, 1, max);
    bind_u64(statement, 2, place->backup);
    bind_u64(statement, 3, place->object.uid);
    bind_u64(statement, 4, place->object.start);
    bind_bits(statement, 5, place->object.id);
    while (store_step(store, statement)) {
        const struct object object = {column_u64(statement, 0), column_u64(statement, 1), column_bits(statement, 2)};
        visit(ctx, &object, &(struct orphan_place){column_u64(statement, 3), object});
        count++;
    }
    return count;
}
