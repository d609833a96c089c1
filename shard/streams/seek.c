/* Back: whole extents are taken from the newest on, as long as messages and bytes are left. The extent where they end
 * is walked from its beginning, because boundaries can be read only forwards:
 *
 *     segments               | chunks    | pending
 *     A: 9000 messages | B   | C   | D   | e f g h        200 messages back from the tail
 *                        <---------------------------     e to h, D and C are taken whole; 188 of B are left:
 *                        B's index, the last block's boundaries, and the 188th from its end
 *
 * A segment that is taken whole costs its row only. Data is never read: bounds say how long it is.
 *
 * By time: units (a segment, a chunk, a pending append) have the time of their newest message, and times of a stream
 * grow. So a binary search finds the first unit that is new enough, and in it the first message. If that is the first
 * of all own bytes, those of the ancestor may be new enough too.
 *
 * Failure modes: Segments are away: NEEDS_SEGMENT, at most once for each of them. Bytes are damaged or missing: what
 * lies behind is the answer if there is any, and the next read meets the error. The clock was set back: times do not
 * grow everywhere, and the search ends at one of the places where they pass the one that is sought. */
#include "shard/streams/seek.h"

#include "common/wire.h"
#include "shard/store/extent.h"
#include "shard/streams/page.h"
#include "shard/streams/walk.h"

/* ---- back ---- */

/* Messages of an extent within [floor, at). A message of a byte stream may be cut by both. */
struct seek_count {
    uint64_t messages, bytes;
};

/* The current message as far as it lies within [from, to); 0: it does not. */
static uint64_t seek_length(const struct walk *w, uint64_t from, uint64_t to)
{
    uint64_t begin = w->position > from ? w->position : from, end = walk_end(w) < to ? walk_end(w) : to;
    if (begin >= end)
        return 0;
    return w->json ? w->length : end - begin;
}

/* False: the boundaries are damaged. */
static bool seek_count_extent(const struct extent *extent, bool json, uint64_t from, uint64_t to,
                              struct seek_count *count)
{
    struct walk w = walk_start(extent, json);
    uint64_t end = extent->start;
    *count = (struct seek_count){0};
    while (walk_next(&w, extent)) {
        uint64_t length = seek_length(&w, from, to);
        count->messages += length > 0;
        count->bytes += length;
        end = walk_end(&w);
    }
    return !w.damaged && end == extent->start + extent->count;
}

static bool seek_fits(const struct seek *seek, const struct seek_count *count)
{
    return count->messages <= seek->messages && count->bytes <= seek->bytes;
}

static void seek_take(struct seek *seek, const struct seek_count *count, uint64_t at)
{
    seek->at = at;
    seek->messages -= count->messages;
    seek->bytes -= count->bytes < seek->bytes ? count->bytes : seek->bytes;
    seek->taken = true;
    seek->done = !seek->messages || !seek->bytes;
}

/* Takes the newest messages that fit of an extent that does not fit as a whole: drops the oldest until the rest does.
 * The newest one is taken whatever its size if there is none yet. */
static void seek_take_part(struct seek *seek, const struct extent *extent, bool json, uint64_t floor,
                           struct seek_count count)
{
    struct walk w = walk_start(extent, json);
    uint64_t to = seek->at;
    seek->done = true;
    while (walk_next(&w, extent)) {
        uint64_t length = seek_length(&w, floor, to);
        if (!length)
            continue;
        if (seek_fits(seek, &count) || (count.messages == 1 && seek->messages && !seek->taken)) {
            seek_take(seek, &count, w.position > floor ? w.position : floor);
            seek->done = true;
            return;
        }
        count.messages--;
        count.bytes -= length;
    }
}

/* A segment that fits as a whole is not opened. */
static bool seek_take_segment(struct seek *seek, struct streams *streams, const struct stream *stream, uint64_t floor)
{
    struct segment_row row;
    if (seek->at > stream->row.offloaded || !store_segment(streams->store, stream->row.uid, seek->at - 1, &row))
        return false;
    const struct seek_count count = {row.messages, row.bytes};
    seek->looks++;
    if (row.object.start < floor || row.end != seek->at || !seek_fits(seek, &count))
        return false;
    seek_take(seek, &count, row.object.start);
    return true;
}

