#include "shard/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/layout.h"
#include "common/mem.h"
#include "shard/segment.h"

#define PATH_LEN 4200
#define SLOT_DIGITS 3

/* One thing to do for the worker. */
struct task {
    struct work work;
    char root[PATH_LEN];
    char name[OBJECT_NAME_MAX];
    struct slice file;
    char failure[128]; /* "": none */
    objects_done *done;
    void *ctx;
};

static void root_of(const struct config *cfg, char out[PATH_LEN])
{
    if (*cfg->segment_directory)
        snprintf(out, PATH_LEN, "%s", cfg->segment_directory);
    else
        snprintf(out, PATH_LEN, "%s/segments", cfg->server_data_dir);
}

void objects_init(struct objects *objects, const struct config *cfg, struct worker *worker)
{
    *objects = (struct objects){.cfg = cfg, .worker = worker};
}

void object_name(char name[OBJECT_NAME_MAX], const struct object *object)
{
    snprintf(name, OBJECT_NAME_MAX, "%0*x/%016llx-%016llx-%016llx.seg", SLOT_DIGITS, layout_slot_of_uid(object->uid),
             (unsigned long long)object->uid, (unsigned long long)object->start, (unsigned long long)object->id);
}

/* ---- in the thread ---- */

static bool failed(struct task *task, const char *what)
{
    char why[64];
    snprintf(task->failure, sizeof task->failure, "%s: %s", what, strerror_r(errno, why, sizeof why));
    return false;
}

/* The folder of a slot, made if need be, and whatever it is in. */
static int open_folder(struct task *task, bool make)
{
    char slot[SLOT_DIGITS + 1];
    memcpy(slot, task->name, SLOT_DIGITS);
    slot[SLOT_DIGITS] = '\0';
    if (make && mkdir(task->root, 0700) != 0 && errno != EEXIST)
        return failed(task, "mkdir"), -1;
    int root = open(task->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return errno == ENOENT && !make ? -1 : (failed(task, "folder"), -1);
    bool made = make && mkdirat(root, slot, 0700) == 0;
    int folder = openat(root, slot, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 && !(errno == ENOENT && !make))
        failed(task, "folder");
    else if (made && fsync(root) != 0)
        failed(task, "fsync of the folder");
    close(root);
    return folder;
}

static const char *file_name(const struct task *task)
{
    return task->name + SLOT_DIGITS + 1;
}

static bool write_all(struct task *task, int fd)
{
    struct slice rest = task->file;
    while (rest.len) {
        ssize_t n = write(fd, rest.data, rest.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(task, "write");
        rest = slice_of(rest.data + n, rest.len - (size_t)n);
    }
    fault_point("segment.written");
    return fsync(fd) == 0 || failed(task, "fsync");
}

/* From the disk, not from what the kernel remembers of the writing. */
static bool read_back(struct task *task, int fd)
{
    char *copy = xmalloc(task->file.len);
    size_t at = 0;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    while (at < task->file.len) {
        ssize_t n = pread(fd, copy + at, task->file.len - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    bool good = at == task->file.len && memcmp(copy, task->file.data, at) == 0 && segment_check(task->file);
    free(copy);
    if (!good)
        snprintf(task->failure, sizeof task->failure, "it does not read back as it was written");
    return good;
}

static void put(struct work *work)
{
    struct task *task = (struct task *)work;
    int folder = open_folder(task, true);
    if (folder < 0)
        return;
    int fd = openat(folder, file_name(task), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        failed(task, "open");
    else if (write_all(task, fd) && (fsync(folder) == 0 || failed(task, "fsync of the folder")))
        (void)read_back(task, fd);
    if (fd >= 0)
        close(fd);
    close(folder);
    fault_point("segment.put");
}

static void take_away(struct work *work)
{
    struct task *task = (struct task *)work;
    int folder = open_folder(task, false);
    if (folder < 0)
        return;
    if (unlinkat(folder, file_name(task), 0) != 0 && errno != ENOENT)
        failed(task, "unlink");
    close(folder);
    fault_point("segment.removed");
}

/* ---- in the shard ---- */

static void task_done(struct work *work, void *ctx)
{
    struct task *task = (struct task *)work;
    task->done(task->ctx, !ctx ? "the shard stops" : *task->failure ? task->failure : NULL);
    free(task);
}

static void begin(struct objects *objects, const struct object *object, struct slice file, void (*run)(struct work *),
                  objects_done *done, void *ctx)
{
    struct task *task = xcalloc(1, sizeof *task);
    *task = (struct task){.work = {.run = run, .done = task_done}, .file = file, .done = done, .ctx = ctx};
    root_of(objects->cfg, task->root);
    object_name(task->name, object);
    worker_put(objects->worker, &task->work);
}

void objects_put(struct objects *objects, const struct object *object, struct slice file, objects_done *done, void *ctx)
{
    begin(objects, object, file, put, done, ctx);
}

void objects_remove(struct objects *objects, const struct object *object, objects_done *done, void *ctx)
{
    begin(objects, object, (struct slice){0}, take_away, done, ctx);
}

int objects_open(const struct objects *objects, const struct object *object)
{
    char root[PATH_LEN], name[OBJECT_NAME_MAX], path[PATH_LEN + OBJECT_NAME_MAX];
    root_of(objects->cfg, root);
    object_name(name, object);
    snprintf(path, sizeof path, "%s/%s", root, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}
