/* Flushing in generations. The turn appends at the journal's right edge; flushing empties it from the left.
 *
 *     journal, by seq:   dropped | flushed, to be dropped | being flushed | newer
 *                                ^ dropped_upto           ^ flushed_upto  ^ flushing_upto
 *
 *     journal --flush--> chunks --offload--> segments --retain--> gone        (offload.c, retain.c)
 *     pending in memory  pages of SQLite     files, objects
 *
 * Happy path: the journal is long (shard.flush_appends, shard.flush_bytes), or old, or the shard is idle: a generation
 * begins, which is all batches up to now. Behind each turn's answers comes a slice of it, in a transaction that waits
 * for no fsync, because the journal has it all: stream by stream the pending appends become chunks and the row's
 * `flushed` moves up. When the last stream is done the generation's batches are dead, and every turn drops some of
 * them.
 *
 * A slice is at least twice what came in this turn, so a generation always ends, and at least of a fixed size, so it
 * ends soon. A chunk that is shorter than a page is written anew with the next appends; a longer one stays as it is.
 *
 * Failure modes:
 *   - A crash: rows and chunks of a slice are durable together or not at all. Recovery reads the whole journal and
 *     skips entries below `flushed`; batches that were flushed and not dropped are read again, and harmless.
 *   - A full disk: until a batch is dropped its bytes are there twice. Slices are small then, and begin only if the
 *     database has room for them inside. */
#include "shard/tiering/flush.h"

#include "common/boundaries.h"
#include "common/fault.h"
#include "shard/shard.h"
#include "shard/store/disk.h"
#include "shard/store/extent.h"
#include "shard/store/journal.h"
#include "shard/store/store.h"
#include "shard/store/store_chunk.h"
#include "shard/store/store_disk.h"
#include "shard/store/store_shared.h"
#include "shard/streams/pending.h"

#define OLD 30                         /* times shard.flush_idle */
#define CHUNK_BYTES ((size_t)64 << 10) /* a chunk is closed at this size */
#define CHUNK_MERGE 4096               /* the newest chunk is rewritten while it is shorter than a page */
#define REFS_BYTES 1024                /* as is one of references */
#define SLICE_APPENDS 512
#define SLICE_FULL 32 /* on a full disk */
#define SLICE_BYTES ((size_t)1 << 20)
#define REF_BYTES 32 /* what one costs, of a slice */
#define DROP_BATCHES 32
#define IDLE_SLICES 8

/* A chunk that is being put together. It has bytes and boundaries, or references to shared bytes; never both. */
struct chunk {
    struct buf data, boundaries;
    struct buf shared; /* boundaries of shared bytes */
    uint64_t start, count, time_ms;
    uint64_t timed; /* the last time that the boundaries say */
    bool any, replaces;
    bool bare; /* one extent without boundaries: stays without */
    bool refs; /* it holds references, in `boundaries` */
    int64_t row_id;
};

static void flush_chunk_write(struct store *store, uint64_t uid, struct chunk *chunk)
{
    struct extent extent = {
        .start = chunk->start,
        .count = chunk->count,
        .time_ms = chunk->time_ms,
        .boundaries = chunk->bare && !chunk->refs ? (struct slice){0} : buf_slice(&chunk->boundaries),
        .data = buf_slice(&chunk->data),
    };
    if (!chunk->any)
        return;
    if (chunk->replaces)
        store_chunk_replace(store, chunk->row_id, &extent);
    else
        store_chunk_insert(store, uid, &extent);
    buf_reset(&chunk->data);
    buf_reset(&chunk->boundaries);
    chunk->timed = 0;
    chunk->any = chunk->replaces = chunk->refs = false;
}

/* Adds an extent's boundaries with its time, unless they have times: *timed is the last one of `boundaries`. */
static void flush_add_boundaries(struct buf *boundaries, uint64_t *timed, const struct extent *extent)
{
    struct slice rest = extent->boundaries;
    bool has_times = boundaries_first_time(rest) != 0, last;
    uint64_t length;
    if (!has_times)
        boundaries_add_time(boundaries, timed, extent->time_ms);
    if (extent->boundaries.len)
        buf_add_slice(boundaries, extent->boundaries);
    else
        boundaries_add(boundaries, extent->data.len, true);
    while (has_times && boundaries_next_at(&rest, &length, &last, timed))
        ;
}

