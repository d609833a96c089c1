/* The tick's work (shard.c has its period), all in the turn's transaction:
 *
 *     every tick     look at the disk; write accesses down, expire, retain, sweep; give up on questions; evict streams
 *     every 2 s      pins, feeds, orphans, old backups, metrics that cost a query, memory and pages given back
 *     on a full disk, turn after turn     unused pages are given back
 *
 * Each step that writes is bounded, in streams or in time, and what it leaves comes with a later tick. So a turn stays
 * short even when a million streams expire at once.
 *
 * Failure modes: on a full disk the steps that write stop when the turn's rows are spent (disk_spent); on one that
 * takes nothing they are left out. A crash rolls the turn back, and the next process finds the same work by the same
 * rows; only accesses that were not written down yet are lost. */
#include "shard/janitor.h"

#include <malloc.h>

#include "common/clock.h"
#include "common/log.h"
#include "shard/fanout/feed.h"
#include "shard/handlers/delete.h"
#include "shard/handlers/pin.h"
#include "shard/handlers/read.h"
#include "shard/store/disk.h"
#include "shard/stats.h"
#include "shard/tiering/retain.h"
#include "shard/store/store_disk.h"
#include "shard/store/store_stream.h"
#include "shard/store/store_upkeep.h"

#define EXPIRED_AT_ONCE 256
#define SWEEP_MS 10 /* of each tick */
#define VACUUM_PAGES 256
#define UPKEEP_MS 2000
#define EVICTED_MANY 1000
#define APPENDED_MUCH ((uint64_t)4 << 20) /* bytes */

/* Writes down when streams with a TTL were last used. */
static void janitor_flush(struct shard *shard)
{
    struct stream *stream;
    while (!disk_spent(&shard->disk) && (stream = streams_next_touched(&shard->streams)))
        store_stream_touch(shard->store, &stream->row);
    if (shard->stopping && buf_len(&shard->streams.touched))
        shard->turn_again = true;
}

/* The store's deadlines lag behind what is in memory, so each is looked at again. A watched stream is in use. */
static void janitor_expire(struct shard *shard)
{
    uint64_t uids[EXPIRED_AT_ONCE];
    size_t count = store_expired(shard->store, shard->now_ms, uids, EXPIRED_AT_ONCE);
    for (size_t i = 0; i < count && !disk_spent(&shard->disk); i++) {
        struct stream *stream = streams_by_uid(&shard->streams, uids[i]);
        if (!stream)
            continue;
        if (stream->watcher_count)
            stream_touch(&shard->streams, stream, shard->now_ms);
        if (stream_expired(stream, shard->now_ms))
            delete_stream(shard, stream);
    }
}

static void janitor_sweep(struct shard *shard)
{
    uint64_t until = clock_monotonic_ms() + SWEEP_MS;
    while (!disk_spent(&shard->disk) && store_deleting_any(shard->store)) {
        store_deleting_slice(shard->store);
        if (clock_monotonic_ms() >= until)
            return;
    }
}

static bool janitor_is_idle(const struct shard *shard)
{
    return shard->ticks_ms >= shard->written_ms + shard->cfg->shard_flush_idle;
}

/* Many streams that were in use together leave holes all over the heap. So do many appends, once they are flushed; a
 * shard that is still written to fills those again. */
static void janitor_give_back(struct shard *shard)
{
    bool flushed = janitor_is_idle(shard) && !shard->streams.journal_entries;
    if (shard->evicted < EVICTED_MANY && (shard->appended < APPENDED_MUCH || !flushed))
        return;
    shard->evicted = 0;
    shard->appended = 0;
    malloc_trim(0);
}

/* A full disk gets everything that is unused, turn by turn. */
static void janitor_vacuum(struct shard *shard)
{
    if (!shard->disk.full || shard->disk.stuck || store_changes(shard->store))
        return;
    shard->vacuums = store_vacuum_slice(shard->store, VACUUM_PAGES, true);
    if (shard->vacuums)
        shard->turn_again = true;
}

/* The upkeep that writes to the database. */
static void janitor_write_down(struct shard *shard)
{
    janitor_flush(shard);
    janitor_expire(shard);
    retain_tick(shard);
    janitor_sweep(shard);
}

static void janitor_upkeep(struct shard *shard)
{
    shard->upkeep_ms = shard->ticks_ms + UPKEEP_MS;
    pin_upkeep(shard);
    feeds_upkeep(shard);
    orphans_upkeep(shard);
    if (!shard->disk.stuck)
        backup_upkeep(shard);
    stats_upkeep(shard);
    janitor_give_back(shard);
    if (!shard->disk.full && janitor_is_idle(shard))
        (void)store_vacuum_slice(shard->store, VACUUM_PAGES, false);
}

void janitor_turn(struct shard *shard)
{
    /* A shard that stops does not wait for a tick to write its accesses: they are what it is waiting for. */
    if (shard->stopping)
        janitor_flush(shard);
    if (shard->tick_due || shard->vacuums)
        janitor_vacuum(shard);
    shard->appended += shard->turn_bytes;
    if (!shard->tick_due)
        return;
    disk_look(&shard->disk); /* first: all that follows asks whether there is room */
    if (!shard->disk.stuck)
        janitor_write_down(shard);
    for (unsigned i = 0; i < ASK_KINDS; i++)
        if (!shard->disk.stuck || !shard->asks[i].kind->writes)
            asks_tick(&shard->asks[i], shard->ticks_ms);
    read_tick(shard);
    feeds_tick(shard);
    sources_tick(shard);
    stats_tick(shard);
    shard->evicted += streams_evict(&shard->streams, shard->cfg->shard_memory_streams);
    if (shard->ticks_ms >= shard->upkeep_ms)
        janitor_upkeep(shard);
}
