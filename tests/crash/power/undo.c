/* Undo logs: what has to be undone if the power fails now.
 *
 * $STREAMD_POWER is a folder beside the one that is watched ($STREAMD_POWER_ROOT), on the same file system:
 *
 *     log/INODE     what happened to a file or folder since its last fsync: records, oldest first
 *     attic/NAME    files that were unlinked or replaced, as links: they may have to come back
 *     orders/KIND   "ACTION PATTERN": what the next call of that kind on a path of that pattern does
 *     off           a call was ordered to switch off, and waits for the end
 *
 * A record is written before its call, under a lock of the log (flock) that is held until the call is done. So when
 * every process has been killed, each call has its record, and whether it was done does not matter: a record says how
 * things were before. power_off.mjs reads the logs; struct record is its format.
 *
 * An fsync empties the log, unless an fsync of that file has failed before. The kernel forgets then which pages it
 * could not write: reads give them, and a later fsync succeeds without them. Such a log is kept, with marks in it.
 *
 * Failure modes: a process that is killed while it writes a record leaves a part of one, whose call was not done; the
 * next record follows, and the reader finds it by its magic number. What is not covered ends the process with an error.
 */
#include "undo.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAGIC 0x6b71c3f09d2e58a4
#define NEVER_SYNCED "-shm" /* SQLite builds it anew */

enum record_kind { RECORD_WRITE = 1, RECORD_CUT, RECORD_NAMES, RECORD_SYNCED, RECORD_FAILED };

/* WRITE, CUT: `bytes` bytes as they were, from `from` on; `len`: of the range; `size`, `after`: of the file.
 * NAMES: pairs of strings, a name and the link in the attic or "". SYNCED, FAILED: `from` is an offset in the log. */
struct record {
    uint64_t magic, kind, bytes, from, len, size, after;
};

/* ---- ground: calls that are not caught ---- */

static int undo_raw_open(int dir, const char *path, int flags)
{
    return (int)syscall(SYS_openat, dir, path, flags | O_CLOEXEC, 0600);
}

void undo_die(const char *what, const char *path)
{
    char line[UNDO_PATH_MAX + 256];
    int len = snprintf(line, sizeof line, "power: error: %s: %s (%m)\n", what, path);
    (void)!syscall(SYS_write, STDERR_FILENO, line, (size_t)len);
    abort();
}

static const char *undo_setting(const char *name)
{
    const char *value = getenv(name);
    if (!value || !*value)
        undo_die("not set", name);
    return value;
}

static void undo_path(char path[UNDO_PATH_MAX], const char *kind, const char *name)
{
    snprintf(path, UNDO_PATH_MAX, "%s/%s/%s", undo_setting("STREAMD_POWER"), kind, name);
}

/* ---- what is watched ---- */

static bool undo_is_below(const char *path)
{
    const char *root = undo_setting("STREAMD_POWER_ROOT");
    size_t len = strlen(root), all = strlen(path), end = sizeof NEVER_SYNCED - 1;
    bool volatile_file = all > end && strcmp(path + all - end, NEVER_SYNCED) == 0;
    return strncmp(path, root, len) == 0 && (path[len] == '\0' || path[len] == '/') && !volatile_file;
}

/* The folder that has the watched one: an fsync of it makes that one durable. */
static bool undo_is_above(const char *path)
{
    const char *root = undo_setting("STREAMD_POWER_ROOT");
    size_t len = (size_t)(strrchr(root, '/') - root);
    return strncmp(path, root, len) == 0 && path[len] == '\0';
}

static bool undo_path_of(int fd, char path[UNDO_PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, PATH_MAX);
    path[len < 0 ? 0 : len] = '\0';
    return len > 0;
}

/* A file without a name (O_TMPFILE) is gone with the power, whatever is in it. */
bool undo_covers(int fd, struct stat *stat, char path[UNDO_PATH_MAX])
{
    if (fstat(fd, stat) != 0 || stat->st_nlink == 0)
        return false;
    if (S_ISDIR(stat->st_mode))
        return undo_path_of(fd, path) && (undo_is_below(path) || undo_is_above(path));
    return S_ISREG(stat->st_mode) && undo_path_of(fd, path) && undo_is_below(path);
}

