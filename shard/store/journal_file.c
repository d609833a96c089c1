/* The files of the journal.
 *
 *     file 0   | commit | commit | commit |....     a commit: records, one a batch, up to one that says LAST; it begins
 *     file 1   | commit | commit |                  at a sector
 *     file 2   | dropped, to be used again |        a record: head, heads of the entries, their data
 *
 * A file is filled with zeros when it is made and is never cut, so that a commit changes no metadata of the file system
 * and its fdatasync writes nothing but the commit. When a file is full the next commit goes to one that has only
 * dropped batches, or to a new one.
 *
 * Happy path: journal_files_next() finds the place, journal_files_put() writes and waits for the disk, and a recovery
 * reads all files with a cursor, by the numbers of the batches.
 *
 * Failure modes:
 *   - A crash in the middle of a commit: its records end without LAST, or one does not match its checksum. Nobody has
 *     heard of it, and the next commit is written over it.
 *   - A file that is used again, or a commit that was cut off, leaves old records behind the new ones: each record
 * names the checksum of the one before it, so the scan ends there.
 *   - A file is damaged: a commit that is not whole has a later one behind it. Recovery does not pass over it, but ends
 *     the process for good.
 *   - The disk is full: the commit becomes a transaction of the database, which has room of its own.
 *   - fdatasync fails: nobody knows what the disk has, so the process ends, and the next one writes it anew. */
#include "shard/store/journal_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/owned.h"
#include "shard/store/journal.h"

#define FILE_BYTES ((uint64_t)4 << 20)
#define FILE_KEPT                                                                                                      \
    (4 * FILE_BYTES) /* a file that one commit has made longer is cut to FILE_BYTES when it is used again */
#define SECTOR 512u  /* a write that is cut off leaves other sectors alone */
#define ALIGN 8u
#define FIRST UINT64_C(2) /* of a commit */
#define LAST UINT64_C(1)
#define LOCK_WAIT_MS 5000
#define LOCK_STEP_MS 10

enum { MARK_FLAGS, SEQ, TIME_MS, HEADS, DATA, BEFORE, CHECK, FIELDS };

/* On disk, each in little endian. BEFORE is the checksum of the record before it, 0 for the first of a file: so a
 * record that was left from another commit, or from an earlier use of the file, is not taken for the next one. The mark
 * is random, because data may hold whatever a client likes, also what else would be a record. */
struct record {
    uint64_t field[FIELDS];
};

static uint64_t up(uint64_t size, uint64_t to)
{
    return (size + to - 1) / to * to;
}

static uint64_t record_get(const struct record *record, int field)
{
    return le64toh(record->field[field]);
}

static bool record_is(const struct record *record, uint64_t flag)
{
    return record_get(record, MARK_FLAGS) & flag;
}

static uint64_t record_size(const struct record *record)
{
    return up(sizeof *record + record_get(record, HEADS) + record_get(record, DATA), ALIGN);
}

static uint64_t record_check(const struct record *record, struct slice heads, struct slice data)
{
    uint64_t check = XXH3_64bits(record, offsetof(struct record, field[CHECK]));
    check = XXH3_64bits_withSeed(heads.data, heads.len, check);
    return XXH3_64bits_withSeed(data.data, data.len, check);
}

/* ---- reading ---- */

/* Takes the record at this place of a file. False: there is none. */
static bool record_take(struct slice file, uint64_t mark, uint64_t at, struct record *record, struct slice *heads,
                        struct slice *data)
{
    if (at + sizeof *record > file.len)
        return false;
    memcpy(record, file.data + at, sizeof *record);
    uint64_t left = file.len - at - sizeof *record, head_len = record_get(record, HEADS);
    if (((record_get(record, MARK_FLAGS) ^ mark) & ~(FIRST | LAST)) || head_len > left ||
        record_get(record, DATA) > left - head_len)
        return false;
    *heads = slice_part(file, at + sizeof *record, head_len);
    *data = slice_part(file, at + sizeof *record + head_len, record_get(record, DATA));
    return record_get(record, CHECK) == record_check(record, *heads, *data);
}

static uint64_t journal_file_size(int fd)
{
    struct stat stat;
    return fstat(fd, &stat) == 0 ? (uint64_t)stat.st_size : 0;
}

/* Reads all of the file into `room`. */
static bool journal_file_read(int fd, struct buf *room)
{
    uint64_t size = journal_file_size(fd);
    buf_reset(room);
    if (!file_read_at(fd, buf_reserve(room, size), size, 0))
        return false;
    buf_grow(room, size);
    return true;
}

