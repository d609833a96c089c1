/* Room on the disk.
 *
 * Both files, the database and its WAL, get blocks in advance (fallocate with FALLOC_FL_KEEP_SIZE), behind their end.
 * SQLite would give such blocks away: it truncates the database after each checkpoint, so that method is replaced by
 * one that truncates only if the size changes. When the process ends, the WAL stays, with its blocks: the next start
 * may be on a full disk.
 *
 * A commit whose fsync fails ends the process, but the kernel takes its pages for written: the next process reads them,
 * and no later fsync brings them to the disk. So every start writes the WAL over itself. It does so before anything
 * else: a checkpoint that came first would bring pages of such frames to the database, and after a failure of the power
 * the older frames that the disk has of the WAL would be laid over them.
 *
 * Failure modes: a file system without fallocate counts as one that has room; one that copies on write (btrfs) needs
 * other blocks all the same, so the reserve is no room there. */
#include "shard/store/store_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/log.h"
#include "shard/store/journal.h"
#include "shard/store/store_sql.h"

#define CHECKPOINT_PAGES 4000
#define BLOCK 4096
#define SHARED_BYTES ((off_t)256 << 10) /* of the memory that readers share: for 128 MiB of WAL */
#define STAT_BLOCK 512                  /* what st_blocks counts */
#define FRAME_HEADER 24                 /* of a page in the WAL */
#define HEAD_BYTES 64                   /* what an entry of the journal costs at most, without its data */

uint64_t store_size(struct store *store)
{
    return (uint64_t)store_number(store, "PRAGMA page_count") * (uint64_t)store_number(store, "PRAGMA page_size");
}

static int store_disk_open_file(const struct store *store, const char *suffix)
{
    char path[sizeof store->path + 8];
    snprintf(path, sizeof path, "%s%s", store->path, suffix);
    return open(path, O_RDWR | O_CLOEXEC);
}

/* A file system that copies on write has to find other blocks all the same. */
static bool store_disk_writes_in_place(int fd)
{
    struct statfs stat;
    return fstatfs(fd, &stat) == 0 && stat.f_type != BTRFS_SUPER_MAGIC;
}

/* SQLite loses its locks on a file when this process closes any descriptor of it: store_close() does that last. */
static void store_disk_open_files(struct store *store)
{
    if (store->database_reserve.fd < 0)
        store->database_reserve.fd = store_disk_open_file(store, "");
    if (store->wal_reserve.fd < 0) {
        store->wal_reserve.fd = store_disk_open_file(store, "-wal");
        store->wal_reserve.in_place = store_disk_writes_in_place(store->wal_reserve.fd);
    }
    if (store->shared_fd < 0)
        store->shared_fd = store_disk_open_file(store, "-shm");
}

/* Truncating a file drops the blocks behind its end, so a file that was truncated is asked for all of them again. */
static bool store_disk_reserve(struct store_file *file, uint64_t bytes)
{
    struct stat stat;
    if (file->fd < 0 || fstat(file->fd, &stat) != 0)
        return false;
    off_t from = stat.st_size & ~(off_t)(BLOCK - 1);
    if (stat.st_size < file->size)
        file->upto = 0;
    file->size = stat.st_size;
    if (file->upto >= bytes)
        return true;
    /* XFS wants as much once more for blocks that are there. */
    if (from < (off_t)bytes && fallocate(file->fd, FALLOC_FL_KEEP_SIZE, from, (off_t)bytes - from) != 0 &&
        (uint64_t)stat.st_blocks * STAT_BLOCK < bytes)
        return errno == EOPNOTSUPP || errno == ENOSYS;
    file->upto = bytes;
    return true;
}

static uint64_t store_disk_wal_bytes(const struct store *store)
{
    return store->wal_pages * (store->page_size + FRAME_HEADER);
}

bool store_reserve(struct store *store, uint64_t bytes)
{
    store->reserve = bytes;
    if (!bytes)
        return true;
    store_disk_open_files(store); /* a new database has no WAL at first */
    /* This file is mapped: a page whose blocks are not there would end the process. */
    if (store->shared_fd >= 0)
        (void)!fallocate(store->shared_fd, FALLOC_FL_KEEP_SIZE, 0, SHARED_BYTES);
    bool wal = store_disk_reserve(&store->wal_reserve, store_disk_wal_bytes(store) + bytes);
    return store_disk_reserve(&store->database_reserve, store_size(store) + bytes) && wal;
}

/* In a file that has no name and goes with its descriptor. Blocks behind the end of the WAL would not do: ext4 does not
 * take them back when a hole is punched there, so that each shard would keep twice what it needs. */
