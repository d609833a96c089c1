#include "shard/segments/segments.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define AHEAD 3                 /* segments behind the one that is wanted */
#define AHEAD_MAX 8             /* no more where so many are on their way */
#define FAILED_MS 1000          /* so long nobody tries again */
#define FRONT ((size_t)8 << 10) /* more than head and index of nearly all */

/* One that is on its way. */
struct segment_fetch {
    struct segment_fetch *next;
    struct segments *segments;
    struct object object;
};

void segments_init(struct segments *segments, struct store *store, struct objects *objects,
                   void (*arrived)(void *ctx, const struct object *object), void *ctx)
{
    *segments = (struct segments){.store = store, .objects = objects, .arrived = arrived, .ctx = ctx};
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

static bool segments_same(const struct object *a, const struct object *b)
{
    return a->uid == b->uid && a->start == b->start && a->id == b->id;
}

/* Once a second: whoever asks for it again and again does not fill the log. */
static enum error segments_damaged(struct segments *segments, const struct object *object, enum error error,
                                   const char *why)
{
    char name[OBJECT_NAME_MAX];
    uint64_t now = clock_monotonic_ms();
    if (error != ERR_SEGMENT_UNAVAILABLE)
        metrics_add(segments->objects->metrics,
                    METRIC_SEGMENT_ERRORS +
                        (error == ERR_SEGMENT_MISSING ? METRIC_SEGMENT_ERROR_MISSING : METRIC_SEGMENT_ERROR_DAMAGED),
                    1);
    if (now >= segments->logged_ms + 1000 || !segments_same(&segments->logged, object)) {
        object_name(name, object);
        log_error("segment %s: %s", name, why);
        segments->logged_ms = now;
        segments->logged = *object;
    }
    return error;
}

static bool segments_read_at(int fd, uint64_t at, size_t len, struct buf *out)
{
    buf_reset(out);
    char *to = buf_reserve(out, len);
    while (buf_len(out) < len) {
        ssize_t n = pread(fd, to + buf_len(out), len - buf_len(out), (off_t)(at + buf_len(out)));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        buf_grow(out, (size_t)n);
    }
    return true;
}

/* Head and index, which have to be those of the row. */
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

/* ---- on their way ---- */

static void segments_on_fetched(void *ctx, enum error error)
{
    struct segment_fetch *fetch = ctx, **at = &fetch->segments->fetches;
    struct segments *segments = fetch->segments;
    while (*at != fetch)
        at = &(*at)->next;
    *at = fetch->next;
    segments->fetch_count--;
    if (error != ERR_NONE) {
        segments->last_failed = (segments->last_failed + 1) % SEGMENTS_FAILED;
        segments->failed[segments->last_failed] =
            (struct failed_segment){fetch->object, error, clock_monotonic_ms() + FAILED_MS};
    }
    struct segment_row row;
    if (!store_segment(segments->store, fetch->object.uid, fetch->object.start, &row) ||
        !segments_same(&row.object, &fetch->object))
        objects_uncache(segments->objects, &fetch->object); /* it was deleted meanwhile */
    segments->arrived(segments->ctx, &fetch->object);
    free(fetch);
}

/* False: it is on its way already, or too many are. */
static bool segments_fetch(struct segments *segments, const struct segment_row *row)
{
    for (const struct segment_fetch *f = segments->fetches; f; f = f->next)
        if (segments_same(&f->object, &row->object))
            return false;
    if (segments->fetch_count >= SEGMENTS_FETCHING)
        return false;
    struct segment_fetch *f = xcalloc(1, sizeof *f);
    *f = (struct segment_fetch){segments->fetches, segments, row->object};
    segments->fetches = f;
    segments->fetch_count++;
    objects_fetch(segments->objects, row, segments_on_fetched, f);
    return true;
}

/* Whoever reads this one will want those that follow. */
static void segments_fetch_ahead(struct segments *segments, const struct segment_row *row)
{
    struct segment_row next = *row;
    bool cached;
    for (unsigned i = 0; i < AHEAD && segments->fetch_count < AHEAD_MAX; i++) {
        uint64_t end = next.end;
        if (!store_segment(segments->store, row->object.uid, end, &next) || next.object.start != end)
            return;
        int fd = objects_open(segments->objects, &next.object, &cached);
        if (fd >= 0)
            close(fd);
        else
            (void)segments_fetch(segments, &next);
    }
}

static enum error segments_await(struct segments *segments, const struct segment_row *row)
{
    uint64_t now = clock_monotonic_ms();
    for (size_t i = 0; i < SEGMENTS_FAILED; i++) {
        const struct failed_segment *f = &segments->failed[i];
        if (f->until_ms <= now || !segments_same(&f->object, &row->object))
            continue;
        if (f->error == ERR_SEGMENT_UNAVAILABLE)
            return f->error;
        return segments_damaged(segments, &row->object, f->error,
                                f->error == ERR_SEGMENT_MISSING ? "the store does not have it"
                                                                : "the store has it damaged");
    }
    if (segments_fetch(segments, row))
        segments_fetch_ahead(segments, row);
    for (const struct segment_fetch *f = segments->fetches; f; f = f->next)
        if (segments_same(&f->object, &row->object))
            segments->awaited = row->object;
    return ERR_SEGMENT_UNAVAILABLE;
}

/* Its file is no good. That of a cache is thrown away, and fetched again. */
static enum error segments_distrust(struct segments *segments, const struct segment_row *row, bool cached)
{
    if (!cached)
        return segments_damaged(segments, &row->object, ERR_SEGMENT_TRUNCATED, "its file is damaged");
    objects_uncache(segments->objects, &row->object);
    return segments_await(segments, row);
}

/* ---- open ---- */

static struct open_segment *segments_longest_unused(struct segments *segments)
{
    struct open_segment *found = &segments->open[0];
    for (size_t i = 1; i < SEGMENTS_OPEN; i++)
        if (segments->open[i].used < found->used)
            found = &segments->open[i];
    segments_close_segment(found);
    return found;
}

static enum error segments_open_segment(struct segments *segments, const struct segment_row *row,
                                        struct open_segment **out)
{
    struct stat stat;
    for (size_t i = 0; i < SEGMENTS_OPEN; i++) {
        *out = &segments->open[i];
        if ((*out)->used && segments_same(&(*out)->object, &row->object)) {
            (*out)->used = ++segments->uses;
            return ERR_NONE;
        }
    }
    bool cached;
    int fd = objects_open(segments->objects, &row->object, &cached);
    if (fd < 0 && errno == ENOENT && segments->objects->away)
        return segments_await(segments, row);
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != EINVAL) {
        (void)segments_damaged(segments, &row->object, ERR_SEGMENT_UNAVAILABLE,
                               errno == ESTALE ? "segment.directory is not this server's" : strerror(errno));
        return ERR_SEGMENT_UNAVAILABLE; /* as when there is no descriptor left */
    }
    if (fd < 0)
        return segments_damaged(segments, &row->object, ERR_SEGMENT_MISSING, strerror(errno));
    struct open_segment *open = *out = segments_longest_unused(segments);
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
    return ERR_NONE;
}