/* Bytes that other streams have too are stored once, and referred to. */
static void flush_chunk_refer(struct store *store, uint64_t uid, struct chunk *chunk, const struct pending *pending)
{
    struct extent extent = pending_extent(pending);
    uint64_t id = shared_id(pending->batch->seq, pending->at);
    if (chunk->any && (!chunk->refs || buf_len(&chunk->boundaries) > REFS_BYTES))
        flush_chunk_write(store, uid, chunk);
    if (!chunk->any) {
        chunk->any = chunk->refs = true;
        chunk->start = extent.start;
        chunk->count = 0;
    }
    uint64_t timed = 0;
    buf_reset(&chunk->shared);
    flush_add_boundaries(&chunk->shared, &timed, &extent);
    extent.boundaries = buf_slice(&chunk->shared);
    store_shared_ref(store, id, &extent);
    shared_ref_add(&chunk->boundaries, id, extent.count);
    chunk->count += extent.count;
    chunk->time_ms = extent.time_ms;
}

static void flush_chunk_add(struct chunk *chunk, const struct extent *extent)
{
    chunk->bare = !chunk->any && extent->boundaries.len == 0;
    if (!chunk->any) {
        chunk->any = true;
        chunk->start = extent->start;
        chunk->count = 0;
    }
    flush_add_boundaries(&chunk->boundaries, &chunk->timed, extent);
    buf_add_slice(&chunk->data, extent->data);
    chunk->count += extent->count;
    chunk->time_ms = extent->time_ms;
}

/* Goes on with the newest chunk of the stream, which will be replaced: many small appends become one row. */
static void flush_chunk_reopen(struct chunk *chunk, const struct extent *extent)
{
    if (extent->data.len || !extent->count) {
        flush_chunk_add(chunk, extent);
    } else if (extent->boundaries.len > REFS_BYTES) {
        return;
    } else {
        *chunk = (struct chunk){
            .start = extent->start, .count = extent->count, .time_ms = extent->time_ms, .row_id = chunk->row_id};
        chunk->any = chunk->refs = true;
        buf_add_slice(&chunk->boundaries, extent->boundaries);
    }
    chunk->replaces = true;
}

/* Flushes the stream's oldest pending appends, up to the two limits; returns how many that were. */
static size_t flush_stream(struct store *store, struct streams *streams, struct stream *stream, int64_t upto,
                           size_t max_appends, size_t max_bytes)
{
    struct chunk chunk = {0};
    struct extent extent;
    size_t appends = 0, bytes = 0;
    uint64_t uid = stream->row.uid;
    if (!stream->unflushed && store_chunk_last(store, uid, CHUNK_MERGE, &chunk.row_id, &extent))
        flush_chunk_reopen(&chunk, &extent);
    for (; appends < stream->pending_count && appends < max_appends && bytes < max_bytes; appends++) {
        extent = pending_extent(&stream->pending[appends]);
        if (!extent.count)
            continue;
        if (stream->pending[appends].shared) {
            flush_chunk_refer(store, uid, &chunk, &stream->pending[appends]);
            bytes += REF_BYTES;
            continue;
        }
        if (chunk.any && (chunk.refs || buf_len(&chunk.data) + extent.data.len > CHUNK_BYTES))
            flush_chunk_write(store, uid, &chunk);
        flush_chunk_add(&chunk, &extent);
        bytes += extent.data.len;
    }
    flush_chunk_write(store, uid, &chunk);
    buf_clear(&chunk.data);
    buf_clear(&chunk.boundaries);
    buf_clear(&chunk.shared);
    pending_flushed(streams, stream, appends, upto);
    return appends;
}

/* One slice of the generation that ends with batch `upto`. False: all of it is in chunks. */
static bool flush_slice(struct store *store, struct streams *streams, int64_t upto, size_t max_appends,
                        size_t max_bytes)
{
    size_t appends = 0;
    uint64_t before = streams->journal_bytes;
    while (appends < max_appends && before - streams->journal_bytes < max_bytes) {
        if (list_empty(&streams->flushing))
            return false;
        struct stream *stream = LIST_OWNER(streams->flushing.next, struct stream, flush);
        appends += flush_stream(store, streams, stream, upto, max_appends - appends, max_bytes);
    }
    return true;
}

