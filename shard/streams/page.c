/* An extent is some bytes of a stream in a row, wherever they are (page_extent_at): a block of a segment, a chunk, or
 * one pending append. Its boundaries say where a page can be cut (walk.c). Boundaries that do not describe their data
 * are damage: a page that has bytes ends before it, an empty one is refused. */
#include "shard/streams/page.h"

#include "common/boundaries.h"
#include "common/log.h"
#include "common/metrics.h"
#include "shard/store/extent.h"
#include "shard/store/store_chunk.h"
#include "shard/streams/pending.h"
#include "shard/streams/walk.h"

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
    struct walk w = walk_start(extent, json);
    *from = UINT64_MAX;
    *taken = 0;
    while (!page->full && walk_next(&w, extent)) {
        if (walk_end(&w) <= page->next)
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
        page->time_ms = walk_time(&w, extent);
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
        buf_add_slice(&page->data, slice_part(extent->data, from, taken));
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
static struct outcome page_database_extent(struct streams *streams, const struct stream *stream, uint64_t position,
                                           store_chunk_look *look, struct extent *extent)
{
    const struct pending *p = position < stream->row.flushed ? NULL : page_pending_at(stream, position);
    if (p)
        *extent = pending_extent(p);
    if ((p || look(streams->store, stream->row.uid, position, extent)) && extent->start <= position)
        return outcome_of(ERR_NONE);
    log_error("stream %llu: bytes at %llu, before the tail %llu, are damaged or missing",
              (unsigned long long)stream->row.uid, (unsigned long long)position, (unsigned long long)stream->tail);
    return outcome_of(ERR_INTERNAL);
}

struct outcome page_extent_at(struct streams *streams, const struct stream *stream, uint64_t position,
                              struct extent *extent)
{
    return position < stream->row.offloaded ? segments_extent(&streams->segments, stream->row.uid, position, extent)
                                            : page_database_extent(streams, stream, position, store_chunk_at, extent);
}

struct outcome page_bounds_at(struct streams *streams, const struct stream *stream, uint64_t position,
                              struct extent *extent)
{
    return position < stream->row.offloaded
               ? segments_bounds(&streams->segments, stream->row.uid, position, extent)
               : page_database_extent(streams, stream, position, store_chunk_bounds, extent);
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
        page->broken = page->full = buf_len(&page->data) > 0 && !page->whole;
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
        struct walk w = walk_start(&extent, stream->json);
        while (walk_next(&w, &extent)) {
            if (walk_end(&w) <= position || !w.last_of_append)
                continue;
            *end = walk_end(&w);
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
    struct walk w = walk_start(extent, json);
    struct extent cut = {.start = from, .time_ms = extent->time_ms};
    const char *boundaries = extent->boundaries.data;
    if (from <= extent->start && to >= end)
        return true;
    cut.start = from > extent->start ? from : extent->start;
    cut.count = (to < end ? to : end) - cut.start;
    while (walk_next(&w, extent) && w.position < to) {
        if (w.position == cut.start) {
            cut.data.data = slice_from(extent->data, w.byte).data;
            cut.boundaries.data = boundaries;
        }
        boundaries = w.boundaries.data;
        if (!cut.data.data)
            continue;
        cut.data.len += w.length;
        cut.boundaries.len = (size_t)(boundaries - cut.boundaries.data);
    }
    if (!json && cut.data.len != cut.count) { /* no boundary of a message, but a byte stream has one everywhere */
        cut.data = slice_part(extent->data, cut.start - extent->start, (size_t)cut.count);
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
    struct walk w = walk_start(extent, json);
    *end = from;
    while (walk_next(&w, extent))
        if (w.last_of_append && walk_end(&w) > from)
            *end = walk_end(&w);
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
            boundaries_add_all(&joined->boundaries, extent->boundaries);
        else
            boundaries_add(&joined->boundaries, extent->data.len, true);
    }
    extent->start = from;
    extent->count = to - from;
    extent->data = buf_slice(&joined->data);
    extent->boundaries = buf_slice(&joined->boundaries);
    return outcome_of(ERR_NONE);
}

/* Who gets these appends writes them at another time. */
static void page_leave_out_times(struct extent *extent, struct joined *joined)
{
    if (!extent->boundaries.len)
        return;
    buf_reset(&joined->boundaries);
    boundaries_add_all(&joined->boundaries, extent->boundaries);
    extent->boundaries = buf_slice(&joined->boundaries);
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
    if (end > position) {
        bool good = page_cut_extent(extent, stream->json, position, end);
        page_leave_out_times(extent, joined);
        return outcome_of(good ? ERR_NONE : ERR_INTERNAL);
    }
    outcome = page_append_end(streams, stream, position, &end);
    return outcome.kind == OUTCOME_DONE ? page_join_runs(streams, stream, position, end, joined, extent) : outcome;
}