/* Whether a later commit begins in the rest of a file. It was made when the disk had the one that is not whole. */
static bool journal_file_goes_on(struct slice file, uint64_t mark, uint64_t at, int64_t last)
{
    struct record record;
    struct slice heads, data;
    for (at = up(at + 1, SECTOR); at < file.len; at += SECTOR)
        if (record_take(file, mark, at, &record, &heads, &data) && record_is(&record, FIRST) &&
            (int64_t)record_get(&record, SEQ) > last)
            return true;
    return false;
}

/* Finds where the newest whole commit ends. False: the file cannot be read, or is damaged. */
static bool journal_file_scan(struct journal_file *file, uint64_t mark, int64_t dropped, struct buf *room)
{
    struct record record;
    struct slice heads, data;
    uint64_t at = 0, before = 0;
    bool read = journal_file_read(file->fd, room);
    struct slice all = buf_slice(room);
    *file = (struct journal_file){.fd = file->fd, .filled = all.len >= FILE_BYTES};
    while (record_take(all, mark, at, &record, &heads, &data) && record_get(&record, BEFORE) == before) {
        at += record_size(&record);
        before = record_get(&record, CHECK);
        if (!file->first)
            file->first = (int64_t)record_get(&record, SEQ);
        if (!record_is(&record, LAST))
            continue;
        file->last = (int64_t)record_get(&record, SEQ);
        file->check = before;
        file->end = at = up(at, SECTOR);
    }
    if (!file->last)
        file->first = 0;
    return read && !journal_file_goes_on(all, mark, file->end, file->last > dropped ? file->last : dropped);
}

/* ---- opening ---- */

static void journal_file_name(char path[PATH_MAX], const char *database, unsigned i)
{
    snprintf(path, PATH_MAX, "%s.journal-%u", database, i);
}