static bool flush_journal_is_long(const struct shard *shard)
{
    return shard->journaled >= shard->cfg->shard_flush_appends ||
           shard->journaled_bytes >= shard->cfg->shard_flush_bytes;
}

static bool flush_idle(const struct shard *shard)
{
    return shard->ticks_ms >= shard->written_ms + shard->cfg->shard_flush_idle;
}

static size_t flush_at_least(size_t value, size_t least)
{
    return value > least ? value : least;
}

/* Until its batch is dropped a flushed append is there twice. On a full disk that has to fit into pages that the
 * database has and does not use; streams that are deleted while they are in the journal make such room. */
static bool flush_has_room(const struct shard *shard)
{
    uint64_t need = shard->streams.journal_bytes * 3 / 2 + 2 * SLICE_BYTES;
    return disk_has(&shard->disk, need) || store_unused(shard->store) >= need;
}

/* One step of what is under way: flushes and drops more than came in this turn. */
static void flush_step(struct shard *shard)
{
    struct store *store = shard->store;
    size_t most = shard->disk.full ? SLICE_FULL : flush_at_least(shard->turn_appends * 2, SLICE_APPENDS);
    if (shard->flushing_upto && flush_has_room(shard) &&
        !flush_slice(store, &shard->streams, shard->flushing_upto, most,
                     flush_at_least(shard->turn_bytes * 2, SLICE_BYTES))) {
        shard->flushed_upto = shard->flushing_upto;
        shard->flushing_upto = 0;
    }
    if (shard->dropped_upto < shard->flushed_upto && !journal_drop(store, shard->flushed_upto, DROP_BATCHES))
        shard->dropped_upto = shard->flushed_upto;
}

static bool flush_under_way(const struct shard *shard)
{
    return shard->flushing_upto || shard->dropped_upto < shard->flushed_upto;
}

/* Where appends never stop and are never many, those that have waited for long are flushed too: retention may drop them
 * only from segments, and offload takes only what is flushed. */
static bool flush_journal_is_old(struct shard *shard)
{
    if (!shard->flush_due_ms)
        shard->flush_due_ms = shard->ticks_ms + OLD * shard->cfg->shard_flush_idle;
    return shard->ticks_ms >= shard->flush_due_ms;
}

void flush_turn(struct shard *shard)
{
    int64_t last = journal_last(shard->store);
    bool quiet = flush_idle(shard);
    if (!shard->flushing_upto && last > shard->flushed_upto &&
        (quiet || flush_journal_is_long(shard) || flush_journal_is_old(shard))) {
        shard->flushing_upto = last;
        shard->flush_due_ms = 0;
        pending_begin_generation(&shard->streams);
        shard->journaled = shard->journaled_bytes = 0;
    }
    if (!flush_under_way(shard) || (!shard->turn_appends && !quiet && !shard->tick_due))
        return; /* a turn of reads pays for no writing */
    if (disk_spent(&shard->disk) || (shard->dropped_upto == shard->flushed_upto && !flush_has_room(shard)))
        return;
    store_begin_unsynced(shard->store);
    fault_point("shard.flush-before-commit");
    for (unsigned slices = 0; flush_under_way(shard) && slices < (quiet && !shard->disk.full ? IDLE_SLICES : 1);
         slices++)
        flush_step(shard);
    store_commit(shard->store);
    disk_committed(&shard->disk);
    if (quiet && flush_under_way(shard))
        shard->turn_again = true;
}

void flush_everything(struct store *store, struct streams *streams, void (*alive)(void *), void *ctx)
{
    int64_t upto = journal_last(store);
    pending_begin_generation(streams);
    while (flush_slice(store, streams, upto, SLICE_APPENDS * 8, SLICE_BYTES)) {
        store_commit(store);
        alive(ctx);
    }
    while (journal_drop(store, upto, DROP_BATCHES)) {
        store_commit(store);
        alive(ctx);
    }
    store_commit(store);
}
