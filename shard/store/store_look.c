/* Opening a database for a look. It is opened read-only and without a checkpoint at the end, so that the server that
 * writes it does not notice. Two temporary tables, in memory, collect what the checks need. */
#include "shard/store/store_look.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/version.h"
#include "shard/store/store_look_sql.h"
#include "shard/store/store_schema.h"

#define BUSY_MS 5000

/* `fresh` has the journal's view of each stream, `tally` the number of chunks that refer to shared bytes, `filed` the
 * batches that are in files. */
static const char store_look_scratch[] =
    "CREATE TEMP TABLE fresh(uid INTEGER PRIMARY KEY, tail, known, gone, closed, json);"
    "CREATE TEMP TABLE tally(id INTEGER PRIMARY KEY, refs);"
    "CREATE TEMP TABLE filed(seq INTEGER PRIMARY KEY, heads, data)";

/* NO_CKPT_ON_CLOSE: the last one to close a database would otherwise empty its WAL, which a killed server may have
 * left. */
bool store_look_open(struct store_look **out, const char *path)
{
    struct store_look *look = *out = xcalloc(1, sizeof *look);
    snprintf(look->path, sizeof look->path, "%s", path);
    if (sqlite3_open_v2(path, &look->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL) !=
        SQLITE_OK)
        return store_look_failed(look);
    sqlite3_busy_timeout(look->db, BUSY_MS);
    sqlite3_db_config(look->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return store_look_run(look, "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536; PRAGMA cell_size_check = ON;"
                                "PRAGMA trusted_schema = OFF") &&
           store_look_run(look, store_look_scratch);
}

void store_look_close(struct store_look *look)
{
    for (size_t i = 0; i < LOOK_COUNT; i++)
        sqlite3_finalize(look->statements[i]);
    sqlite3_close(look->db);
    free(look);
}

const char *store_look_error(const struct store_look *look)
{
    return look->error;
}

const char *store_look_schema(struct store_look *look)
{
    int64_t application, version;
    if (!store_look_number(look, "PRAGMA application_id", &application) ||
        !store_look_number(look, "PRAGMA user_version", &version))
        return look->error;
    if (application != STORE_APPLICATION_ID)
        snprintf(look->error, sizeof look->error, "it is not a streamd database");
    else if (version >= STREAMD_DATA_OLDEST && version < STREAMD_DATA_VERSION)
        snprintf(look->error, sizeof look->error,
                 "its schema version is %lld; start the server once, which makes it %d", (long long)version,
                 STREAMD_DATA_VERSION);
    else if (version != STREAMD_DATA_VERSION)
        snprintf(look->error, sizeof look->error, "its schema version is %lld; this streamd knows %d",
                 (long long)version, STREAMD_DATA_VERSION);
    else
        return NULL;
    return look->error;
}

void store_look_release(struct store_look *look)
{
    for (size_t i = 0; i < LOOK_COUNT; i++)
        if (look->statements[i])
            sqlite3_reset(look->statements[i]);
}

void store_look_end(struct store_look *look)
{
    store_look_release(look);
    (void)store_look_run(look, "COMMIT");
}
