/* Tasks for the worker. A task has copies of all names. The bytes of a file to put stay the caller's until done();
 * those of a file for the cache belong to the task.
 *
 * A file that is to stay is written, synced with its folder, and read back from the disk. One for the cache is checked
 * first, then written under another name and renamed: a reader finds all of it or nothing. Failures are texts for the
 * log; the first one counts.
 *
 * Failure modes: The disk is full: a file of the store is removed again; for one of the cache the cache is emptied, and
 * it is tried once more. The folder is not this server's: nothing is written there, and a file that is
 * missing there does not count as removed.
 */
#include "shard/segments/object_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/file.h"
#include "common/layout.h"
#include "common/mem.h"
#include "common/owned.h"
#include "shard/segments/owner.h"
#include "shard/segments/segment.h"
#include "shard/store/store_segment.h"

/* One thing to do for the worker. */
struct task {
    struct work work;
    char root[OBJECT_ROOT_MAX];
    char name[OBJECT_NAME_MAX];
    struct slice file;
    struct buf owned;        /* of a cache */
    uint64_t checksum, most; /* of a cache, too */
    const struct owner *owner;
    char failure[OWNER_WHY_MAX]; /* "": none */
    int error;                   /* errno of it */
    objects_done *done;
    void *ctx;
};

/* ---- in the thread ---- */

static bool object_files_failed(struct task *task, const char *what)
{
    char why[64];
    task->error = errno;
    snprintf(task->failure, sizeof task->failure, "%s: %s", what, strerror_r(errno, why, sizeof why));
    return false;
}

