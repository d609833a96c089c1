/* A library that is preloaded into a server (LD_PRELOAD) and stands between it and the kernel: it knows what a failure
 * of the power would take back, and it can make calls fail.
 *
 * Happy path: a call that changes a file or a folder below $STREAMD_POWER_ROOT first writes down how things were
 * (undo.c), then it is done. An fsync that succeeds removes what was written down of that file or folder. All
 * processes of a server share the logs. The test kills all of them at one moment and has power_off.mjs undo what was
 * not synced, or a part of it.
 *
 * Orders of the test make the next call of a kind fail (EIO, ENOSPC), write less than asked, switch the power off just
 * before it, or, for fsync, do nothing and say that it was done (a lie, by which the test is tested).
 *
 * A name is durable after an fsync of its folder, and of nothing else. A renaming counts as one step, which file
 * systems with a journal do.
 *
 * Failure modes: what the logs do not cover ends the process with an error, so that nothing is passed over in silence:
 * folders that are renamed or removed, names that move to another folder, holes in files, an overwrite by a descriptor
 * that cannot read. Not caught: writes through mmap() (SQLite's -shm, which it builds anew), names of sockets (bind()),
 * owners and modes of files. power.test.mjs looks for other calls in the programs. */
#include "undo.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define CAUGHT __attribute__((visibility("default")))

/* ---- bytes ---- */

static off_t power_larger(off_t a, off_t b)
{
    return a > b ? a : b;
}

static size_t power_length(const struct iovec *parts, int count)
{
    size_t len = 0;
    for (int i = 0; i < count; i++)
        len += parts[i].iov_len;
    return len;
}

/* at < 0: where the file's position is. */
static ssize_t power_raw_write(int fd, const struct iovec *parts, int count, off_t at)
{
    return at < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwritev, fd, parts, count, at, 0L);
}

static off_t power_position(int fd, off_t at, off_t size)
{
    if (fcntl(fd, F_GETFL) & O_APPEND)
        return size;
    return at < 0 ? lseek(fd, 0, SEEK_CUR) : at;
}

static ssize_t power_write(int fd, const struct iovec *parts, int count, off_t at)
{
    struct stat stat;
    char path[UNDO_PATH_MAX];
    if (!undo_covers(fd, &stat, path))
        return power_raw_write(fd, parts, count, at);
    enum order order = undo_order("write", path);
    if (order == ORDER_EIO || order == ORDER_ENOSPC)
        return -1;
    struct iovec half = {parts[0].iov_base, (parts[0].iov_len + 1) / 2};
    if (order == ORDER_SHORT)
        parts = &half, count = 1;
    int log = undo_open(stat.st_ino);
    if (fstat(fd, &stat) != 0)
        undo_die("fstat", path);
    off_t from = power_position(fd, at, stat.st_size);
    size_t len = power_length(parts, count);
    undo_write(log, fd, from, len, stat.st_size, power_larger(stat.st_size, from + (off_t)len));
    ssize_t done = power_raw_write(fd, parts, count, at);
    undo_close(log);
    return done;
}

CAUGHT ssize_t write(int fd, const void *bytes, size_t len)
{
    return power_write(fd, &(struct iovec){(void *)(uintptr_t)bytes, len}, 1, -1);
}

CAUGHT ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
    return power_write(fd, &(struct iovec){(void *)(uintptr_t)bytes, len}, 1, at);
}

CAUGHT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return power_write(fd, parts, count, -1);
}

CAUGHT ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at)
{
    return power_write(fd, parts, count, at);
}

static void power_note_size(int log, int fd, off_t size, off_t after)
{
    if (after < size)
        undo_cut(log, fd, size, after);
    else if (after > size)
        undo_write(log, fd, size, 0, size, after);
}

