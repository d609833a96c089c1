/* A file, front to back:
 *
 *     head (SEGMENT_HEAD) | index, an entry a block | boundaries of all blocks | block | block | ...
 *      `---- checksum of head and index ----'          `-- checksum of each block with its boundaries
 *
 * A reader needs one read for head and index and one for a block, at any position. The numbers in the index must
 * add up: each block begins where the one before it ends, in the file and in the stream, and the sums are those of the
 * head.
 *
 * Happy path: a draft is filled extent by extent, sealed once, and the file never changes after that. The checksum of
 * head and index is in the database too, so a good segment in the wrong place is noticed.
 *
 * Failure modes: Bytes that do not parse, whatever they are, are no segment: segment_parse() and segment_extent()
 * return false and never read outside of what they were given (tests/fuzz/fuzz_segment.c). What to do about it is for
 * the caller. */
#include "shard/segments/segment.h"

#include <endian.h>
#include <stdlib.h>
#include <xxhash.h>
#include <zstd.h>

#include "common/boundaries.h"
#include "common/log.h"
#include "common/mem.h"
#include "shard/store/extent.h"

#define MAGIC "STRMSEG\1"
#define FLAG_JSON 1u
#define CHECKSUM_AT 88u
#define LEVEL 3                                /* of zstd */
#define PAYS(stored) ((stored) + (stored) / 8) /* it must be shorter by a ninth */

/* ---- numbers ---- */

static void segment_put_u32(struct buf *out, uint64_t value)
{
    uint32_t le = htole32((uint32_t)value);
    buf_add(out, &le, sizeof le);
}

static void segment_put_u64(struct buf *out, uint64_t value)
{
    uint64_t le = htole64(value);
    buf_add(out, &le, sizeof le);
}

static uint32_t segment_take_u32(const char **in)
{
    uint32_t le;
    memcpy(&le, *in, sizeof le);
    *in += sizeof le;
    return le32toh(le);
}

static uint64_t segment_take_u64(const char **in)
{
    uint64_t le;
    memcpy(&le, *in, sizeof le);
    *in += sizeof le;
    return le64toh(le);
}

static uint64_t segment_checksum_of(struct slice a, struct slice b)
{
    return XXH3_64bits_withSeed(b.data, b.len, XXH3_64bits(a.data, a.len));
}

/* ---- making ---- */

static struct segment_block *segment_last_block(struct segment_draft *draft)
{
    return &draft->segment.blocks[draft->segment.count - 1];
}

static void segment_begin_block(struct segment_draft *draft)
{
    struct segment *s = &draft->segment;
    if (s->count == draft->cap) {
        draft->cap = draft->cap ? draft->cap * 2 : 16;
        s->blocks = xrealloc(s->blocks, draft->cap * sizeof *s->blocks);
    }
    draft->timed = 0;
    s->blocks[s->count++] = (struct segment_block){
        .start = s->end, .at = buf_len(&draft->data), .boundaries_at = (uint32_t)buf_len(&draft->boundaries)};
}

static void segment_add_message(struct segment_draft *draft, struct slice message, bool last_of_append,
                                uint64_t time_ms)
{
    struct segment *s = &draft->segment;
    if (!s->count || segment_last_block(draft)->bytes + message.len > SEGMENT_BLOCK)
        segment_begin_block(draft);
    struct segment_block *block = segment_last_block(draft);
    size_t before = buf_len(&draft->boundaries);
    boundaries_add_time(&draft->boundaries, &draft->timed, time_ms);
    boundaries_add(&draft->boundaries, message.len, last_of_append);
    buf_add_slice(&draft->data, message);
    block->boundaries += (uint32_t)(buf_len(&draft->boundaries) - before);
    block->bytes += (uint32_t)message.len;
    block->time_ms = time_ms;
    s->end += s->json ? 1 : message.len;
    s->messages++;
    s->bytes += message.len;
}

bool segment_add(struct segment_draft *draft, const struct extent *extent)
{
    struct segment *s = &draft->segment;
    struct slice boundaries = extent->boundaries;
    uint64_t position = extent->start, length = extent->data.len, at = 0, before = s->end, time_ms = 0;
    bool last = true, bare = !extent->boundaries.len;
    /* An extent without boundaries is one message. It may begin before the draft's end: messages that the draft has are
     * skipped. One that begins behind it leaves a gap, and the caller has mixed something up. */
    while (!draft->full && (bare || boundaries_next_at(&boundaries, &length, &last, &time_ms))) {
        if (!length || length > extent->data.len - at)
            return false;
        if (position == s->end) {
            draft->full = s->messages && (s->messages >= draft->max_messages || s->bytes + length > draft->max_bytes);
            if (!draft->full)
                segment_add_message(draft, slice_part(extent->data, at, (size_t)length), last,
                                    time_ms ? time_ms : extent->time_ms);
        } else if (position > s->end) {
            return false;
        }
        position += s->json ? 1 : length;
        at += length;
        if (bare)
            break;
    }
    draft->full |= s->messages >= draft->max_messages || s->bytes >= draft->max_bytes;
    return draft->full || s->end > before;
}