static struct outcome seek_back(struct seek *seek, struct streams *streams, const struct stream *stream, uint64_t floor)
{
    struct extent extent;
    struct seek_count count;
    while (!seek->done && seek->at > floor) {
        if (seek_take_segment(seek, streams, stream, floor))
            continue;
        struct outcome outcome = page_bounds_at(streams, stream, seek->at - 1, &extent);
        seek->looks++;
        if (outcome.kind == OUTCOME_DONE && !seek_count_extent(&extent, stream->json, floor, seek->at, &count))
            outcome = outcome_of(ERR_INTERNAL);
        if (outcome.kind == OUTCOME_FAILED && seek->taken) {
            seek->done = true;
            break;
        }
        if (outcome.kind != OUTCOME_DONE)
            return outcome;
        if (seek_fits(seek, &count))
            seek_take(seek, &count, extent.start > floor ? extent.start : floor);
        else
            seek_take_part(seek, &extent, stream->json, floor, count);
    }
    return outcome_of(ERR_NONE);
}

/* ---- by time ---- */

/* What has one time at least, without opening files. */
struct seek_unit {
    uint64_t start, end, time_ms;
};

static struct outcome seek_unit_at(struct seek *seek, struct streams *streams, const struct stream *stream,
                                   uint64_t position, struct seek_unit *unit)
{
    struct segment_row row;
    struct extent extent;
    seek->looks++;
    if (position < stream->row.offloaded && store_segment(streams->store, stream->row.uid, position, &row) &&
        position < row.end) {
        *unit = (struct seek_unit){row.object.start, row.end, row.time_ms};
        return outcome_of(ERR_NONE);
    }
    struct outcome outcome = page_bounds_at(streams, stream, position, &extent);
    if (outcome.kind == OUTCOME_DONE)
        *unit = (struct seek_unit){extent.start, extent.start + extent.count, extent.time_ms};
    return outcome;
}

/* The first message that is new enough, in the unit that begins at *at and has one. Where *at is inside of an extent,
 * messages before it do not count. */
static struct outcome seek_since_message(struct seek *seek, struct streams *streams, const struct stream *stream,
                                         uint64_t *at)
{
    struct extent extent;
    struct outcome outcome = *at < stream->row.offloaded
                                 ? segments_since(&streams->segments, stream->row.uid, *at, seek->since_ms, &extent)
                                 : page_bounds_at(streams, stream, *at, &extent);
    seek->looks++;
    if (outcome.kind != OUTCOME_DONE)
        return outcome;
    struct walk w = walk_start(&extent, stream->json);
    while (walk_next(&w, &extent))
        if (walk_end(&w) > *at && walk_time(&w, &extent) >= seek->since_ms) {
            *at = w.position > *at ? w.position : *at;
            break;
        }
    return outcome_of(w.damaged ? ERR_INTERNAL : ERR_NONE);
}

static struct outcome seek_since(struct seek *seek, struct streams *streams, const struct stream *stream,
                                 uint64_t floor)
{
    uint64_t low = floor, high = seek->at;
    struct outcome outcome = outcome_of(ERR_NONE);
    while (low < high && outcome.kind == OUTCOME_DONE) {
        struct seek_unit unit;
        outcome = seek_unit_at(seek, streams, stream, low + (high - low) / 2, &unit);
        if (outcome.kind != OUTCOME_DONE)
            return outcome;
        if (unit.time_ms >= seek->since_ms)
            high = unit.start > low ? unit.start : low;
        else
            low = unit.end < high ? unit.end : high;
    }
    if (low < seek->at)
        outcome = seek_since_message(seek, streams, stream, &low);
    seek->done = low > floor;
    seek->at = low;
    return outcome;
}

struct outcome seek_own(struct seek *seek, struct streams *streams, const struct stream *stream, uint64_t floor)
{
    return seek->from == WIRE_FROM_SINCE ? seek_since(seek, streams, stream, floor)
                                         : seek_back(seek, streams, stream, floor);
}
