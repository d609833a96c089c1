#include "shard/peers/disk.h"

#include <sys/resource.h>
#include <sys/statvfs.h>

#include "common/log.h"

#define LOOK_BYTES ((size_t)2 << 20)   /* after so much was appended; settling writes twice as much */
#define ROW_BYTES ((uint64_t)32 << 10) /* of the write-ahead log, for a row that changes: pages of a few trees */
#define ROWS_LEAST 16                  /* with room for less nothing is written */
#define ROWS_MOST 256                  /* a turn */

/* What the file system has for us, and what one of our files may still grow by. */
static uint64_t disk_free_bytes(const struct shard *shard)
{
    struct statvfs disk;
    struct rlimit limit;
    if (statvfs(shard->cfg->server_data_dir, &disk) != 0)
        return UINT64_MAX; /* nobody knows */
    uint64_t left = disk.f_flag & ST_RDONLY ? 0 : (uint64_t)disk.f_bavail * disk.f_frsize;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        uint64_t size = store_size(shard->store), grows = limit.rlim_cur > size ? limit.rlim_cur - size : 0;
        left = grows < left ? grows : left;
    }
    return left;
}

/* All shards settle what they have into the same file system. */
static uint64_t disk_reserve(const struct shard *shard)
{
    uint64_t flushes = shard->layout.shards * shard->cfg->shard_flush_bytes;
    return flushes > shard->cfg->shard_disk_reserve ? flushes : shard->cfg->shard_disk_reserve;
}

/* Rows that a turn may change. */
static uint64_t disk_rows(const struct shard *shard)
{
    uint64_t room = store_room(shard->store) + shard->disk_left / shard->layout.shards;
    return room / ROW_BYTES < ROWS_MOST ? room / ROW_BYTES : ROWS_MOST;
}

static void disk_look_at_room(struct shard *shard)
{
    bool stuck = shard->disk_full && disk_rows(shard) < ROWS_LEAST;
    if (stuck && !shard->disk_stuck)
        log_error("the disk takes nothing any more: deletes are refused, too");
    shard->disk_stuck = stuck;
}

void disk_look(struct shard *shard)
{
    uint64_t ballast = shard->cfg->shard_disk_ballast;
    shard->disk_unlooked = 0;
    shard->disk_left = disk_free_bytes(shard);
    metrics_set(shard->metrics, METRIC_DISK_FREE, shard->disk_left);
    bool full = !store_reserve(shard->store, ballast) || shard->disk_left < disk_reserve(shard);
    /* A quota shows only when something is asked for. */
    if (!full && (shard->disk_full || !shard->disk_looked))
        full = !store_probe(shard->store, ballast);
    if (full && !shard->disk_full)
        log_error("less than shard.disk_reserve is free: creates and appends are refused");
    if (!full && shard->disk_full)
        log_info("there is room on the disk again");
    shard->disk_full = full;
    shard->disk_looked = true;
    disk_look_at_room(shard);
}

bool disk_takes(struct shard *shard, size_t bytes)
{
    if (shard->disk_unlooked + bytes > LOOK_BYTES)
        disk_look(shard);
    return !shard->disk_full;
}

/* The write-ahead log begins anew after each turn, so that the next has all the room. */
void disk_committed(struct shard *shard)
{
    if (!shard->disk_full)
        return;
    store_checkpoint(shard->store);
    (void)!store_reserve(shard->store, shard->cfg->shard_disk_ballast);
    disk_look_at_room(shard);
}

bool disk_spent(const struct shard *shard)
{
    return shard->disk_full && (shard->disk_stuck || store_changes(shard->store) >= disk_rows(shard));
}

bool disk_has(const struct shard *shard, uint64_t bytes)
{
    return !shard->disk_full || shard->disk_left / shard->layout.shards >= bytes;
}