/* Puts the block at the end of the file: compressed only if that saves enough, so that other blocks can be sent from
 * the file as they are. */
static void segment_store_block(struct segment_draft *draft, struct segment_block *block, ZSTD_CCtx *zstd,
                                struct buf *file)
{
    const char *data = slice_from(buf_slice(&draft->data), block->at).data;
    struct slice boundaries = slice_part(buf_slice(&draft->boundaries), block->boundaries_at, block->boundaries);
    size_t room = ZSTD_compressBound(block->bytes), stored = block->bytes;
    char *out = buf_reserve(file, room);
    if (zstd) {
        stored = ZSTD_compressCCtx(zstd, out, room, data, block->bytes, LEVEL);
        if (ZSTD_isError(stored) || PAYS(stored) > block->bytes)
            stored = block->bytes;
    }
    if (stored == block->bytes)
        memcpy(out, data, block->bytes);
    block->at = buf_len(file);
    block->stored = (uint32_t)stored;
    block->checksum = segment_checksum_of(boundaries, slice_of(out, stored));
    buf_grow(file, stored);
}

/* SEGMENT_HEAD bytes, little-endian: magic 8, flags 4, count 4, nine numbers of 8 (two are spare), checksum 8. */
static void segment_put_head(const struct segment *s, struct buf *out)
{
    buf_add(out, MAGIC, 8);
    segment_put_u32(out, s->json ? FLAG_JSON : 0);
    segment_put_u32(out, s->count);
    const uint64_t numbers[] = {s->uid, s->start, s->end, s->messages, s->bytes, s->size, s->boundaries, 0, 0};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        segment_put_u64(out, numbers[i]);
}

static void segment_put_entry(const struct segment_block *b, struct buf *out)
{
    segment_put_u64(out, b->start);
    segment_put_u64(out, b->time_ms);
    segment_put_u64(out, b->at);
    segment_put_u32(out, b->stored);
    segment_put_u32(out, b->bytes);
    segment_put_u32(out, b->boundaries_at);
    segment_put_u32(out, b->boundaries);
    segment_put_u64(out, b->checksum);
}

/* Head and index come first in the file, but are known last: their room is filled with zeros, then written over. */
void segment_seal(struct segment_draft *draft, bool compress, struct buf *file)
{
    struct segment *s = &draft->segment;
    size_t front = SEGMENT_HEAD + s->count * SEGMENT_ENTRY;
    struct buf head = {0}, index = {0};
    ZSTD_CCtx *zstd = compress ? ZSTD_createCCtx() : NULL;
    if (compress && !zstd)
        fatalx("zstd has no memory");
    s->boundaries_at = front;
    s->boundaries = buf_len(&draft->boundaries);
    memset(buf_reserve(file, front), 0, front);
    buf_grow(file, front);
    buf_add_slice(file, buf_slice(&draft->boundaries));
    for (size_t i = 0; i < s->count; i++)
        segment_store_block(draft, &s->blocks[i], zstd, file);
    ZSTD_freeCCtx(zstd);
    s->size = buf_len(file);
    segment_put_head(s, &head);
    for (size_t i = 0; i < s->count; i++)
        segment_put_entry(&s->blocks[i], &index);
    s->checksum = segment_checksum_of(buf_slice(&head), buf_slice(&index));
    segment_put_u64(&head, s->checksum);
    char *at = file->data + file->start;
    memcpy(at, head.data, SEGMENT_HEAD);
    memcpy(at + SEGMENT_HEAD, index.data, buf_len(&index));
    buf_clear(&head);
    buf_clear(&index);
}

void segment_draft_clear(struct segment_draft *draft)
{
    segment_clear(&draft->segment);
    buf_clear(&draft->data);
    buf_clear(&draft->boundaries);
}

/* ---- reading ---- */

static void segment_take_head(struct segment *s, const char *in)
{
    s->json = segment_take_u32(&in) & FLAG_JSON;
    s->count = segment_take_u32(&in);
    s->uid = segment_take_u64(&in);
    s->start = segment_take_u64(&in);
    s->end = segment_take_u64(&in);
    s->messages = segment_take_u64(&in);
    s->bytes = segment_take_u64(&in);
    s->size = segment_take_u64(&in);
    s->boundaries = segment_take_u64(&in);
    in += 16;
    s->checksum = segment_take_u64(&in);
}

/* A block that overlaps another, or is empty, would let a position be read from two places. */
static bool segment_take_index(struct segment *s, const char *in)
{
    uint64_t at = s->boundaries_at + s->boundaries, boundaries = 0, bytes = 0, position = s->start;
    for (size_t i = 0; i < s->count; i++) {
        struct segment_block *b = &s->blocks[i];
        b->start = segment_take_u64(&in);
        b->time_ms = segment_take_u64(&in);
        b->at = segment_take_u64(&in);
        b->stored = segment_take_u32(&in);
        b->bytes = segment_take_u32(&in);
        b->boundaries_at = segment_take_u32(&in);
        b->boundaries = segment_take_u32(&in);
        b->checksum = segment_take_u64(&in);
        if (b->at != at || b->boundaries_at != boundaries || !b->stored || b->stored > b->bytes || !b->boundaries ||
            (i ? b->start <= position : b->start != position) || b->start >= s->end)
            return false;
        position = b->start;
        at += b->stored;
        boundaries += b->boundaries;
        bytes += b->bytes;
    }
    return at == s->size && boundaries == s->boundaries && bytes == s->bytes;
}