CAUGHT int ftruncate64(int fd, off_t len)
{
    struct stat stat;
    char path[UNDO_PATH_MAX];
    if (!undo_covers(fd, &stat, path))
        return (int)syscall(SYS_ftruncate, fd, len);
    if (undo_order_fails("truncate", path))
        return -1;
    int log = undo_open(stat.st_ino);
    if (fstat(fd, &stat) != 0)
        undo_die("fstat", path);
    power_note_size(log, fd, stat.st_size, len);
    int done = (int)syscall(SYS_ftruncate, fd, len);
    undo_close(log);
    return done;
}

CAUGHT int fallocate64(int fd, int mode, off_t from, off_t len)
{
    struct stat stat;
    char path[UNDO_PATH_MAX];
    if (!undo_covers(fd, &stat, path))
        return (int)syscall(SYS_fallocate, fd, mode, from, len);
    if (undo_order_fails("allocate", path))
        return -1;
    if (mode & ~FALLOC_FL_KEEP_SIZE)
        undo_die("not covered: this kind of fallocate", path);
    int log = undo_open(stat.st_ino);
    if (fstat(fd, &stat) != 0)
        undo_die("fstat", path);
    if (!(mode & FALLOC_FL_KEEP_SIZE))
        power_note_size(log, fd, stat.st_size, power_larger(stat.st_size, from + len));
    int done = (int)syscall(SYS_fallocate, fd, mode, from, len);
    undo_close(log);
    return done;
}

/* ---- syncs ---- */

static off_t power_end_of_log(ino_t ino)
{
    int log = undo_open(ino);
    off_t end = undo_end(log);
    undo_close(log);
    return end;
}

/* A write that comes while the disk works is not covered by this fsync. */
static int power_sync(long call, int fd)
{
    struct stat stat;
    char path[UNDO_PATH_MAX];
    if (!undo_covers(fd, &stat, path))
        return (int)syscall(call, fd);
    enum order order = undo_order("sync", path);
    if (order == ORDER_LIE)
        return 0;
    off_t upto = power_end_of_log(stat.st_ino);
    bool fails = order == ORDER_EIO || order == ORDER_ENOSPC;
    int done = fails ? -1 : (int)syscall(call, fd);
    int log = undo_open(stat.st_ino);
    if (done == 0)
        undo_synced(log, stat.st_ino, upto);
    else if (S_ISREG(stat.st_mode))
        undo_failed(log, stat.st_ino, upto);
    undo_close(log);
    return done;
}

CAUGHT int fsync(int fd)
{
    return power_sync(SYS_fsync, fd);
}

CAUGHT int fdatasync(int fd)
{
    return power_sync(SYS_fdatasync, fd);
}

/* ---- names ---- */

