#include "shard/janitor.h"

#include <malloc.h>
#include <sys/statvfs.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "shard/delete.h"
#include "shard/fork.h"
#include "shard/measure.h"
#include "shard/read.h"
#include "shard/retain.h"
#include "shard/subscribe.h"

#define EXPIRED_AT_ONCE 256
#define SWEEP_MS 10 /* of each tick */
#define VACUUM_PAGES 256
#define UPKEEP_MS 2000
#define EVICTED_MANY 1000

void janitor_flush(struct shard *shard)
{
    while (shard->streams.touched_first) {
        struct stream *stream = shard->streams.touched_first;
        shard->streams.touched_first = stream->touched_next;
        stream->touched = false;
        store_begin(shard->store);
        store_stream_touch(shard->store, &stream->row);
    }
}

/* The store's deadlines lag behind what is in memory, so each is looked at again. A watched stream is in use. */
static void expire(struct shard *shard)
{
    uint64_t uids[EXPIRED_AT_ONCE];
    size_t count = store_expired(shard->store, shard->now_ms, uids, EXPIRED_AT_ONCE);
    for (size_t i = 0; i < count; i++) {
        struct stream *stream = streams_by_uid(&shard->streams, uids[i]);
        if (!stream)
            continue;
        if (stream->watcher_count)
            stream_touch(&shard->streams, stream, shard->now_ms);
        if (stream_expired(stream, shard->now_ms))
            delete_expired(shard, stream);
    }
}

static void sweep(struct shard *shard)
{
    uint64_t until = clock_monotonic_ms() + SWEEP_MS;
    while (store_condemned_any(shard->store)) {
        store_begin(shard->store);
        store_condemned_slice(shard->store);
        if (clock_monotonic_ms() >= until)
            return;
    }
}

/* Writes are refused while there is still room for what upkeep writes: SQLite never meets a full disk. */
static void look_at_disk(struct shard *shard)
{
    struct statvfs disk;
    bool full;
    if (statvfs(shard->cfg->server_data_dir, &disk) != 0)
        return;
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    metrics_set(shard->metrics, METRIC_DISK_FREE, left);
    full = left < shard->cfg->shard_disk_reserve;
    if (full && !shard->disk_full)
        log_error("less than shard.disk_reserve is free: creates and appends are refused");
    if (!full && shard->disk_full)
        log_info("there is room on the disk again");
    shard->disk_full = full;
}

/* Many streams that were in use together leave holes all over the heap. */
static void give_back(struct shard *shard)
{
    if (shard->evicted < EVICTED_MANY)
        return;
    shard->evicted = 0;
    malloc_trim(0);
}

void janitor_turn(struct shard *shard)
{
    if (!shard->tick_due)
        return;
    look_at_disk(shard);
    bool upkeep = shard->now_ms >= shard->upkeep_ms || shard->upkeep_ms > shard->now_ms + UPKEEP_MS;
    janitor_flush(shard);
    expire(shard);
    retain_tick(shard);
    sweep(shard);
    fork_tick(shard);
    read_tick(shard);
    feeds_tick(shard);
    subscribe_tick(shard);
    inflows_tick(shard);
    measure_tick(shard);
    shard->evicted += streams_evict(&shard->streams, shard->cfg->shard_memory_streams);
    if (!upkeep)
        return;
    shard->upkeep_ms = shard->now_ms + UPKEEP_MS;
    fork_upkeep(shard);
    feeds_upkeep(shard);
    rotate_upkeep(shard);
    backup_upkeep(shard);
    measure_upkeep(shard);
    give_back(shard);
    if (shard->now_ms >= shard->written_ms + shard->cfg->shard_settle_idle)
        store_vacuum_slice(shard->store, VACUUM_PAGES);
}
