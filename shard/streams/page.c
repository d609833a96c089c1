/* An extent is some bytes of a stream in a row, wherever they are (page_extent_at): a block of a segment, a chunk, or
 * one pending append. Its boundaries say how long each message is and which is the last of its append, so a page can be
 * cut between messages:
 *
 *     position      10        13      14          20
 *     data          | message | m     | message   |      byte streams: a position counts bytes
 *     boundaries    3         1 last  6 last             JSON streams: a position counts messages
 *
 * No boundaries at all: the extent is one message that is one append, the most frequent case. Boundaries that do not
 * describe their data are damage: a page that has bytes ends before it, an empty one is refused. */
#include "shard/streams/page.h"

#include "common/boundaries.h"
#include "common/log.h"
#include "common/metrics.h"
#include "shard/store/extent.h"
#include "shard/store/store_chunk.h"
#include "shard/streams/pending.h"

/* Walks the messages of an extent; position and byte are where the current one begins. */
struct walk {
    struct slice boundaries;
    bool single; /* no boundaries: the extent is one message */
    bool json;
    uint64_t position, byte, length;
    bool last_of_append;
    bool damaged; /* the boundaries do not describe the data */
};

static struct walk page_walk_start(const struct extent *extent, bool json)
{
    return (struct walk){.boundaries = extent->boundaries,
                         .single = extent->boundaries.len == 0,
                         .json = json,
                         .position = extent->start};
}

/* To the next message; `byte` and `position` move over the current one. */
static bool page_walk_next(struct walk *w, const struct extent *extent)
{
    w->position += w->length ? (w->json ? 1 : w->length) : 0;
    w->byte += w->length;
    if (w->single) {
        w->single = false;
        w->length = extent->data.len;
        w->last_of_append = true;
        return true;
    }
    if (!boundaries_next(&w->boundaries, &w->length, &w->last_of_append))
        return false;
    w->damaged = w->length == 0 || w->length > extent->data.len - w->byte;
    return !w->damaged;
}

static uint64_t page_walk_end(const struct walk *w)
{
    return w->position + (w->json ? 1 : w->length);
}

/* How many of the message's `length` bytes go on the page; 0: none, the page is full. An empty page takes one message
 * whole, however large: a reader would otherwise never get past it. Only a byte stream can be cut instead. */
static uint64_t page_fit(struct page *page, uint64_t length, uint64_t taken, bool json)
{
    uint64_t held = buf_len(&page->data) + page->in_file + taken;
    if (held + length <= page->max_bytes)
        return length;
    page->full = true;
    if (held > 0)
        return 0;
    return page->cut && !json ? page->max_bytes : length;
}

/* Bytes of the extent, from *from on, that go on the page. False: the boundaries are damaged. */
static bool page_take_messages(struct page *page, const struct extent *extent, bool json, uint64_t upto, uint64_t *from,
                               uint64_t *taken)
{
    struct walk w = page_walk_start(extent, json);
    *from = UINT64_MAX;
    *taken = 0;
    while (!page->full && page_walk_next(&w, extent)) {
        if (page_walk_end(&w) <= page->next)
            continue;
        if (w.position >= upto)
            break;
        uint64_t skip = json ? 0 : page->next - w.position;
        uint64_t length = w.length - skip;
        if (!json && w.position + w.length > upto)
            length = upto - w.position - skip;
        if (*from == UINT64_MAX)
            *from = w.byte + skip;
        uint64_t added = page_fit(page, length, *taken, json);
        if (!added)
            break;
        *taken += added;
        page->next += json ? 1 : added;
        page->time_ms = extent->time_ms;
        if (++page->count == page->max_messages)
            page->full = true;
    }
    return !w.damaged;
}

static bool page_add_messages(struct page *page, const struct extent *extent, bool json, uint64_t upto)
{
    uint64_t from, taken;
    bool good = page_take_messages(page, extent, json, upto, &from, &taken);
    if (taken)
        buf_add(&page->data, extent->data.data + from, taken);
    return good && (taken || page->full);
}