bool store_probe(struct store *store, uint64_t bytes)
{
    char folder[sizeof store->path];
    if (!bytes)
        return true;
    snprintf(folder, sizeof folder, "%s", store->path);
    int fd = open(dirname(folder), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno != ENOSPC && errno != EDQUOT; /* a file system without such files tells by writing */
    bool there = fallocate(fd, 0, 0, (off_t)bytes) == 0 || errno == EOPNOTSUPP || errno == ENOSYS;
    close(fd);
    return there;
}

bool store_disk_shares(const char *data_dir)
{
    struct statvfs disk;
    return statvfs(data_dir, &disk) != 0 || (uint64_t)disk.f_bavail * disk.f_frsize >= (uint64_t)SHARED_BYTES * 4;
}

/* Room is what the WAL has ahead of it: a transaction writes there first, and to the database only at a checkpoint. */
uint64_t store_room(const struct store *store)
{
    const struct store_file *file = &store->wal_reserve;
    uint64_t used = store_disk_wal_bytes(store),
             there = file->upto > (uint64_t)file->size ? file->upto : (uint64_t)file->size;
    return there > used && file->in_place ? there - used : 0;
}

uint64_t store_unused(struct store *store)
{
    struct stat stat;
    uint64_t pages = (uint64_t)store_number(store, "PRAGMA freelist_count") * store->page_size;
    if (store->database_reserve.fd < 0 || fstat(store->database_reserve.fd, &stat) != 0)
        return pages;
    uint64_t size = store_size(store), there = (uint64_t)stat.st_blocks * STAT_BLOCK;
    return pages + (there > size ? there - size : 0);
}

/* Each entry of the journal is counted as one, because flushing will change one for it. */
unsigned store_changes(const struct store *store)
{
    unsigned rows = store->open ? (unsigned)sqlite3_total_changes(store->db) - store->changes_before : 0;
    for (const struct batch *batch = store->batches; batch; batch = batch->next)
        rows += (unsigned)(buf_len(&batch->heads) / HEAD_BYTES);
    return rows;
}

/* Pages that cannot be copied, for lack of room or because somebody reads them, stay in the WAL. */
void store_checkpoint(struct store *store)
{
    int pages = 0, copied = -1;
    store->database_reserve.upto = 0; /* its end may move */
    int rc = sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_PASSIVE, &pages, &copied);
    if (rc == SQLITE_OK && pages >= 0)
        store->wal_pages = copied == pages ? 0 : (uint64_t)pages;
}

static int store_disk_on_commit(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct store *store = ctx;
    (void)db;
    (void)name;
    store->wal_pages = (uint64_t)pages;
    if (pages >= CHECKPOINT_PAGES)
        store_checkpoint(store);
    return SQLITE_OK;
}

/* SQLite truncates after each checkpoint, mostly to the size that the file has: its blocks behind that would go. */
static int store_disk_truncate_if_longer(sqlite3_file *file, sqlite3_int64 size)
{
    const struct store_database_file *database = (const struct store_database_file *)(const void *)file->pMethods;
    sqlite3_int64 now;
    if (database->methods.xFileSize(file, &now) == SQLITE_OK && now == size)
        return SQLITE_OK;
    return database->truncate(file, size);
}

static void store_disk_keep_blocks(struct store *store)
{
    struct store_database_file *database = &store->database_file;
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file ||
        !file->pMethods)
        return;
    database->methods = *file->pMethods;
    database->truncate = database->methods.xTruncate;
    database->methods.xTruncate = store_disk_truncate_if_longer;
    file->pMethods = &database->methods;
}

/* Nobody else writes to the WAL, and readers find it as it was. A full disk whose file system copies on write has no
 * blocks for it; it must not keep the shard from starting. */
void store_disk_write_wal_anew(const struct store *store)
{
    struct stat stat;
    int fd = store_disk_open_file(store, "-wal");
    if (fd < 0)
        return; /* a new database has none */
    if (fstat(fd, &stat) != 0 || (!file_write_anew(fd, (uint64_t)stat.st_size) && errno != ENOSPC && errno != EDQUOT))
        fatal("%s-wal: cannot be written anew", store->path);
    close(fd);
}

void store_disk_init(struct store *store)
{
    struct stat stat;
    store->page_size = (uint64_t)store_number(store, "PRAGMA page_size");
    store->database_reserve.fd = store->wal_reserve.fd = store->shared_fd = -1;
    store_disk_keep_blocks(store);
    sqlite3_wal_hook(store->db, store_disk_on_commit, store);
    store_disk_open_files(store);
    if (store->wal_reserve.fd >= 0 && fstat(store->wal_reserve.fd, &stat) == 0)
        store->wal_pages = (uint64_t)stat.st_size / (store->page_size + FRAME_HEADER); /* at most */
    store_checkpoint(store);
}

/* The files stay with their reserve: the next start may be on a full disk. */
void store_disk_closing(struct store *store)
{
    int yes = 1;
    if (store->reserve)
        sqlite3_file_control(store->db, "main", SQLITE_FCNTL_PERSIST_WAL, &yes);
}

void store_disk_closed(struct store *store)
{
    if (store->reserve && !store_disk_reserve(&store->wal_reserve, store->reserve))
        log_warn("%s: the disk has no room for shard.disk_ballast", store->path);
    if (store->database_reserve.fd >= 0)
        close(store->database_reserve.fd);
    if (store->wal_reserve.fd >= 0)
        close(store->wal_reserve.fd);
    if (store->shared_fd >= 0)
        close(store->shared_fd);
}
