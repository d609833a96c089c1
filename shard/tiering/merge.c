/* Small segments of a stream become one, from the newest back:
 *
 *     oldest [ 40 ][ 9 ][ 3 ][ 3 ][ 3 ] newest     3+3+3 >= 9: four candidates; 40 is larger than 18, and waits
 *
 * Failure modes: A segment cannot be read: the outcome of the look, and nothing is merged. */
#include "shard/tiering/merge.h"

#include "shard/segments/segments.h"
#include "shard/store/store_segment.h"
#include "shard/streams/due.h"
#include "shard/streams/stream.h"
#include "shard/streams/streams.h"

#define MERGE_MIN 8   /* so many small segments of an open stream become one; of a closed one two do */
#define MERGE_MAX 64  /* and at most so many */
#define MERGE_MANY 64 /* so many become one also while the stream has more to offload */
#define MERGE_PART 2  /* small: it has less than such a part of segment.max_bytes */

/* A segment waits until the segments behind it are as large together, so each message is rewritten a few times only. */
size_t merge_count(const struct segment_row *rows, size_t there, const struct merge_rule *rule)
{
    uint64_t sum = 0;
    size_t count = 0;
    while (count < there && rows[count].bytes < rule->max_bytes / MERGE_PART &&
           sum + rows[count].bytes <= rule->max_bytes && rows[count].time_ms + rule->span_ms >= rows[0].time_ms &&
           (rule->closed || !count || rows[count].bytes <= sum))
        sum += rows[count++].bytes;
    return count;
}

bool merge_plan(struct streams *streams, const struct stream *stream, bool more, uint64_t *start, uint64_t *end)
{
    struct segment_row rows[MERGE_MAX];
    const struct stream_row *row = &stream->row;
    struct merge_rule rule = {.max_bytes = stream_segment_bytes(streams, stream),
                              .span_ms = row->retention_s ? row->retention_s * 1000 / RETENTION_PARTS : INT64_MAX,
                              .closed = row->closed};
    size_t least = more ? MERGE_MANY : row->closed ? 2 : MERGE_MIN;
    size_t count = merge_count(rows, store_segments_last(streams->store, row->uid, rows, MERGE_MAX), &rule);
    if (count < least)
        return false;
    *start = rows[count - 1].object.start;
    *end = rows[0].end;
    return true;
}

struct outcome merge_read(struct segments *segments, struct segment_draft *draft, uint64_t end, size_t most)
{
    struct extent extent;
    size_t before = buf_len(&draft->data);
    while (draft->segment.end < end && buf_len(&draft->data) - before < most) {
        struct outcome outcome = segments_extent(segments, draft->segment.uid, draft->segment.end, &extent);
        if (outcome.kind != OUTCOME_DONE)
            return outcome;
        if (!segment_add(draft, &extent))
            return outcome_of(ERR_INTERNAL);
    }
    return outcome_of(ERR_NONE);
}
