/* A look for a position goes: row of the segment (database), open file (one of SEGMENTS_OPEN, or opened now), its head
 * and index, the block that holds the position, its checksum.
 *
 * Happy path: the file is open since an earlier look, and one pread() of boundaries and one of the block follow.
 *
 * Failure modes: The file is in the object store only: the outcome is NEEDS_SEGMENT, or the error of a fetch that
 * failed a moment ago (fetch.c). The file is damaged: if the cache has it, the copy is dropped and needed anew;
 * otherwise SEGMENT_TRUNCATED. The file is gone: SEGMENT_MISSING. The folder is not this server's, or no descriptor is
 * left: SEGMENT_UNAVAILABLE, because nothing is lost. None of these keeps the file open, so what an operator repairs is
 * found at once. */
#include "shard/segments/segments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"

#define FRONT ((size_t)8 << 10) /* more than head and index of nearly all segments */
#define LOG_AGAIN_MS 1000       /* the same segment is logged once in this time */

void segments_init(struct segments *segments, struct store *store, struct objects *objects, void (*wake)(void *ctx),
                   void *ctx)
{
    *segments = (struct segments){.store = store, .objects = objects};
    fetches_init(&segments->fetches, store, objects, wake, ctx);
}

static void segments_close_segment(struct open_segment *open)
{
    if (!open->used)
        return;
    close(open->fd);
    segment_clear(&open->segment);
    free(open->checked);
    open->used = 0;
}

void segments_clear(struct segments *segments)
{
    for (size_t i = 0; i < SEGMENTS_OPEN; i++)
        segments_close_segment(&segments->open[i]);
    buf_clear(&segments->front);
    buf_clear(&segments->stored);
    buf_clear(&segments->inflated);
}

/* The failure is counted and logged. Clients that ask again and again do not fill the log. */
static struct outcome segments_failed(struct segments *segments, const struct object *object, enum error error,
                                      const char *why)
{
    char name[OBJECT_NAME_MAX];
    uint64_t now = clock_monotonic_ms();
    if (error != ERR_SEGMENT_UNAVAILABLE)
        metrics_add(segments->objects->metrics,
                    METRIC_SEGMENT_ERRORS +
                        (error == ERR_SEGMENT_MISSING ? METRIC_SEGMENT_ERROR_MISSING : METRIC_SEGMENT_ERROR_DAMAGED),
                    1);
    if (now >= segments->logged_ms + LOG_AGAIN_MS || !object_same(&segments->logged, object)) {
        object_name(name, object);
        log_error("segment %s: %s", name, why);
        segments->logged_ms = now;
        segments->logged = *object;
    }
    return outcome_of(error);
}

static bool segments_read_at(int fd, uint64_t at, size_t len, struct buf *out)
{
    buf_reset(out);
    bool read = file_read_at(fd, buf_reserve(out, len), len, at);
    if (read)
        buf_grow(out, len);
    return read;
}

/* Takes head and index. They must be those of the row: a file of another segment is as bad as a damaged one. */
static bool segments_take_front(struct segments *segments, int fd, const struct segment_row *row,
                                struct segment *segment)
{
    uint64_t need = row->size < FRONT ? row->size : FRONT;
    bool parsed = false;
    while (!parsed && need) {
        if (!segments_read_at(fd, 0, (size_t)need, &segments->front))
            return false;
        parsed = segment_parse(segment, buf_slice(&segments->front), row->size, &need);
    }
    if (!parsed)
        return false;
    if (segment->checksum == row->checksum && segment->uid == row->object.uid && segment->start == row->object.start &&
        segment->end == row->end)
        return true;
    segment_clear(segment);
    return false;
}

