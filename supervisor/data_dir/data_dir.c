/* The lock is an flock on a file that every child keeps open: it is free when the last process of a server is gone,
 * however that came. The pid in the file is only for the message.
 *
 * The layout says which shard has which stream. Databases without a layout mean that it was lost, and to guess would
 * hide streams: streamd does not start then. */
#include "supervisor/data_dir/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/owned.h"

#define PATH_ROOM 4096
#define ORPHANS_WAIT_MS 10000
#define ORPHANS_STEP_MS 20

static int data_dir_holder_pid(int fd)
{
    char text[16] = "";
    ssize_t len = pread(fd, text, sizeof text - 1, 0);
    return len > 0 ? atoi(text) : 0;
}

/* A streamd that was killed leaves children that are about to notice; a new one waits for them to be gone. */
static void data_dir_wait_for_lock(int fd, const char *data_dir)
{
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += ORPHANS_STEP_MS) {
        if (errno != EWOULDBLOCK)
            fatal("cannot lock %s", data_dir);
        int pid = data_dir_holder_pid(fd);
        /* A live pid is taken for a running supervisor, so waiting would not help. EPERM also means that the process
         * lives. Without a live pid only children are left, and they are about to end. */
        if (pid > 0 && (kill(pid, 0) == 0 || errno == EPERM))
            fatal_never_restart("another streamd (pid %d) works on the folder %s", pid, data_dir);
        if (waited >= ORPHANS_WAIT_MS)
            fatal_never_restart("processes of an earlier streamd (pid %d) still hold the folder %s", pid, data_dir);
        usleep(ORPHANS_STEP_MS * 1000);
    }
}

/* An error that another start would find again ends with EXIT_NEVER_RESTART, so that systemd does not try. */
NORETURN static void data_dir_cannot(const char *what, const char *path)
{
    static const int stays[] = {EACCES, EPERM, ENOENT, ENOTDIR, EROFS, ENAMETOOLONG, ELOOP};
    for (size_t i = 0; i < sizeof stays / sizeof stays[0]; i++)
        if (errno == stays[i])
            fatal_never_restart("cannot %s %s: %s", what, path, strerror(errno));
    fatal("cannot %s %s", what, path);
}

/* GLOB_ERR makes an unreadable folder an error, and an error counts as "there are databases". */
static bool data_dir_has_databases(const char *data_dir)
{
    char pattern[PATH_ROOM];
    glob_t found = {0};
    snprintf(pattern, sizeof pattern, "%s/shard-*.db", data_dir);
    int result = glob(pattern, GLOB_NOSORT | GLOB_ERR, NULL, &found);
    globfree(&found);
    return result != GLOB_NOMATCH; /* when in doubt there are some */
}

static bool data_dir_there(const char *data_dir, const char *name)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", data_dir, name);
    return access(path, F_OK) == 0;
}

bool data_dir_in_use(const char *data_dir)
{
    return data_dir_has_databases(data_dir) || data_dir_there(data_dir, "layout") ||
           data_dir_there(data_dir, "registry.db");
}

/* A process may have died after it made the folder, so one that has no data yet is synced, too. */
void data_dir_make(const char *data_dir)
{
    if (owned_mkdir(AT_FDCWD, data_dir) != 0 && errno != EEXIST)
        data_dir_cannot("make the folder", data_dir);
    if (!data_dir_in_use(data_dir) && !file_sync_parent(data_dir))
        data_dir_cannot("sync the folder that has", data_dir);
}

int data_dir_lock(const char *data_dir)
{
    char path[PATH_ROOM], text[16];
    data_dir_make(data_dir);
    snprintf(path, sizeof path, "%s/lock", data_dir);
    int fd = owned_open(AT_FDCWD, path, O_RDWR);
    if (fd < 0)
        data_dir_cannot("open", path);
    data_dir_wait_for_lock(fd, data_dir);
    /* On a full disk its old block is all there is: the file is shortened after writing. */
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (pwrite(fd, text, (size_t)len, 0) != len || ftruncate(fd, len) != 0)
        log_warn_errno("%s: the pid cannot be written; the folder is locked all the same", path);
    return fd;
}

bool data_dir_half_restored(const char *data_dir)
{
    return data_dir_there(data_dir, "restore");
}

void data_dir_read_layout(const char *data_dir, unsigned shards, struct layout *layout)
{
    const char *why;
    switch (layout_load(data_dir, layout, &why)) {
    case LAYOUT_LOADED:
        return;
    case LAYOUT_DAMAGED:
        fatal_never_restart("%s/layout is damaged: %s", data_dir, why);
    case LAYOUT_ABSENT:
        break;
    }
    if (data_dir_has_databases(data_dir))
        fatal_never_restart("%s holds databases (shard-*.db) but no layout file that says which streams are where",
                            data_dir);
    layout_init(layout, shards);
    if (!layout_save(data_dir, layout))
        fatal("cannot write %s/layout", data_dir);
}