bool segment_parse(struct segment *segment, struct slice front, uint64_t size, uint64_t *need)
{
    struct segment s = {0};
    *need = SEGMENT_HEAD;
    if (front.len < SEGMENT_HEAD && size >= SEGMENT_HEAD)
        return false;
    *need = 0;
    if (front.len < SEGMENT_HEAD || memcmp(front.data, MAGIC, 8) != 0)
        return false;
    segment_take_head(&s, front.data + 8);
    s.boundaries_at = SEGMENT_HEAD + (uint64_t)s.count * SEGMENT_ENTRY;
    /* Everything is checked against the size of the file before anything is allocated by it. */
    if (!s.count || s.size != size || s.boundaries_at > size || s.boundaries > size - s.boundaries_at ||
        s.start >= s.end)
        return false;
    if (front.len < s.boundaries_at) {
        *need = s.boundaries_at;
        return false;
    }
    struct slice index = slice_of(front.data + SEGMENT_HEAD, s.boundaries_at - SEGMENT_HEAD);
    if (segment_checksum_of(slice_of(front.data, CHECKSUM_AT), index) != s.checksum)
        return false;
    s.blocks = xcalloc(s.count, sizeof *s.blocks);
    if (!segment_take_index(&s, index.data)) {
        segment_clear(&s);
        return false;
    }
    *segment = s;
    return true;
}

void segment_clear(struct segment *segment)
{
    free(segment->blocks);
    *segment = (struct segment){0};
}

size_t segment_find(const struct segment *segment, uint64_t position)
{
    size_t low = 0, high = segment->count;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (segment->blocks[mid].start <= position)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* The boundaries say as many positions and bytes as the index does. */
static bool segment_boundaries_fit(const struct segment *s, struct slice boundaries, uint64_t positions, uint64_t bytes)
{
    uint64_t length, count = 0, sum = 0;
    bool last;
    while (boundaries_next(&boundaries, &length, &last)) {
        if (!length || length > bytes - sum)
            return false;
        sum += length;
        count++;
    }
    return !boundaries.len && sum == bytes && (s->json ? count : sum) == positions;
}

bool segment_bounds(const struct segment *segment, size_t block, struct slice boundaries, struct extent *extent)
{
    const struct segment_block *b = &segment->blocks[block];
    uint64_t end = block + 1 < segment->count ? segment->blocks[block + 1].start : segment->end;
    if (boundaries.len != b->boundaries || !segment_boundaries_fit(segment, boundaries, end - b->start, b->bytes))
        return false;
    *extent = (struct extent){.start = b->start,
                              .count = end - b->start,
                              .time_ms = b->time_ms,
                              .boundaries = boundaries,
                              .data = slice_of(NULL, b->bytes)};
    return true;
}

bool segment_extent(const struct segment *segment, size_t block, struct slice boundaries, struct slice stored,
                    struct buf *inflated, struct extent *extent)
{
    const struct segment_block *b = &segment->blocks[block];
    struct slice data = stored;
    if (stored.len != b->stored || segment_checksum_of(boundaries, stored) != b->checksum ||
        !segment_bounds(segment, block, boundaries, extent))
        return false;
    if (b->stored < b->bytes) {
        if (ZSTD_getFrameContentSize(stored.data, stored.len) != b->bytes)
            return false;
        buf_reset(inflated);
        size_t len = ZSTD_decompress(buf_reserve(inflated, b->bytes), b->bytes, stored.data, stored.len);
        if (ZSTD_isError(len) || len != b->bytes)
            return false;
        buf_grow(inflated, len);
        data = buf_slice(inflated);
    }
    extent->data = data;
    return true;
}

bool segment_check(struct slice file)
{
    struct segment s;
    struct buf inflated = {0};
    struct extent extent;
    uint64_t need, messages = 0;
    bool good = segment_parse(&s, file, file.len, &need);
    if (!good)
        return false;
    for (size_t i = 0; i < s.count && good; i++) {
        const struct segment_block *b = &s.blocks[i];
        struct slice boundaries = slice_part(file, s.boundaries_at + b->boundaries_at, b->boundaries);
        uint64_t length;
        bool last;
        good = segment_extent(&s, i, boundaries, slice_part(file, b->at, b->stored), &inflated, &extent);
        while (good && boundaries_next(&boundaries, &length, &last))
            messages++;
    }
    good = good && messages == s.messages;
    buf_clear(&inflated);
    segment_clear(&s);
    return good;
}