static int journal_file_open(const struct journal_files *files, unsigned i, bool make)
{
    char path[PATH_MAX];
    journal_file_name(path, files->path, i);
    if (make)
        return owned_open(AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    return open(path, (files->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
}

/* A process that was killed may still be in a write. */
static void journal_files_lock(const struct journal_files *files)
{
    for (int waited = 0; flock(files->files[0].fd, LOCK_EX | LOCK_NB) != 0; waited += LOCK_STEP_MS) {
        if (waited >= LOCK_WAIT_MS)
            fatalx("%s.journal-0: another process has it", files->path);
        usleep(LOCK_STEP_MS * 1000);
    }
}

static void journal_files_add(struct journal_files *files, int fd)
{
    files->files[files->count++] = (struct journal_file){.fd = fd};
}

/* Returns the number of the first file that cannot be read or is damaged, or else JOURNAL_FILES_MAX. */
static unsigned journal_files_scan(struct journal_files *files, int64_t dropped)
{
    struct buf room = {0};
    for (int fd; files->count < JOURNAL_FILES_MAX && (fd = journal_file_open(files, files->count, false)) >= 0;)
        journal_files_add(files, fd);
    unsigned bad = files->count < JOURNAL_FILES_MAX && errno != ENOENT ? files->count : JOURNAL_FILES_MAX;
    for (unsigned i = 0; i < files->count; i++) {
        if (!journal_file_scan(&files->files[i], files->mark, dropped, &room) && i < bad)
            bad = i;
        if (files->files[i].last > files->files[files->current].last)
            files->current = i;
    }
    buf_clear(&room);
    return bad;
}

/* All that is in it is dropped: it may be used again. */
static bool journal_file_is_dropped(const struct journal_file *file, int64_t dropped)
{
    return file->last <= dropped;
}

/* Commits of a process that died may not be on the disk yet, or their fdatasync may have failed. */
static void journal_files_write_anew(const struct journal_files *files, int64_t dropped)
{
    for (unsigned i = 0; i < files->count; i++) {
        const struct journal_file *file = &files->files[i];
        if (!journal_file_is_dropped(file, dropped) && !file_write_anew(file->fd, file->end))
            fatal("%s.journal-%u: it cannot be written anew", files->path, i);
    }
}

void journal_files_open(struct journal_files *files, const char *path, uint64_t mark, int64_t dropped)
{
    *files = (struct journal_files){.path = path, .mark = mark};
    int fd = journal_file_open(files, 0, true);
    if (fd < 0)
        fatal("%s.journal-0", path);
    journal_files_add(files, fd);
    journal_files_lock(files);
    unsigned bad = journal_files_scan(files, dropped);
    if (bad < JOURNAL_FILES_MAX)
        fatal_never_restart("%s.journal-%u: it is damaged, or cannot be read", path, bad);
    if (!file_sync_parent(path)) /* who made them may have died before */
        fatal("%s: the folder's fsync", path);
    journal_files_write_anew(files, dropped);
}

bool journal_files_look(struct journal_files *files, const char *path, uint64_t mark, int64_t dropped)
{
    *files = (struct journal_files){.path = path, .mark = mark, .read_only = true};
    return journal_files_scan(files, dropped) == JOURNAL_FILES_MAX;
}

void journal_files_close(struct journal_files *files)
{
    for (unsigned i = 0; i < files->count; i++)
        close(files->files[i].fd);
    files->count = 0;
}

void journal_files_remove(const char *path)
{
    char file[PATH_MAX];
    for (unsigned i = 0; i < JOURNAL_FILES_MAX; i++) {
        journal_file_name(file, path, i);
        unlink(file);
    }
}

int64_t journal_files_last(const struct journal_files *files)
{
    return files->count ? files->files[files->current].last : 0;
}

/* ---- writing ---- */

/* Makes the file as long as all are, with blocks that are written, and its name durable. */
static bool journal_files_fill(const struct journal_files *files, int fd)
{
    static const char zeros[64 << 10];
    for (uint64_t at = journal_file_size(fd), more; at < FILE_BYTES; at += more) {
        more = FILE_BYTES - at < sizeof zeros ? FILE_BYTES - at : sizeof zeros;
        if (!file_write_at(fd, slice_of(zeros, more), at))
            return false;
    }
    return file_sync_parent(files->path);
}

/* Begins anew with this file. */
static bool journal_files_use(struct journal_files *files, unsigned i)
{
    struct journal_file *file = &files->files[i];
    uint64_t size = journal_file_size(file->fd);
    if (size < FILE_BYTES && !journal_files_fill(files, file->fd))
        return false;
    if (size > FILE_KEPT && ftruncate(file->fd, (off_t)FILE_BYTES) != 0)
        return false;
    *file = (struct journal_file){.fd = file->fd, .filled = true};
    files->current = i;
    return true;
}

bool journal_files_have_room(const struct journal_files *files)
{
    const struct journal_file *current = &files->files[files->current];
    return current->filled && current->end < FILE_BYTES;
}

bool journal_files_next(struct journal_files *files, int64_t dropped)
{
    for (unsigned i = 0; i < files->count; i++)
        if (journal_file_is_dropped(&files->files[i], dropped))
            return journal_files_use(files, i);
    if (files->count == JOURNAL_FILES_MAX)
        return false;
    int fd = journal_file_open(files, files->count, true);
    if (fd < 0)
        return false;
    journal_files_add(files, fd);
    return journal_files_use(files, files->count - 1);
}

bool journal_files_have_dropped(const struct journal_files *files, int64_t dropped)
{
    for (unsigned i = 0; i < files->count; i++)
        if (files->files[i].filled && journal_file_is_dropped(&files->files[i], dropped))
            return true;
    return false;
}

void journal_files_give_back(struct journal_files *files, int64_t dropped)
{
    for (unsigned i = 0; i < files->count; i++) {
        struct journal_file *file = &files->files[i];
        if (file->filled && journal_file_is_dropped(file, dropped) && ftruncate(file->fd, 0) == 0)
            *file = (struct journal_file){.fd = file->fd};
    }
}

struct parts {
    struct buf list; /* struct iovec */
    uint64_t size;
};

static void parts_add(struct parts *parts, const void *data, size_t size)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    if (size)
        buf_add(&parts->list, &part, sizeof part);
    parts->size += size;
}

static void parts_pad(struct parts *parts, uint64_t to)
{
    static const char zeros[SECTOR];
    parts_add(parts, zeros, up(parts->size, to) - parts->size);
}

static struct record record_of(uint64_t mark, const struct batch *batch, bool first, uint64_t *check)
{
    struct slice heads = buf_slice(&batch->heads), data = buf_slice(&batch->data);
    struct record record;
    record.field[MARK_FLAGS] = htole64((mark & ~(FIRST | LAST)) | (first ? FIRST : 0) | (batch->next ? 0 : LAST));
    record.field[SEQ] = htole64((uint64_t)batch->seq);
    record.field[TIME_MS] = htole64(batch->time_ms);
    record.field[HEADS] = htole64(heads.len);
    record.field[DATA] = htole64(data.len);
    record.field[BEFORE] = htole64(*check);
    *check = record_check(&record, heads, data);
    record.field[CHECK] = htole64(*check);
    return record;
}

/* False: the disk has no room. */
static bool journal_files_write(const struct journal_files *files, struct parts *parts)
{
    const struct journal_file *file = &files->files[files->current];
    struct iovec *part = (struct iovec *)(void *)parts->list.data;
    size_t count = buf_len(&parts->list) / sizeof *part;
    for (uint64_t at = file->end; count;) {
        ssize_t n = pwritev(file->fd, part, count < IOV_MAX ? (int)count : IOV_MAX, (off_t)at);
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
            return false;
        if (n < 0 && errno != EINTR)
            fatal("%s.journal-%u: write", files->path, files->current);
        uint64_t done = n > 0 ? (uint64_t)n : 0;
        at += done;
        for (; count && done >= part->iov_len; part++, count--)
            done -= part->iov_len;
        if (done) {
            part->iov_base = (char *)part->iov_base + done;
            part->iov_len -= done;
        }
    }
    return true;
}

static void journal_files_sync_current(struct journal_files *files)
{
    uint64_t began_us = clock_monotonic_us();
    if (fdatasync(files->files[files->current].fd) != 0)
        fatal("%s.journal-%u: fdatasync", files->path, files->current);
    files->synced_us += clock_monotonic_us() - began_us;
}

bool journal_files_put(struct journal_files *files, const struct batch *batches)
{
    struct journal_file *file = &files->files[files->current];
    struct buf records = {0};
    struct parts parts = {0};
    uint64_t check = file->check;
    int64_t last = 0;
    for (const struct batch *batch = batches; batch; batch = batch->next) {
        struct record record = record_of(files->mark, batch, batch == batches, &check);
        buf_add(&records, &record, sizeof record);
        last = batch->seq;
    }
    const struct record *record = (const struct record *)(const void *)records.data;
    for (const struct batch *batch = batches; batch; batch = batch->next, record++) {
        parts_add(&parts, record, sizeof *record);
        parts_add(&parts, buf_slice(&batch->heads).data, buf_len(&batch->heads));
        parts_add(&parts, buf_slice(&batch->data).data, buf_len(&batch->data));
        parts_pad(&parts, ALIGN);
    }
    parts_pad(&parts, SECTOR);
    bool written = journal_files_write(files, &parts);
    if (written) {
        journal_files_sync_current(files);
        file->end += parts.size;
        file->check = check;
        file->first = file->first ? file->first : batches->seq;
        file->last = last;
    }
    buf_clear(&parts.list);
    buf_clear(&records);
    return written;
}

/* ---- a cursor ---- */

void journal_cursor_begin(struct journal_cursor *cursor, const struct journal_files *files, int64_t after)
{
    *cursor = (struct journal_cursor){.files = files, .after = after};
}

/* Reads the file with the oldest batches that were not asked for yet. */
static bool journal_cursor_turn_over(struct journal_cursor *cursor)
{
    const struct journal_files *files = cursor->files;
    const struct journal_file *next = NULL;
    for (unsigned i = 0; i < files->count; i++)
        if (files->files[i].last > cursor->after && (!next || files->files[i].first < next->first))
            next = &files->files[i];
    if (!next || !journal_file_read(next->fd, &cursor->room))
        return false;
    cursor->at = 0;
    cursor->end = next->end;
    return true;
}

/* Beside a server a file may have been written over since it was scanned: then there is no record. */
int64_t journal_cursor_next(struct journal_cursor *cursor)
{
    struct record record;
    for (;;) {
        if (cursor->at >= cursor->end && !journal_cursor_turn_over(cursor))
            return 0;
        if (!record_take(buf_slice(&cursor->room), cursor->files->mark, cursor->at, &record, &cursor->heads,
                         &cursor->data))
            return 0;
        cursor->at += record_size(&record);
        if (record_is(&record, LAST))
            cursor->at = up(cursor->at, SECTOR);
        int64_t seq = (int64_t)record_get(&record, SEQ);
        if (seq <= cursor->after)
            continue;
        cursor->after = seq;
        cursor->time_ms = record_get(&record, TIME_MS);
        return seq;
    }
}

void journal_cursor_end(struct journal_cursor *cursor)
{
    buf_clear(&cursor->room);
}
