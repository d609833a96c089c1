/* A write that the disk refuses ends the shard (the commit fails), so room is judged before anything is written. Three
 * states, each harder than the one before:
 *
 *     room --(less than the reserve is free)--> full --(no room for a few rows either)--> stuck
 *
 * full: creates and appends are refused. What frees room goes on, a few rows a turn: deletes, and their sweep. The
 * store has a ballast file's worth of pages reserved for that, and its write-ahead log begins anew after every turn.
 * stuck: nothing is written; frames whose sender repeats them are dropped until there is room. */
#include "shard/store/disk.h"

#include <sys/resource.h>
#include <sys/statvfs.h>

#include "common/config.h"
#include "common/log.h"
#include "common/metrics.h"
#include "shard/store/journal.h"
#include "shard/store/store_disk.h"

#define LOOK_BYTES ((size_t)2 << 20)   /* after so much was appended; flushing writes twice as much */
#define ROW_BYTES ((uint64_t)32 << 10) /* of the write-ahead log, for a row that changes: pages of a few trees */
#define ROWS_LEAST 16                  /* with room for less nothing is written */
#define ROWS_MOST 256                  /* a turn */

/* Free bytes of the file system, or fewer if RLIMIT_FSIZE lets the database grow by less. */
static uint64_t disk_free_bytes(const struct disk *disk)
{
    struct statvfs system;
    struct rlimit limit;
    if (statvfs(disk->cfg->server_data_dir, &system) != 0)
        return UINT64_MAX; /* nobody knows */
    uint64_t left = system.f_flag & ST_RDONLY ? 0 : (uint64_t)system.f_bavail * system.f_frsize;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        uint64_t size = store_size(disk->store), grows = limit.rlim_cur > size ? limit.rlim_cur - size : 0;
        left = grows < left ? grows : left;
    }
    return left;
}

/* All shards flush what they have into the same file system. */
static uint64_t disk_reserve(const struct disk *disk)
{
    uint64_t flushes = disk->shards * disk->cfg->shard_flush_bytes;
    return flushes > disk->cfg->shard_disk_reserve ? flushes : disk->cfg->shard_disk_reserve;
}

/* Rows that a turn may change. */
static uint64_t disk_rows(const struct disk *disk)
{
    uint64_t room = store_room(disk->store) + disk->left / disk->shards;
    return room / ROW_BYTES < ROWS_MOST ? room / ROW_BYTES : ROWS_MOST;
}

static void disk_look_at_room(struct disk *disk)
{
    bool stuck = disk->full && disk_rows(disk) < ROWS_LEAST;
    if (stuck && !disk->stuck)
        log_error("the disk takes no more writes: deletes are also refused");
    disk->stuck = stuck;
}

void disk_init(struct disk *disk, struct store *store, const struct config *cfg, struct metrics *metrics,
               unsigned shards)
{
    *disk = (struct disk){.store = store, .cfg = cfg, .metrics = metrics, .shards = shards};
    disk_look(disk);
}

void disk_look(struct disk *disk)
{
    uint64_t ballast = disk->cfg->shard_disk_ballast;
    disk->unlooked = 0;
    disk->left = disk_free_bytes(disk);
    metrics_set(disk->metrics, METRIC_DISK_FREE, disk->left);
    bool full = !store_reserve(disk->store, ballast) || disk->left < disk_reserve(disk);
    /* A quota shows only when something is asked for. */
    if (!full && (disk->full || !disk->looked))
        full = !store_probe(disk->store, ballast);
    if (full && !disk->full)
        log_error("less than shard.disk_reserve is free: creates and appends are refused");
    if (!full && disk->full)
        log_info("the disk has room again");
    disk->full = full;
    disk->looked = true;
    disk->room = store_room(disk->store);
    journal_use_rows(disk->store, full);
    disk_look_at_room(disk);
}

bool disk_takes(struct disk *disk, size_t bytes)
{
    if (disk->unlooked + bytes > LOOK_BYTES)
        disk_look(disk);
    return !disk->full;
}

/* Flushing writes much in a short time. The ballast that it has used is allocated anew before all of it is: somebody
 * else may fill the disk at any moment. On a full disk the write-ahead log begins anew after each turn, so that the
 * next has all the room. */
void disk_committed(struct disk *disk)
{
    if (!disk->full) {
        if (store_room(disk->store) < disk->room / 2)
            disk_look(disk);
        return;
    }
    store_checkpoint(disk->store);
    (void)!store_reserve(disk->store, disk->cfg->shard_disk_ballast);
    disk_look_at_room(disk);
}

bool disk_spent(const struct disk *disk)
{
    return disk->full && (disk->stuck || store_changes(disk->store) >= disk_rows(disk));
}

bool disk_has(const struct disk *disk, uint64_t bytes)
{
    return !disk->full || disk->left / disk->shards >= bytes;
}