/* The file is not here, but may be in the object store. */
static struct outcome segments_away(struct segments *segments, const struct segment_row *row)
{
    enum error error = fetch_failed(&segments->fetches, &row->object);
    if (error == ERR_NONE)
        return outcome_needs(&row->object);
    if (error == ERR_SEGMENT_UNAVAILABLE)
        return outcome_of(error); /* logged when the request failed */
    return segments_failed(segments, &row->object, error,
                           error == ERR_SEGMENT_MISSING ? "the store does not have it" : "the store has it damaged");
}

/* The file is damaged. One in the cache is dropped, so that it is fetched again; any other is the only one. */
static struct outcome segments_distrust(struct segments *segments, const struct segment_row *row, bool cached)
{
    if (!cached)
        return segments_failed(segments, &row->object, ERR_SEGMENT_TRUNCATED, "its file is damaged");
    objects_uncache(segments->objects, &row->object);
    return segments_away(segments, row);
}

/* ---- open ---- */

/* Free places have `used` 0, so they are found first. */
static struct open_segment *segments_longest_unused(struct segments *segments)
{
    struct open_segment *found = &segments->open[0];
    for (size_t i = 1; i < SEGMENTS_OPEN; i++)
        if (segments->open[i].used < found->used)
            found = &segments->open[i];
    segments_close_segment(found);
    return found;
}

static struct open_segment *segments_find_open(struct segments *segments, const struct object *object)
{
    for (size_t i = 0; i < SEGMENTS_OPEN; i++)
        if (segments->open[i].used && object_same(&segments->open[i].object, object))
            return &segments->open[i];
    return NULL;
}

/* The file cannot be opened, and errno says why. */
static struct outcome segments_not_opened(struct segments *segments, const struct segment_row *row)
{
    if (errno == ENOENT && segments->objects->away)
        return segments_away(segments, row);
    if (errno == ENOENT || errno == ENOTDIR || errno == EINVAL)
        return segments_failed(segments, &row->object, ERR_SEGMENT_MISSING, strerror(errno));
    return segments_failed(segments, &row->object, ERR_SEGMENT_UNAVAILABLE, /* as when there is no descriptor left */
                           errno == ESTALE ? "segment.directory is not this server's" : strerror(errno));
}

static struct outcome segments_open_segment(struct segments *segments, const struct segment_row *row,
                                            struct open_segment **out)
{
    struct stat stat;
    bool cached;
    struct open_segment *open = *out = segments_find_open(segments, &row->object);
    if (open) {
        open->used = ++segments->uses;
        return outcome_of(ERR_NONE);
    }
    int fd = objects_open(segments->objects, &row->object, &cached);
    if (fd < 0)
        return segments_not_opened(segments, row);
    open = *out = segments_longest_unused(segments);
    if (fstat(fd, &stat) != 0 || (uint64_t)stat.st_size != row->size ||
        !segments_take_front(segments, fd, row, &open->segment)) {
        close(fd);
        return segments_distrust(segments, row, cached);
    }
    open->cached = cached;
    open->object = row->object;
    open->checked = xcalloc(open->segment.count, 1);
    open->fd = fd;
    open->used = ++segments->uses;
    return outcome_of(ERR_NONE);
}

static struct outcome segments_find(struct segments *segments, uint64_t uid, uint64_t position, struct segment_row *row,
                                    struct open_segment **open)
{
    if (store_segment(segments->store, uid, position, row) && position < row->end)
        return segments_open_segment(segments, row, open);
    log_error("stream %llu: no segment has its position %llu", (unsigned long long)uid, (unsigned long long)position);
    return outcome_of(ERR_INTERNAL);
}

/* ---- blocks ---- */

static bool segments_read_boundaries(struct segments *segments, const struct open_segment *open, size_t block)
{
    const struct segment_block *b = &open->segment.blocks[block];
    return segments_read_at(open->fd, open->segment.boundaries_at + b->boundaries_at, b->boundaries, &segments->front);
}

