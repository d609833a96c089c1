/* A database is looked at in one read transaction, so that what its tables say of each other is of one moment, also
 * while a server writes it. The files of its segments are looked at afterwards: a file may go meanwhile, and then so
 * has its row.
 *
 * Failure modes: a database that cannot be opened or read to its end is one problem more, and gets no check of its
 * files and no cross-checks. A sound one stays open in v->looks, for the cross-checks. */
#include "shard/tools/verify_database.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "shard/store/store.h"
#include "shard/store/store_look.h"
#include "shard/store/store_look_checks.h"
#include "shard/store/store_look_journal.h"
#include "shard/store/store_look_rows.h"
#include "shard/tools/verify_context.h"
#include "shard/tools/verify_files.h"
#include "shard/tools/verify_journal.h"
#include "shard/tools/verify_report.h"
#include "shard/tools/verify_stream.h"

#define PATH_ROOM 4096

/* SQLite's own checks, then every row by itself, then the tables with one another. False: no more can be said of it. */
static bool verify_database_all(struct stream_check *streams, struct journal_check *journal)
{
    struct verify *v = streams->v;
    const char *why = store_look_schema(streams->look);
    if (why) {
        verify_problem(v, "%s", why);
        return false;
    }
    /* The journal comes after the rows: its first entry of a stream must go on where the row ends. The tables come
     * last, since their checks ask the table `fresh`, which the journal fills. */
    bool read = store_look_integrity(streams->look, v->quick, verify_problem_text, v) &&
                store_look_streams(streams->look, verify_stream, streams);
    journal->last = store_look_dropped(streams->look);
    if (store_look_journal_damaged(streams->look))
        verify_problem(v, "a file of the journal is damaged, or cannot be read");
    read = read && store_look_journal(streams->look, verify_batch, journal) &&
           store_look_tables(streams->look, !v->quick, verify_problem_text, v);
    v->name = (struct slice){0};
    v->uid = 0;
    if (!read)
        verify_problem(v, "it cannot be read: %s", store_look_error(streams->look));
    return read;
}

/* A database of a shard that the layout does not have is looked at too: an unfinished move leaves some. */
void verify_shard(struct verify *v, unsigned shard)
{
    char path[PATH_ROOM];
    struct store_look *look;
    store_path(path, sizeof path, v->cfg.server_data_dir, shard);
    snprintf(v->database, sizeof v->database, "shard-%u.db", shard);
    if (access(path, F_OK) != 0) {
        if (shard < v->layout.shards && !v->moving)
            verify_problem(v, "it is missing");
        return;
    }
    uint64_t streams = v->streams;
    v->databases++;
    if (!store_look_open(&look, path)) {
        verify_problem(v, "it cannot be opened: %s", store_look_error(look));
        store_look_close(look);
        return;
    }
    struct stream_check streams_seen = {.v = v, .look = look, .shard = shard};
    struct journal_check journal_seen = {.v = v, .look = look};
    store_look_begin(look);
    bool good = verify_database_all(&streams_seen, &journal_seen);
    v->streams += store_look_born(look);
    store_look_end(look);
    if (good) {
        v->looks[shard] = look;
        verify_files(v, shard);
    } else {
        store_look_close(look);
    }
    v->segments += streams_seen.segments;
    printf("shard-%u.db: %" PRIu64 " streams, %" PRIu64 " segments, %" PRIu64 " chunks, %" PRIu64
           " batches in the journal\n",
           shard, v->streams - streams, streams_seen.segments, streams_seen.chunks, journal_seen.batches);
}