/* Opens the folder of a slot. make: creates it and the folder of the store. -1 without a failure: it is not there. */
static int object_files_open_folder(struct task *task, bool make)
{
    char slot[OBJECT_SLOT_DIGITS + 1];
    memcpy(slot, task->name, OBJECT_SLOT_DIGITS);
    slot[OBJECT_SLOT_DIGITS] = '\0';
    if (make && owned_mkdir(AT_FDCWD, task->root) != 0 && errno != EEXIST)
        return object_files_failed(task, "mkdir"), -1;
    int root = open(task->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return errno == ENOENT && !make ? -1 : (object_files_failed(task, "folder"), -1);
    if (make)
        (void)!owned_mkdir(root, slot); /* if it is not there then, the next line says why */
    int folder = openat(root, slot, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 && !(errno == ENOENT && !make))
        object_files_failed(task, "folder");
    else if (make && task->owner && fsync(root) != 0) { /* a process may have died after it made the slot's folder */
        object_files_failed(task, "fsync of the folder");
        close(folder);
        folder = -1;
    }
    close(root);
    return folder;
}

static const char *object_files_file_name(const struct task *task)
{
    return task->name + OBJECT_SLOT_DIGITS + 1;
}

static bool object_files_write(struct task *task, int fd)
{
    return file_write_at(fd, task->file, 0) || object_files_failed(task, "write");
}

static bool object_files_make_sure(struct task *task, int fd, int folder)
{
    fault_point("segment.written");
    if (fsync(fd) != 0)
        return object_files_failed(task, "fsync");
    return fsync(folder) == 0 || object_files_failed(task, "fsync of the folder");
}

/* Compares the file with the bytes that were meant. The kernel is asked to drop its copy of the file first, so that the
 * bytes come from the disk. The chunks of these messages are deleted after this: the file will be the only copy. */
static bool object_files_read_back(struct task *task, int fd)
{
    char *copy = xmalloc(task->file.len);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    bool good = file_read_at(fd, copy, task->file.len, 0) && memcmp(copy, task->file.data, task->file.len) == 0 &&
                segment_check(task->file);
    free(copy);
    if (!good)
        snprintf(task->failure, sizeof task->failure, "it does not read back as it was written");
    return good;
}

static void object_files_put(struct work *work)
{
    struct task *task = (struct task *)work;
    if (!owner_has(task->owner, task->root, true, task->failure))
        return;
    int folder = object_files_open_folder(task, true);
    if (folder < 0)
        return;
    int fd = owned_open(folder, object_files_file_name(task), O_RDWR | O_TRUNC);
    if (fd < 0)
        object_files_failed(task, "open");
    else if (!object_files_write(task, fd))
        unlinkat(folder, object_files_file_name(task), 0); /* a full disk wants it back */
    else if (object_files_make_sure(task, fd, folder))
        (void)object_files_read_back(task, fd);
    if (fd >= 0)
        close(fd);
    close(folder);
    fault_point("segment.put");
}

/* A file that is not there is removed, if the folder is still this server's. In an unmounted folder nothing is there:
 * success would remove the row, and the file would be left behind for good. */
static void object_files_not_there(struct task *task)
{
    if (task->owner)
        (void)!owner_has(task->owner, task->root, false, task->failure);
}

static void object_files_take_away(struct work *work)
{
    struct task *task = (struct task *)work;
    int folder = object_files_open_folder(task, false);
    if (folder < 0) {
        if (!*task->failure)
            object_files_not_there(task);
        return;
    }
    if (unlinkat(folder, object_files_file_name(task), 0) == 0) {
        if (fsync(folder) != 0)
            object_files_failed(task, "fsync of the folder");
    } else if (errno == ENOENT) {
        object_files_not_there(task);
    } else {
        object_files_failed(task, "unlink");
    }
    close(folder);
    fault_point("segment.removed");
}

/* ---- the cache ---- */

struct cached {
    char name[OBJECT_NAME_MAX];
    struct timespec used;
    uint64_t size;
};

static void object_files_list_folder(int root, const char *slot, struct buf *all)
{
    struct cached cached;
    struct stat stat;
    int fd = openat(root, slot, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) + OBJECT_SLOT_DIGITS + 2 > sizeof cached.name ||
            fstatat(fd, entry->d_name, &stat, 0) != 0)
            continue;
        snprintf(cached.name, sizeof cached.name, "%.*s/%.*s", OBJECT_SLOT_DIGITS, slot,
                 OBJECT_NAME_MAX - OBJECT_SLOT_DIGITS - 2, entry->d_name);
        cached.used = stat.st_atim;
        cached.size = (uint64_t)stat.st_size;
        buf_add(all, &cached, sizeof cached);
    }
    if (folder)
        closedir(folder);
    else if (fd >= 0)
        close(fd);
}