struct outcome page_in_file(struct page *page, struct streams *streams, const struct stream *stream,
                            struct file_bytes *out)
{
    struct outcome outcome = outcome_of(ERR_NONE);
    struct stored_block block;
    uint64_t from, taken;
    *out = (struct file_bytes){.fd = -1};
    while (!page->full && page->next < stream->row.offloaded) {
        outcome = segments_stored(&streams->segments, stream->row.uid, page->next, &block);
        if (outcome.kind != OUTCOME_DONE || block.fd < 0)
            break;
        if (out->bytes && (block.fd != out->fd || block.at != out->at + out->bytes))
            break; /* another segment */
        if (!page_take_messages(page, &block.extent, stream->json, stream->row.offloaded, &from, &taken) || !taken)
            break;
        if (!out->bytes)
            *out = (struct file_bytes){.fd = block.fd, .at = block.at + from};
        out->bytes += taken;
        page->in_file = out->bytes;
    }
    return outcome;
}

/* A whole extent is copied at once, without walking its messages; that is the frequent case of a reader that catches
 * up. With max_messages they have to be counted. */
bool page_add_extent(struct page *page, const struct extent *extent, bool json, uint64_t upto)
{
    bool whole = page->next == extent->start && extent->start + extent->count <= upto && !page->max_messages;
    if (!whole || buf_len(&page->data) + extent->data.len > page->max_bytes)
        return page_add_messages(page, extent, json, upto);
    buf_add_slice(&page->data, extent->data);
    page->next = extent->start + extent->count;
    page->time_ms = extent->time_ms;
    return true;
}

/* The pending entry that holds position, which is at or after row.flushed. */
static const struct pending *page_pending_at(const struct stream *stream, uint64_t position)
{
    size_t low = 0, high = stream->pending_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct pending *p = &stream->pending[mid];
        if (p->start + p->count <= position)
            low = mid + 1;
        else
            high = mid;
    }
    return low < stream->pending_count ? &stream->pending[low] : NULL;
}

/* Chunks up to `flushed`, then what is pending in memory: the journal's table is only for recovery. */
static bool page_database_extent(struct streams *streams, const struct stream *stream, uint64_t position,
                                 struct extent *extent)
{
    if (position < stream->row.flushed)
        return store_chunk_at(streams->store, stream->row.uid, position, extent);
    const struct pending *p = page_pending_at(stream, position);
    if (p)
        *extent = pending_extent(p);
    return p;
}

struct outcome page_extent_at(struct streams *streams, const struct stream *stream, uint64_t position,
                              struct extent *extent)
{
    if (position < stream->row.offloaded)
        return segments_extent(&streams->segments, stream->row.uid, position, extent);
    if (page_database_extent(streams, stream, position, extent) && extent->start <= position)
        return outcome_of(ERR_NONE);
    log_error("stream %llu: bytes at %llu, before the tail %llu, are damaged or missing",
              (unsigned long long)stream->row.uid, (unsigned long long)position, (unsigned long long)stream->tail);
    return outcome_of(ERR_INTERNAL);
}

static unsigned page_tier_at(const struct stream *stream, uint64_t position)
{
    return position < stream->row.offloaded ? METRIC_TIER_SEGMENT
           : position < stream->row.flushed ? METRIC_TIER_CHUNK
                                            : METRIC_TIER_JOURNAL;
}

struct outcome page_read(struct page *page, struct streams *streams, const struct stream *stream, uint64_t upto)
{
    struct extent extent;
    while (!page->full && page->next < upto) {
        unsigned tier = page_tier_at(stream, page->next);
        page->tier = tier > page->tier ? tier : page->tier;
        struct outcome outcome = page_extent_at(streams, stream, page->next, &extent);
        if (outcome.kind == OUTCOME_DONE && !page_add_extent(page, &extent, stream->json, upto))
            outcome = outcome_of(ERR_INTERNAL);
        if (outcome.kind == OUTCOME_DONE)
            continue;
        /* A page that has bytes is an answer. As `broken` it is not kept as a file: read later it would be longer. */
        page->broken = page->full = buf_len(&page->data) > 0;
        if (outcome.kind == OUTCOME_NEEDS_SEGMENT || !page->full)
            return outcome;
    }
    return outcome_of(ERR_NONE);
}