static int undo_open_folder(int dir, const char *path, const char *slash)
{
    char folder[PATH_MAX];
    size_t len = slash ? (size_t)(slash - path) + (slash == path) : 1;
    if (len >= sizeof folder)
        return -1;
    memcpy(folder, slash ? path : ".", len);
    folder[len] = '\0';
    return undo_raw_open(dir, folder, O_PATH | O_DIRECTORY);
}

bool undo_place_open(struct undo_place *place, int dir, const char *path)
{
    struct stat stat;
    int before = errno;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int folder = strlen(name) > NAME_MAX ? -1 : undo_open_folder(dir, path, slash);
    bool known = folder >= 0 && fstat(folder, &stat) == 0 && undo_path_of(folder, place->path);
    if (known) {
        strcpy(place->name, name);
        strcat(strcat(place->path, "/"), name);
        place->ino = stat.st_ino;
        place->folder = folder;
    }
    if (known && undo_is_below(place->path))
        return true;
    if (folder >= 0)
        close(folder);
    errno = before;
    return false;
}

void undo_place_close(struct undo_place *place)
{
    int before = errno;
    close(place->folder);
    errno = before;
}

bool undo_place_exists(const struct undo_place *place)
{
    struct stat stat;
    return fstatat(place->folder, place->name, &stat, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- logs ---- */

int undo_open(ino_t ino)
{
    char name[32], path[UNDO_PATH_MAX];
    snprintf(name, sizeof name, "%ju", (uintmax_t)ino);
    undo_path(path, "log", name);
    int log = undo_raw_open(AT_FDCWD, path, O_RDWR | O_CREAT | O_APPEND);
    while (log >= 0 && flock(log, LOCK_EX) != 0)
        if (errno != EINTR)
            undo_die("flock", path);
    if (log < 0)
        undo_die("open", path);
    return log;
}

void undo_close(int log)
{
    int before = errno;
    close(log);
    errno = before;
}

off_t undo_end(int log)
{
    struct stat stat;
    if (fstat(log, &stat) != 0)
        undo_die("fstat", "a log");
    return stat.st_size;
}

static void undo_add(int log, struct record record, const void *bytes)
{
    struct iovec parts[] = {{&record, sizeof record}, {(void *)(uintptr_t)bytes, record.bytes}};
    record.magic = MAGIC;
    if (syscall(SYS_writev, log, parts, record.bytes ? 2 : 1) != (long)(sizeof record + record.bytes))
        undo_die("write", "a log");
}

static char *undo_read(int fd, off_t from, size_t len)
{
    char *bytes = malloc(len + 1);
    size_t at = 0;
    while (bytes && at < len) {
        ssize_t n = pread(fd, bytes + at, len - at, from + (off_t)at);
        if (n == 0 || (n < 0 && errno != EINTR))
            undo_die("bytes that are overwritten cannot be read", "a file");
        at += n > 0 ? (size_t)n : 0;
    }
    return bytes;
}

/* `there`: bytes of the range that the file has. */
static void undo_add_bytes(int log, int fd, struct record record, size_t there)
{
    char *bytes = undo_read(fd, (off_t)record.from, there);
    record.bytes = there;
    undo_add(log, record, bytes);
    free(bytes);
}

void undo_write(int log, int fd, off_t from, size_t len, off_t size, off_t after)
{
    off_t there = size <= from ? 0 : size - from < (off_t)len ? size - from : (off_t)len;
    undo_add_bytes(
        log, fd,
        (struct record){
            .kind = RECORD_WRITE, .from = (uint64_t)from, .len = len, .size = (uint64_t)size, .after = (uint64_t)after},
        (size_t)there);
}

void undo_cut(int log, int fd, off_t size, off_t after)
{
    uint64_t len = (uint64_t)(size - after);
    undo_add_bytes(
        log, fd,
        (struct record){
            .kind = RECORD_CUT, .from = (uint64_t)after, .len = len, .size = (uint64_t)size, .after = (uint64_t)after},
        len);
}

/* Links the file into the attic, which keeps it and its inode number. "": there is none. */
static void undo_keep(const struct undo_place *place, char link[32])
{
    uint64_t random;
    char path[UNDO_PATH_MAX];
    *link = '\0';
    if (!undo_place_exists(place))
        return;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        undo_die("getrandom", place->path);
    snprintf(link, 32, "%016jx", (uintmax_t)random);
    undo_path(path, "attic", link);
    if (syscall(SYS_linkat, place->folder, place->name, AT_FDCWD, path, 0) != 0)
        undo_die("not covered: this is no file", place->path);
}

void undo_names(int log, const struct undo_place *one, const struct undo_place *two)
{
    char pairs[2 * (NAME_MAX + 34)], link[32];
    size_t len = 0;
    for (const struct undo_place *place = one; place; place = place == one ? two : NULL) {
        undo_keep(place, link);
        len += (size_t)sprintf(pairs + len, "%s", place->name) + 1;
        len += (size_t)sprintf(pairs + len, "%s", link) + 1;
    }
    undo_add(log, (struct record){.kind = RECORD_NAMES, .bytes = len}, pairs);
}

static void undo_failed_path(char path[UNDO_PATH_MAX], ino_t ino)
{
    char name[32];
    snprintf(name, sizeof name, "%ju.failed", (uintmax_t)ino);
    undo_path(path, "log", name);
}

void undo_synced(int log, ino_t ino, off_t upto)
{
    char failed[UNDO_PATH_MAX];
    undo_failed_path(failed, ino);
    if (upto != undo_end(log) || access(failed, F_OK) == 0)
        undo_add(log, (struct record){.kind = RECORD_SYNCED, .from = (uint64_t)upto}, NULL);
    else if (upto && syscall(SYS_ftruncate, log, 0) != 0)
        undo_die("ftruncate", "a log");
}

void undo_failed(int log, ino_t ino, off_t upto)
{
    char failed[UNDO_PATH_MAX];
    undo_failed_path(failed, ino);
    int fd = undo_raw_open(AT_FDCWD, failed, O_WRONLY | O_CREAT);
    if (fd < 0)
        undo_die("open", failed);
    close(fd);
    undo_add(log, (struct record){.kind = RECORD_FAILED, .from = (uint64_t)upto}, NULL);
}

/* ---- orders ---- */

static void undo_switch_off(const char *path)
{
    char off[UNDO_PATH_MAX];
    undo_path(off, ".", "off");
    int fd = undo_raw_open(AT_FDCWD, off, O_WRONLY | O_CREAT);
    if (fd < 0)
        undo_die("open", path);
    close(fd);
    for (;;)
        pause();
}

/* Reads the order, if it is for this path. */
static bool undo_order_read(const char *file, const char *path, char action[16])
{
    char text[256], pattern[256];
    int fd = undo_raw_open(AT_FDCWD, file, O_RDONLY);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len < 0 ? 0 : len] = '\0';
    return sscanf(text, "%15s %255s", action, pattern) == 2 && fnmatch(pattern, path, 0) == 0;
}

/* The process that removes the order has it, and nobody else. A lie is told until the test removes it. */
enum order undo_order(const char *kind, const char *path)
{
    static const struct {
        const char *name;
        enum order order;
        int error;
    } known[] = {{"EIO", ORDER_EIO, EIO}, {"ENOSPC", ORDER_ENOSPC, ENOSPC}, {"short", ORDER_SHORT, 0}};
    char file[UNDO_PATH_MAX], action[16];
    int before = errno;
    undo_path(file, "orders", kind);
    bool ordered = undo_order_read(file, path, action);
    bool lie = ordered && strcmp(action, "lie") == 0;
    bool mine = ordered && !lie && syscall(SYS_unlinkat, AT_FDCWD, file, 0) == 0;
    errno = before;
    if (lie)
        return ORDER_LIE;
    if (mine && strcmp(action, "off") == 0)
        undo_switch_off(path);
    for (size_t i = 0; mine && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(action, known[i].name) == 0) {
            errno = known[i].error ? known[i].error : before;
            return known[i].order;
        }
    return ORDER_NONE;
}

bool undo_order_fails(const char *kind, const char *path)
{
    enum order order = undo_order(kind, path);
    return order == ORDER_EIO || order == ORDER_ENOSPC;
}