static int object_files_by_use(const void *a, const void *b)
{
    const struct cached *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

/* Removes the files that were not used for longest until `most` bytes are left, but never the newest `kept`: the file
 * that was just fetched is one of them. A file that is removed while it is open can still be read. */
static void object_files_trim(const struct task *task, uint64_t most, size_t kept)
{
    struct buf all = {0};
    uint64_t sum = 0;
    int root = open(task->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *slots = root < 0 ? NULL : fdopendir(root);
    for (struct dirent *entry; slots && (entry = readdir(slots));)
        if (strlen(entry->d_name) == OBJECT_SLOT_DIGITS)
            object_files_list_folder(root, entry->d_name, &all);
    struct cached *cached = (struct cached *)(void *)all.data;
    size_t count = buf_len(&all) / sizeof *cached;
    if (count)
        qsort(cached, count, sizeof *cached, object_files_by_use);
    for (size_t i = 0; i < count; i++)
        sum += cached[i].size;
    for (size_t i = 0; i + kept < count && sum > most; i++)
        if (unlinkat(root, cached[i].name, 0) == 0)
            sum -= cached[i].size;
    buf_clear(&all);
    if (slots)
        closedir(slots);
    else if (root >= 0)
        close(root);
}

/* Compares head and index with the checksum of the database before any block is inflated: bytes from a bucket are not
 * to be trusted. */
static bool object_files_is_segment(struct slice file, uint64_t checksum)
{
    struct segment segment;
    uint64_t need;
    if (!segment_parse(&segment, file, file.len, &need))
        return false;
    bool good = segment.checksum == checksum && segment_check(file);
    segment_clear(&segment);
    return good;
}

static bool object_files_put_in_cache(struct task *task, int folder)
{
    char temporary[OBJECT_NAME_MAX + 8];
    snprintf(temporary, sizeof temporary, "%s.new", object_files_file_name(task));
    int fd = owned_open(folder, temporary, O_WRONLY | O_TRUNC);
    if (fd < 0)
        return object_files_failed(task, "open");
    bool good =
        object_files_write(task, fd) &&
        (renameat(folder, temporary, folder, object_files_file_name(task)) == 0 || object_files_failed(task, "rename"));
    if (!good)
        unlinkat(folder, temporary, 0);
    close(fd);
    return good;
}

/* A store that is configured as the cache by mistake would be trimmed, and its only copies be lost. */
static bool object_files_has_owner(const char *root)
{
    char path[OBJECT_ROOT_MAX + OBJECT_NAME_MAX];
    snprintf(path, sizeof path, "%s/" OWNER_NAME, root);
    return access(path, F_OK) == 0;
}

static void object_files_cache(struct work *work)
{
    struct task *task = (struct task *)work;
    if (!object_files_is_segment(task->file, task->checksum)) {
        snprintf(task->failure, sizeof task->failure, "damaged");
        return;
    }
    if (object_files_has_owner(task->root)) {
        snprintf(task->failure, sizeof task->failure,
                 "segment.cache_directory: %.900s is a store of segments: it has a file " OWNER_NAME, task->root);
        return;
    }
    int folder = object_files_open_folder(task, true);
    if (folder < 0)
        return;
    /* On a full disk the cache is emptied: what is being read counts for more than what was read. */
    if (!object_files_put_in_cache(task, folder) && (task->error == ENOSPC || task->error == EDQUOT)) {
        object_files_trim(task, 0, 0);
        *task->failure = '\0';
        (void)!object_files_put_in_cache(task, folder);
    }
    close(folder);
    if (task->most)
        object_files_trim(task, task->most, 1);
}

/* ---- in the shard ---- */

static void object_files_task_done(struct work *work, void *ctx)
{
    struct task *task = (struct task *)work;
    task->done(task->ctx, !ctx ? "the shard stops" : *task->failure ? task->failure : NULL);
    buf_clear(&task->owned);
    free(task);
}

static struct task *object_files_begin(const char *root, const struct object *object, void (*run)(struct work *),
                                       objects_done *done, void *ctx)
{
    struct task *task = xcalloc(1, sizeof *task);
    *task = (struct task){.work = {.run = run, .done = object_files_task_done}, .done = done, .ctx = ctx};
    snprintf(task->root, sizeof task->root, "%s", root);
    object_name(task->name, object);
    return task;
}

void files_put(struct worker *worker, const char *root, const struct owner *owner, const struct object *object,
               struct slice file, objects_done *done, void *ctx)
{
    struct task *task = object_files_begin(root, object, object_files_put, done, ctx);
    task->owner = owner;
    task->file = file;
    worker_put(worker, &task->work);
}

void files_cache(struct worker *worker, const char *root, const struct object *object, struct buf *file,
                 uint64_t checksum, uint64_t most, objects_done *done, void *ctx)
{
    struct task *task = object_files_begin(root, object, object_files_cache, done, ctx);
    task->owned = *file;
    task->file = buf_slice(&task->owned);
    task->checksum = checksum;
    task->most = most;
    *file = (struct buf){0};
    worker_put(worker, &task->work);
}

void files_remove(struct worker *worker, const char *root, const struct owner *owner, const struct object *object,
                  objects_done *done, void *ctx)
{
    struct task *task = object_files_begin(root, object, object_files_take_away, done, ctx);
    task->owner = owner;
    worker_put(worker, &task->work);
}