static enum error segments_find(struct segments *segments, uint64_t uid, uint64_t position, struct segment_row *row,
                                struct open_segment **open)
{
    segments->awaited = (struct object){0};
    if (store_segment(segments->store, uid, position, row) && position < row->end)
        return segments_open_segment(segments, row, open);
    log_error("stream %llu: no segment has its position %llu", (unsigned long long)uid, (unsigned long long)position);
    return ERR_INTERNAL;
}

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

enum error segments_extent(struct segments *segments, uint64_t uid, uint64_t position, struct extent *extent)
{
    struct segment_row row;
    struct open_segment *open;
    enum error error = segments_find(segments, uid, position, &row, &open);
    if (error != ERR_NONE)
        return error;
    if (segments_read_block(segments, open, segment_find(&open->segment, position), extent))
        return ERR_NONE;
    bool cached = open->cached;
    segments_close_segment(open); /* it may be put right */
    return segments_distrust(segments, &row, cached);
}

void segments_forget(struct segments *segments, const struct object *object)
{
    for (size_t i = 0; i < SEGMENTS_OPEN; i++)
        if (segments->open[i].used && segments_same(&segments->open[i].object, object))
            segments_close_segment(&segments->open[i]);
}

bool segments_stored(struct segments *segments, uint64_t uid, uint64_t position, struct stored_block *block)
{
    struct segment_row row;
    struct open_segment *open;
    if (segments_find(segments, uid, position, &row, &open) != ERR_NONE)
        return false;
    size_t i = segment_find(&open->segment, position);
    const struct segment_block *b = &open->segment.blocks[i];
    if (b->stored < b->bytes || !(open->checked[i] ? segments_read_boundaries(segments, open, i)
                                                   : segments_read_block(segments, open, i, &block->extent)))
        return false;
    open->checked[i] = 1;
    uint64_t end = i + 1 < open->segment.count ? b[1].start : open->segment.end;
    block->fd = open->fd;
    block->at = b->at;
    block->extent = (struct extent){.start = b->start,
                                    .count = end - b->start,
                                    .time_ms = b->time_ms,
                                    .boundaries = buf_slice(&segments->front),
                                    .data = slice_of(NULL, b->bytes)};
    return true;
}
