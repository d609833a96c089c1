/* Rows that need a row of another shard's database:
 *
 *     a fork's row of `stream`    needs   a row of `pin` in the source's shard
 *     a subscription in force     needs   a row of `feed` in the source's shard
 *
 * Two databases are not of one moment. A row without its partner is therefore only a suspect, which the caller looks at
 * a second time (shard/tools/verify_cross_checks.c). */
#include "shard/store/store_look_cross.h"

#include "shard/store/store_look_sql.h"
#include "shard/store/store_sql.h"

static sqlite3_stmt *store_look_cross_prepare(struct store_look *look, enum look_sql sql,
                                              const struct cross_reference *reference)
{
    sqlite3_stmt *statement = store_look_prepare(look, sql);
    if (!statement)
        return NULL;
    bind_u64(statement, 1, reference->uid);
    bind_u64(statement, 2, reference->source_uid);
    bind_bits(statement, 3, reference->pin);
    return statement;
}

/* All of these statements bind (uid, source_uid, pin), whether they use all three or not: one function binds for all.
 */
static bool store_look_cross_visit(struct store_look *look, enum look_sql sql, store_look_cross *visit, void *ctx)
{
    sqlite3_stmt *statement = store_look_prepare(look, sql);
    enum look_step result;
    while ((result = store_look_step(look, statement)) == STEP_ROW) {
        const struct cross_reference reference = {column_u64(statement, 0), column_u64(statement, 1),
                                                  column_bits(statement, 2)};
        visit(ctx, &reference);
    }
    return result == STEP_END;
}

bool store_look_forks(struct store_look *look, store_look_cross *visit, void *ctx)
{
    return store_look_cross_visit(look, LOOK_FORKS, visit, ctx);
}

bool store_look_fork_there(struct store_look *look, const struct cross_reference *reference)
{
    return store_look_any(look, store_look_cross_prepare(look, LOOK_FORK_THERE, reference));
}

bool store_look_pin_there(struct store_look *look, const struct cross_reference *reference)
{
    return store_look_any(look, store_look_cross_prepare(look, LOOK_PIN_THERE, reference));
}

bool store_look_subscriptions(struct store_look *look, store_look_cross *visit, void *ctx)
{
    return store_look_cross_visit(look, LOOK_SUBSCRIPTIONS, visit, ctx);
}

bool store_look_subscription_there(struct store_look *look, const struct cross_reference *reference)
{
    return store_look_any(look, store_look_cross_prepare(look, LOOK_SUBSCRIPTION_THERE, reference));
}

bool store_look_feed_there(struct store_look *look, uint64_t source_uid, unsigned shard)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_FEED_THERE);
    if (!statement)
        return false;
    bind_u64(statement, 1, source_uid);
    bind_u64(statement, 2, shard);
    return store_look_any(look, statement);
}