static bool segments_read_block(struct segments *segments, struct open_segment *open, size_t block,
                                struct extent *extent)
{
    const struct segment *s = &open->segment;
    const struct segment_block *b = &s->blocks[block];
    return segments_read_boundaries(segments, open, block) &&
           segments_read_at(open->fd, b->at, b->stored, &segments->stored) &&
           segment_extent(s, block, buf_slice(&segments->front), buf_slice(&segments->stored), &segments->inflated,
                          extent);
}

/* A block is damaged. The file is closed, because it may be repaired. */
static struct outcome segments_close_damaged(struct segments *segments, const struct segment_row *row,
                                             struct open_segment *open)
{
    bool cached = open->cached;
    segments_close_segment(open);
    return segments_distrust(segments, row, cached);
}

struct outcome segments_extent(struct segments *segments, uint64_t uid, uint64_t position, struct extent *extent)
{
    struct segment_row row;
    struct open_segment *open;
    struct outcome outcome = segments_find(segments, uid, position, &row, &open);
    if (outcome.kind != OUTCOME_DONE ||
        segments_read_block(segments, open, segment_find(&open->segment, position), extent))
        return outcome;
    return segments_close_damaged(segments, &row, open);
}

/* Boundaries are covered by the checksum of their block, which is not read: they must at least describe as many bytes
 * and positions as the index says. */
static bool segments_read_bounds(struct segments *segments, const struct open_segment *open, size_t block,
                                 struct extent *extent)
{
    return segments_read_boundaries(segments, open, block) &&
           segment_bounds(&open->segment, block, buf_slice(&segments->front), extent);
}

struct outcome segments_bounds(struct segments *segments, uint64_t uid, uint64_t position, struct extent *extent)
{
    struct segment_row row;
    struct open_segment *open;
    struct outcome outcome = segments_find(segments, uid, position, &row, &open);
    if (outcome.kind != OUTCOME_DONE ||
        segments_read_bounds(segments, open, segment_find(&open->segment, position), extent))
        return outcome;
    return segments_close_damaged(segments, &row, open);
}

struct outcome segments_since(struct segments *segments, uint64_t uid, uint64_t position, uint64_t since_ms,
                              struct extent *extent)
{
    struct segment_row row;
    struct open_segment *open;
    struct outcome outcome = segments_find(segments, uid, position, &row, &open);
    if (outcome.kind != OUTCOME_DONE)
        return outcome;
    size_t low = segment_find(&open->segment, position), high = open->segment.count - 1;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (open->segment.blocks[mid].time_ms < since_ms)
            low = mid + 1;
        else
            high = mid;
    }
    return segments_read_bounds(segments, open, low, extent) ? outcome : segments_close_damaged(segments, &row, open);
}

void segments_forget(struct segments *segments, const struct object *object)
{
    struct open_segment *open = segments_find_open(segments, object);
    if (open)
        segments_close_segment(open);
}

struct outcome segments_stored(struct segments *segments, uint64_t uid, uint64_t position, struct stored_block *block)
{
    struct segment_row row;
    struct open_segment *open;
    struct outcome outcome = segments_find(segments, uid, position, &row, &open);
    block->fd = -1;
    if (outcome.kind != OUTCOME_DONE)
        return outcome;
    size_t i = segment_find(&open->segment, position);
    const struct segment_block *b = &open->segment.blocks[i];
    /* A block is checked when it is first sent; from then on only its boundaries are read. */
    if (b->stored < b->bytes || !(open->checked[i] ? segments_read_boundaries(segments, open, i)
                                                   : segments_read_block(segments, open, i, &block->extent)))
        return outcome;
    open->checked[i] = 1;
    uint64_t end = i + 1 < open->segment.count ? b[1].start : open->segment.end;
    block->fd = open->fd;
    block->at = b->at;
    block->extent = (struct extent){.start = b->start,
                                    .count = end - b->start,
                                    .time_ms = b->time_ms,
                                    .boundaries = buf_slice(&segments->front),
                                    .data = slice_of(NULL, b->bytes)};
    return outcome;
}