static int power_raw_open(int dir, const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

/* An open that empties a file. Locks of SQLite's would go with the descriptor, and it does not open so. */
static int power_open_empty(const struct undo_place *place, int dir, const char *path, int flags, mode_t mode)
{
    struct stat stat;
    int old = power_raw_open(place->folder, place->name, O_RDONLY | O_CLOEXEC, 0);
    if (old < 0 || fstat(old, &stat) != 0)
        undo_die("not covered: a file is emptied that cannot be read", place->path);
    int log = undo_open(stat.st_ino);
    power_note_size(log, old, stat.st_size, 0);
    close(old);
    int fd = power_raw_open(dir, path, flags, mode);
    undo_close(log);
    return fd;
}

static int power_open_place(const struct undo_place *place, int dir, const char *path, int flags, mode_t mode)
{
    if (undo_order_fails("open", place->path))
        return -1;
    if (!(flags & (O_CREAT | O_TRUNC)))
        return power_raw_open(dir, path, flags, mode);
    int log = undo_open(place->ino);
    bool there = undo_place_exists(place);
    if (!there && flags & O_CREAT)
        undo_names(log, place, NULL);
    int fd = there && flags & O_TRUNC && !(flags & O_EXCL) ? power_open_empty(place, dir, path, flags, mode)
                                                           : power_raw_open(dir, path, flags, mode);
    undo_close(log);
    return fd;
}

CAUGHT int openat64(int dir, const char *path, int flags, ...)
{
    struct undo_place place;
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (!undo_place_open(&place, dir, path))
        return power_raw_open(dir, path, flags, mode);
    int fd = power_open_place(&place, dir, path, flags, mode);
    undo_place_close(&place);
    return fd;
}

CAUGHT int open64(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;
    va_end(more);
    return openat64(AT_FDCWD, path, flags, mode);
}

/* The log, locked, if the call may be done: it makes the name, or removes it. Otherwise -1. */
static int power_begin(const char *kind, const struct undo_place *place, bool makes)
{
    if (undo_order_fails(kind, place->path))
        return -1;
    int log = undo_open(place->ino);
    if (undo_place_exists(place) != makes)
        undo_names(log, place, NULL);
    return log;
}

static int power_end(struct undo_place *place, int log, int done)
{
    if (log >= 0)
        undo_close(log);
    undo_place_close(place);
    return done;
}

CAUGHT int unlinkat(int dir, const char *path, int flags)
{
    struct undo_place place;
    if (!undo_place_open(&place, dir, path))
        return (int)syscall(SYS_unlinkat, dir, path, flags);
    if (flags & AT_REMOVEDIR)
        undo_die("not covered: a folder is removed", place.path);
    int log = power_begin("unlink", &place, false);
    return power_end(&place, log, log < 0 ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags));
}

CAUGHT int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

CAUGHT int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

CAUGHT int mkdirat(int dir, const char *path, mode_t mode)
{
    struct undo_place place;
    if (!undo_place_open(&place, dir, path))
        return (int)syscall(SYS_mkdirat, dir, path, mode);
    int log = power_begin("mkdir", &place, true);
    return power_end(&place, log, log < 0 ? -1 : (int)syscall(SYS_mkdirat, dir, path, mode));
}

CAUGHT int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

CAUGHT int link(const char *from, const char *to)
{
    struct undo_place place;
    if (!undo_place_open(&place, AT_FDCWD, to))
        return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
    int log = power_begin("link", &place, true);
    return power_end(&place, log, log < 0 ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
}

static int power_rename(const struct undo_place *from, const struct undo_place *to)
{
    if (undo_order_fails("rename", to->path))
        return -1;
    if (from->ino != to->ino)
        undo_die("not covered: a file moves to another folder", to->path);
    int log = undo_open(to->ino);
    if (undo_place_exists(from))
        undo_names(log, from, to);
    int done = (int)syscall(SYS_renameat, from->folder, from->name, to->folder, to->name);
    undo_close(log);
    return done;
}

CAUGHT int renameat(int from_dir, const char *from_path, int to_dir, const char *to_path)
{
    struct undo_place from, to;
    bool leaves = undo_place_open(&from, from_dir, from_path), comes = undo_place_open(&to, to_dir, to_path);
    if (leaves != comes)
        undo_die("not covered: a file moves in or out", from_path);
    if (!leaves)
        return (int)syscall(SYS_renameat, from_dir, from_path, to_dir, to_path);
    int done = power_rename(&from, &to);
    undo_place_close(&from);
    undo_place_close(&to);
    return done;
}

CAUGHT int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* ---- the names by which programs without 64-bit flags call them ---- */

CAUGHT int open(const char *path, int flags, ...) __attribute__((alias("open64")));
CAUGHT int openat(int dir, const char *path, int flags, ...) __attribute__((alias("openat64")));
CAUGHT ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) __attribute__((alias("pwrite64")));
CAUGHT ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) __attribute__((alias("pwritev64")));
CAUGHT int ftruncate(int fd, off_t len) __attribute__((alias("ftruncate64")));
CAUGHT int fallocate(int fd, int mode, off_t from, off_t len) __attribute__((alias("fallocate64")));
