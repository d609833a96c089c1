/* A stream's bytes lie in its segments from its first position up to `offloaded`, and in chunks from there up to
 * `flushed`; what is newer is in the journal (verify_journal.c). Segments and chunks must follow one another without a
 * gap, each must be sound by itself (verify_rules.c), and the row counts what is in them. */
#include "shard/tools/verify_stream.h"

#include <inttypes.h>

#include "common/varint.h"
#include "shard/store/extent.h"
#include "shard/store/store_look_rows.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_stream.h"
#include "shard/tools/verify_context.h"
#include "shard/tools/verify_report.h"

static void verify_stream_segment(void *ctx, const struct segment_row *row)
{
    struct stream_check *l = ctx;
    const char *why = verify_segment_row(row, l->json);
    l->segments++;
    if (row->object.start != l->next)
        verify_problem(l->v, "a segment begins at %" PRIu64 ", %" PRIu64 " was expected", row->object.start, l->next);
    if (why)
        verify_problem(l->v, "the segment at %" PRIu64 ": %s", row->object.start, why);
    l->cut |= why || row->object.start != l->next;
    l->next = row->end;
    l->in_segments.bytes += row->bytes;
    l->in_segments.messages += row->messages;
}

static const char *verify_stream_content(struct stream_check *l, const struct extent *extent)
{
    return verify_extent(extent, l->json, l->row->offloaded, &l->in_chunks);
}

/* A chunk that refers to bytes that other streams have too. */
static const char *verify_stream_references(struct stream_check *l, const struct extent *chunk)
{
    struct slice refs = chunk->boundaries;
    struct extent extent = {.start = chunk->start};
    const char *why = NULL;
    uint64_t id;
    bool first;
    for (; refs.len; extent.start += extent.count) {
        if (!varint_take(&refs, &id) || !varint_take(&refs, &extent.count))
            return "its references are damaged";
        if (!store_look_shared(l->look, id, &extent, &first))
            why = "it refers to shared bytes that are not there";
        else if (!why && l->row->state != STREAM_DELETING)
            why = verify_stream_content(l, &extent);
    }
    return why                                           ? why
           : extent.start == chunk->start + chunk->count ? NULL
                                                         : "it does not hold as many positions as it says";
}

/* A chunk that has positions and no data; without `content` the lengths say so too. */
static bool verify_stream_is_reference(const struct extent *extent)
{
    return extent->count && !extent->data.len;
}

/* Chunks follow one another. The first may begin before the end of the segments: chunks go some time after their
 * segment has come, as long as the stream is due. */
static void verify_stream_chunk_place(struct stream_check *l, const struct extent *extent)
{
    if (!l->any && extent->start + extent->count > l->row->offloaded && extent->start > l->row->offloaded) {
        verify_problem(l->v, "its chunks begin at %" PRIu64 ", %" PRIu64 " was expected", extent->start,
                       l->row->offloaded);
        l->cut = true;
    }
    if (l->any && extent->start != l->next) {
        verify_problem(l->v, "a chunk begins at %" PRIu64 ", %" PRIu64 " was expected", extent->start, l->next);
        l->cut = true;
    }
    if (extent->start + extent->count <= l->row->offloaded && !l->row->due)
        verify_problem(l->v, "chunk at %" PRIu64 ": it is in a segment, too, and stays", extent->start);
    l->any = true;
    l->next = extent->start + extent->count;
}

static void verify_stream_chunk(void *ctx, const struct extent *extent)
{
    struct stream_check *l = ctx;
    const char *why = NULL;
    l->chunks++;
    if (verify_stream_is_reference(extent))
        why = l->v->quick ? NULL : verify_stream_references(l, extent);
    else if (!l->v->quick && l->row->state != STREAM_DELETING)
        why = verify_stream_content(l, extent);
    if (why)
        verify_problem(l->v, "chunk at %" PRIu64 ": %s", extent->start, why);
    l->cut |= why != NULL;
    if (l->row->state == STREAM_DELETING)
        return;
    verify_stream_chunk_place(l, extent);
}

/* The row's `bytes` are those of all tiers, `hot_*` those of chunks. Quick checks do not read chunks, so they have no
 * sums of them to compare. */
static void verify_stream_sums(struct stream_check *l)
{
    const struct stream_row *row = l->row;
    if (row->bytes != l->in_segments.bytes + row->chunk_bytes)
        verify_problem(l->v, "it counts %" PRIu64 " bytes; its segments have %" PRIu64 ", its chunks %" PRIu64,
                       row->bytes, l->in_segments.bytes, row->chunk_bytes);
    if (!l->v->quick && (row->chunk_bytes != l->in_chunks.bytes || row->chunk_messages != l->in_chunks.messages))
        verify_problem(
            l->v, "it counts %" PRIu64 " bytes and %" PRIu64 " messages in chunks; there are %" PRIu64 " and %" PRIu64,
            row->chunk_bytes, row->chunk_messages, l->in_chunks.bytes, l->in_chunks.messages);
}

/* A stream's segments, then its chunks: all bytes from its first position to where it is flushed. */
static bool verify_stream_bytes(struct stream_check *l)
{
    const struct stream_row *row = l->row;
    l->next = verify_first(row);
    if (!store_look_segments(l->look, row->uid, verify_stream_segment, l))
        return false;
    if (l->next != row->offloaded) {
        verify_problem(l->v, "its segments end at %" PRIu64 ", %" PRIu64 " was expected", l->next, row->offloaded);
        l->cut = true;
    }
    l->next = row->offloaded;
    if (!store_look_chunks(l->look, row->uid, !l->v->quick, verify_stream_chunk, l))
        return false;
    if (l->next != row->flushed) {
        verify_problem(l->v, "its chunks end at %" PRIu64 ", %" PRIu64 " was expected", l->next, row->flushed);
        l->cut = true;
    }
    if (!l->cut)
        verify_stream_sums(l);
    return true;
}

void verify_stream(void *ctx, const struct stream_row *row)
{
    struct stream_check *l = ctx;
    struct verify *v = l->v;
    unsigned slot = layout_slot_of_uid(row->uid);
    v->name = row->name;
    v->uid = row->uid;
    if (slot < LAYOUT_SLOTS)
        v->holds[l->shard][slot] = true;
    l->row = row;
    l->json = stream_row_is_json(row);
    l->cut = l->any = false;
    l->in_segments = l->in_chunks = (struct verify_sum){0};
    const char *why = row->state == STREAM_DELETING ? NULL : verify_row(&v->layout, row);
    if (why)
        verify_problem(v, "%s", why);
    bool read = true;
    if (row->state == STREAM_DELETING) /* what it refers to is counted until it is gone */
        read = v->quick || store_look_chunks(l->look, row->uid, true, verify_stream_chunk, l);
    else if (!why)
        read = verify_stream_bytes(l);
    v->streams += row->state != STREAM_DELETING;
    if (!read)
        verify_problem(v, "it cannot be read: %s", store_look_error(l->look));
    v->name = (struct slice){0};
    v->uid = 0;
}