struct outcome page_append_end(struct streams *streams, const struct stream *stream, uint64_t position, uint64_t *end)
{
    struct extent extent;
    if (position < stream->row.base)
        return outcome_of(ERR_INVALID_FORK_SUB_OFFSET);
    /* An append may go on in the next extent. */
    for (uint64_t at = position; at < stream->tail; at = extent.start + extent.count) {
        struct outcome outcome = page_extent_at(streams, stream, at, &extent);
        if (outcome.kind != OUTCOME_DONE)
            return outcome;
        struct walk w = page_walk_start(&extent, stream->json);
        while (page_walk_next(&w, &extent)) {
            if (page_walk_end(&w) <= position || !w.last_of_append)
                continue;
            *end = page_walk_end(&w);
            return outcome;
        }
        if (extent.start + extent.count <= at)
            break;
    }
    return outcome_of(ERR_INVALID_FORK_SUB_OFFSET);
}

bool page_cut_extent(struct extent *extent, bool json, uint64_t from, uint64_t to)
{
    uint64_t end = extent->start + extent->count;
    struct walk w = page_walk_start(extent, json);
    struct extent cut = {.start = from, .time_ms = extent->time_ms};
    const char *boundaries = extent->boundaries.data;
    if (from <= extent->start && to >= end)
        return true;
    cut.start = from > extent->start ? from : extent->start;
    cut.count = (to < end ? to : end) - cut.start;
    while (page_walk_next(&w, extent) && w.position < to) {
        if (w.position == cut.start) {
            cut.data.data = extent->data.data + w.byte;
            cut.boundaries.data = boundaries;
        }
        boundaries = w.boundaries.data;
        if (!cut.data.data)
            continue;
        cut.data.len += w.length;
        cut.boundaries.len = (size_t)(boundaries - cut.boundaries.data);
    }
    if (!json && cut.data.len != cut.count) { /* no boundary of a message, but a byte stream has one everywhere */
        cut.data = slice_of(extent->data.data + (cut.start - extent->start), (size_t)cut.count);
        cut.boundaries = (struct slice){0};
    }
    if (w.damaged || !cut.data.data)
        return false;
    *extent = cut;
    return true;
}

/* Where the last append that ends in the extent, after `from`, ends; `from` if none does. False: the
 * boundaries are damaged. */
static bool page_last_end(const struct extent *extent, bool json, uint64_t from, uint64_t *end)
{
    struct walk w = page_walk_start(extent, json);
    *end = from;
    while (page_walk_next(&w, extent))
        if (w.last_of_append && page_walk_end(&w) > from)
            *end = page_walk_end(&w);
    return !w.damaged;
}

/* [from, to) of a JSON stream, which lies in several extents. */
static struct outcome page_join_runs(struct streams *streams, const struct stream *stream, uint64_t from, uint64_t to,
                                     struct joined *joined, struct extent *extent)
{
    buf_reset(&joined->data);
    buf_reset(&joined->boundaries);
    for (uint64_t at = from; at < to; at = extent->start + extent->count) {
        struct outcome outcome = page_extent_at(streams, stream, at, extent);
        if (outcome.kind != OUTCOME_DONE)
            return outcome;
        if (!page_cut_extent(extent, true, at, to))
            return outcome_of(ERR_INTERNAL);
        buf_add_slice(&joined->data, extent->data);
        if (extent->boundaries.len)
            buf_add_slice(&joined->boundaries, extent->boundaries);
        else
            boundaries_add(&joined->boundaries, extent->data.len, true);
    }
    extent->start = from;
    extent->count = to - from;
    extent->data = buf_slice(&joined->data);
    extent->boundaries = buf_slice(&joined->boundaries);
    return outcome_of(ERR_NONE);
}

struct outcome page_appends_at(struct streams *streams, const struct stream *stream, uint64_t position,
                               struct joined *joined, struct extent *extent)
{
    uint64_t end;
    struct outcome outcome = page_extent_at(streams, stream, position, extent);
    if (outcome.kind != OUTCOME_DONE)
        return outcome;
    if (!page_last_end(extent, stream->json, position, &end))
        return outcome_of(ERR_INTERNAL);
    if (end > position)
        return outcome_of(page_cut_extent(extent, stream->json, position, end) ? ERR_NONE : ERR_INTERNAL);
    outcome = page_append_end(streams, stream, position, &end);
    return outcome.kind == OUTCOME_DONE ? page_join_runs(streams, stream, position, end, joined, extent) : outcome;
}
