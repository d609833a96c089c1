/* Retention drops whole segments from the front of a stream:
 *
 *     [ seg 1 ][ seg 2 ][ seg 3 ] chunks, journal
 *     `-- older than Stream-Retention-Seconds, or the rest alone has Stream-Retention-Bytes: becomes an orphan
 *
 * Happy path: the store finds streams whose retain_ms has come; each drops up to GONE_AT_ONCE segments in the turn's
 * transaction, and is given the time of its next look. The files go later (orphans.c).
 *
 * Failure modes: A fork holds the stream, or an estuary has not received the segment: nothing is dropped, and the next
 * look is soon. The clock was set back: a segment from the future is judged by the time of the newest one. The disk is
 * full: a turn writes a bounded amount, and the other streams wait for the next turn. A crash: the transaction is whole
 * or absent, and the look is repeated. */
#include "shard/tiering/retain.h"

#include "common/fault.h"
#include "shard/handlers/pin.h"
#include "shard/shard.h"
#include "shard/store/disk.h"
#include "shard/store/store.h"
#include "shard/store/store_fork.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_stream.h"
#include "shard/store/store_upkeep.h"
#include "shard/streams/due.h"

#define AT_ONCE 64
#define GONE_AT_ONCE 16   /* segments of a stream */
#define AGAIN_MIN_MS 1000 /* where something is in the way */
#define AGAIN_MAX_MS 60000

static bool retain_is_over(const struct stream *stream, const struct segment_row *oldest, uint64_t now_ms)
{
    const struct stream_row *row = &stream->row;
    return (row->retention_s && oldest->time_ms + row->retention_s * 1000 <= now_ms) ||
           (row->retention_bytes && stream->bytes >= row->retention_bytes + oldest->bytes);
}

static void retain_let_go(struct shard *shard, struct stream *stream, const struct segment_row *oldest)
{
    const struct stream_row *row = &stream->row;
    store_segments_orphan(shard->store, row->uid, oldest->object.start, oldest->end);
    if (row->source_uid != STORE_NONE && oldest->object.start == row->base)
        pin_release(shard, row->uid, row->source_uid, row->pin); /* what it has of its source is gone, too */
    stream_trimmed(&shard->streams, stream, oldest->end, oldest->bytes);
    fault_point("segment.let-go");
}

static uint64_t retain_soon(const struct stream *stream, uint64_t now_ms)
{
    uint64_t pause = stream->row.retention_s * 100; /* milliseconds: a tenth of the retention */
    return now_ms + (pause < AGAIN_MIN_MS ? AGAIN_MIN_MS : pause > AGAIN_MAX_MS ? AGAIN_MAX_MS : pause);
}

/* The oldest segment. If its time is still to come, the clock was ahead when it was written: it is no younger than the
 * newest segment, so it gets that one's time. */
static bool retain_oldest_of(const struct shard *shard, const struct stream *stream, struct segment_row *oldest)
{
    struct segment_row newest;
    if (!store_segment_oldest(shard->store, stream->row.uid, oldest))
        return false;
    if (oldest->time_ms > shard->now_ms && store_segments_last(shard->store, stream->row.uid, &newest, 1) == 1 &&
        newest.time_ms < oldest->time_ms)
        oldest->time_ms = newest.time_ms;
    return true;
}

static uint64_t retain_next_look(const struct shard *shard, const struct stream *stream,
                                 const struct segment_row *oldest)
{
    const struct stream_row *row = &stream->row;
    if (oldest && (retain_is_over(stream, oldest, shard->now_ms) || oldest->time_ms > shard->now_ms))
        return retain_soon(stream, shard->now_ms); /* something holds it, or the clock was set */
    if (!row->retention_s || (!oldest && !row->chunk_messages))
        return STORE_NONE;
    return oldest ? oldest->time_ms + row->retention_s * 1000 : retain_soon(stream, shard->now_ms);
}

void retain_stream(struct shard *shard, struct stream *stream)
{
    struct segment_row oldest;
    const struct stream_row *row = &stream->row;
    if (!row->retention_s && !row->retention_bytes)
        return;
    bool any = retain_oldest_of(shard, stream, &oldest);
    bool held = any && store_pinned(shard->store, row->uid);
    unsigned gone = 0;
    for (; gone < GONE_AT_ONCE && any && !held && retain_is_over(stream, &oldest, shard->now_ms) &&
           oldest.end <= feeds_acked(stream);
         gone++) {
        retain_let_go(shard, stream, &oldest);
        any = retain_oldest_of(shard, stream, &oldest);
    }
    stream->row.retain_ms =
        gone == GONE_AT_ONCE ? shard->now_ms : retain_next_look(shard, stream, any ? &oldest : NULL);
    store_stream_set_retained(shard->store, row);
    /* A slow stream never fills a segment. Its chunks are offloaded by age, so that there is something to drop. */
    if (!any && row->retention_s && row->chunk_messages)
        stream_age(&shard->streams, stream);
}

void retain_tick(struct shard *shard)
{
    uint64_t uids[AT_ONCE];
    size_t count = store_retained(shard->store, shard->now_ms, uids, AT_ONCE);
    for (size_t i = 0; i < count && !disk_spent(&shard->disk); i++) {
        struct stream *stream = streams_by_uid(&shard->streams, uids[i]);
        if (stream)
            retain_stream(shard, stream);
    }
}
