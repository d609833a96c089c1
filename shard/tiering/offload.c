/* From chunks to a segment, one offload a stream, some at a time:
 *
 *     a stream is due
 *         |
 *         v          nothing is left to do
 *   +-> DROPS ----------------------------------> over
 *   |     |  `------ small segments ------.
 *   |     | enough in chunks              |
 *   |     v                               v
 *   |   READS                          MERGES   (a segment that is away is waited for)
 *   |     |  the draft is full            |  all are read
 *   |     `---------------+---------------'
 *   |                     v
 *   |                   NAMED    the file's name is written down as an orphan
 *   |                     |  that commit is durable
 *   |                     v
 *   |                  IS_MADE   the worker makes the file; it is put where it is kept, and read back
 *   |                     |  one transaction: it is a segment, and no orphan
 *   +---------------------'
 *
 * Happy path: a turn reads or drops a little of each, in the turn's own transaction; only the worker takes long.
 *
 * Failure modes: A crash before the last transaction leaves an orphan, which orphans.c removes, and a stream that is
 * still due. A crash after it leaves chunks below `offloaded`, which DROPS drops. The store does not take the file: all
 * offloads pause, twice as long each time, and the stream stays due. Damaged chunks or segments stay where they are:
 * the stream is no longer due until more is appended. The stream is deleted meanwhile: the offload ends. The disk is
 * spent: nothing moves until it is not. */
#include "shard/tiering/offload.h"

#include <stdlib.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/random.h"
#include "shard/segments/fetch.h"
#include "shard/segments/segment.h"
#include "shard/shard.h"
#include "shard/store/commit.h"
#include "shard/store/disk.h"
#include "shard/store/extent.h"
#include "shard/store/store.h"
#include "shard/store/store_chunk.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_stream.h"
#include "shard/streams/due.h"
#include "shard/tiering/merge.h"
#include "shard/tiering/retain.h"

#define OFFLOADS_MAX 4
#define TURN_READ ((size_t)256 << 10) /* bytes of chunks or segments that are read a turn */
#define TURN_DROP 8                   /* chunks that go a turn */
#define PAUSE_MS 500                  /* after a failure; twice as long after each that follows */
#define PAUSE_MAX_MS 60000

enum offload_state { OFFLOAD_DROPS, OFFLOAD_READS, OFFLOAD_MERGES, OFFLOAD_NAMED, OFFLOAD_IS_MADE };

struct offload {
    struct work work;
    struct list link;
    struct shard *shard;
    enum offload_state state;
    uint64_t uid;
    struct segment_draft draft;
    struct buf file;
    struct object object;
    bool compress;
    bool awaits; /* a segment that is being fetched */
    struct fetch_wait wait;
    uint64_t named;     /* the commit that has the name */
    uint64_t merge_end; /* where the segments end that it takes the place of; 0: it is made of chunks */
};

/* ---- life ---- */

void offload_init(struct shard *shard)
{
    list_init(&shard->offloads.under_way);
}

static void offload_forget_draft(struct offload *offload)
{
    segment_draft_clear(&offload->draft);
    buf_clear(&offload->file);
}

static void offload_forget(struct offloads *offloads, struct offload *offload)
{
    list_remove(&offload->link);
    offloads->count--;
    if (offload->awaits)
        fetch_cancel(&offload->shard->streams.segments.fetches, &offload->wait);
    offload_forget_draft(offload);
    free(offload);
}

void offload_clear(struct shard *shard)
{
    while (!list_empty(&shard->offloads.under_way))
        offload_forget(&shard->offloads, LIST_OWNER(shard->offloads.under_way.next, struct offload, link));
}

/* The store does not take the file now: the stream stays due, and the name stays an orphan's. All offloads pause. */
static void offload_give_up(struct offload *offload, const char *failure)
{
    struct shard *shard = offload->shard;
    struct offloads *offloads = &shard->offloads;
    char name[OBJECT_NAME_MAX];
    object_name(name, &offload->object);
    metrics_add(shard->metrics, METRIC_PUTS_FAILED, 1);
    offloads->pause_ms = offloads->pause_ms ? offloads->pause_ms * 2 : PAUSE_MS;
    if (offloads->pause_ms > PAUSE_MAX_MS)
        offloads->pause_ms = PAUSE_MAX_MS;
    offloads->paused_until_ms = shard->ticks_ms + offloads->pause_ms / 2 + random_secret() % (offloads->pause_ms / 2);
    if (!shard->stopping)
        log_error("segment %s cannot be stored: %s; %llu bytes wait", name, failure,
                  (unsigned long long)shard->streams.backlog);
    shard->streams.due_any = true;
    offload_forget(offloads, offload);
}

/* ---- the steps ---- */

static void offload_begin_draft(struct offload *offload, const struct stream *stream)
{
    const struct config *cfg = offload->shard->cfg;
    offload->draft = (struct segment_draft){
        .segment = {.uid = offload->uid,
                    .start = stream->row.offloaded,
                    .end = stream->row.offloaded,
                    .json = stream->json},
        .max_messages = cfg->segment_max_messages,
        .max_bytes = stream_segment_bytes(&offload->shard->streams, stream),
    };
    offload->merge_end = 0;
    offload->state = OFFLOAD_READS;
}

static bool offload_begin_merge(struct offload *offload, const struct stream *stream, bool more)
{
    uint64_t start, end;
    if (!merge_plan(&offload->shard->streams, stream, more, &start, &end))
        return false;
    offload->draft = (struct segment_draft){
        .segment = {.uid = offload->uid, .start = start, .end = start, .json = stream->json},
        .max_messages = UINT64_MAX,
        .max_bytes = UINT64_MAX,
    };
    offload->merge_end = end;
    offload->state = OFFLOAD_MERGES;
    return true;
}

/* The chunks that the last segment has go, some of them. Then what comes next. */
static void offload_drop(struct offload *offload, struct stream *stream)
{
    struct shard *shard = offload->shard;
    if (store_chunks_drop(shard->store, offload->uid, stream->row.offloaded, TURN_DROP))
        return;
    fault_point("segment.dropped");
    bool more = stream_is_due(&shard->streams, stream);
    if (!offload->merge_end && offload_begin_merge(offload, stream, more))
        return; /* the stream stays due until that is done, whoever does it */
    stream_chunks_dropped(&shard->streams, stream);
    if (more)
        offload_begin_draft(offload, stream);
    else
        offload_forget(&shard->offloads, offload);
}

static void offload_name(struct offload *offload)
{
    offload->object = (struct object){offload->uid, offload->draft.segment.start, random_secret()};
    store_orphan_put(offload->shard->store, &offload->object);
    offload->named = store_visible(offload->shard->store);
    offload->state = OFFLOAD_NAMED;
    fault_point("segment.named-before-commit");
}

static void offload_leave(struct offload *offload, struct stream *stream)
{
    stream_not_due(&offload->shard->streams, stream);
    offload_forget(&offload->shard->offloads, offload);
}

static void offload_read_chunks(struct offload *offload, struct stream *stream)
{
    struct segment_draft *draft = &offload->draft;
    struct extent extent;
    size_t before = buf_len(&draft->data);
    while (!draft->full && draft->segment.end < stream->row.flushed && buf_len(&draft->data) - before < TURN_READ) {
        if (store_chunk_at(offload->shard->store, offload->uid, draft->segment.end, &extent) &&
            segment_add(draft, &extent))
            continue;
        log_error("stream %llu: its chunks are damaged at %llu, or missing; they stay where they are",
                  (unsigned long long)offload->uid, (unsigned long long)draft->segment.end);
        offload_leave(offload, stream);
        return;
    }
    if (!draft->full && draft->segment.end < stream->row.flushed)
        return;
    if (draft->segment.messages)
        offload_name(offload);
    else
        offload_leave(offload, stream); /* there is nothing after all */
}

static void offload_on_segment(struct fetch_wait *wait, void *ctx)
{
    struct offload *offload = LIST_OWNER(wait, struct offload, wait);
    (void)ctx; /* the next turn looks again; if the shard stops, offload_clear() comes */
    offload->awaits = false;
}

static void offload_read_segments(struct offload *offload, struct stream *stream)
{
    struct segments *segments = &offload->shard->streams.segments;
    struct outcome outcome = merge_read(segments, &offload->draft, offload->merge_end, TURN_READ);
    if (outcome.kind == OUTCOME_NEEDS_SEGMENT) {
        offload->wait.resume = offload_on_segment;
        offload->awaits = fetch_segment(&segments->fetches, &outcome.segment, &offload->wait);
    }
    if (outcome.kind != OUTCOME_DONE && !offload->awaits)
        offload_leave(offload, stream); /* the small segments stay as they are */
    else if (offload->draft.segment.end == offload->merge_end)
        offload_name(offload);
}

static void offload_on_put(void *ctx, const char *failure)
{
    struct offload *offload = ctx;
    struct shard *shard = offload->shard;
    const struct segment *s = &offload->draft.segment;
    struct stream *stream = streams_by_uid(&shard->streams, offload->uid);
    if (!failure && shard->disk.stuck)
        failure = "the disk has no room to note it";
    if (failure) {
        offload_give_up(offload, failure);
        return;
    }
    metrics_add(shard->metrics, METRIC_SEGMENTS_PUT, 1);
    shard->offloads.pause_ms = 0;
    if (!stream || (offload->merge_end ? stream->row.earliest > s->start : stream->row.offloaded != s->start)) {
        /* the stream was deleted, or retention was faster: the file stays an orphan */
        offload_forget(&shard->offloads, offload);
        return;
    }
    const struct segment_row row = {.object = offload->object,
                                    .end = s->end,
                                    .size = s->size,
                                    .checksum = s->checksum,
                                    .bytes = s->bytes,
                                    .messages = s->messages,
                                    .time_ms = s->blocks[s->count - 1].time_ms};
    store_orphan_delete(shard->store, &offload->object);
    if (offload->merge_end) {
        store_segments_orphan(shard->store, offload->uid, s->start, s->end);
        fault_point("segment.merged-before-commit");
    } else {
        stream_offloaded(&shard->streams, stream, s->end, s->bytes, s->messages);
        fault_point("segment.put-before-commit");
    }
    store_segment_insert(shard->store, &row);
    retain_stream(shard, stream);
    offload_forget_draft(offload);
    offload->state = OFFLOAD_DROPS;
}

static void offload_seal(struct work *work)
{
    struct offload *offload = (struct offload *)work;
    segment_seal(&offload->draft, offload->compress, &offload->file);
}

static void offload_on_sealed(struct work *work, void *ctx)
{
    struct offload *offload = (struct offload *)work;
    buf_clear(&offload->draft.data);
    if (ctx)
        objects_put(&offload->shard->objects, &offload->object, buf_slice(&offload->file), offload_on_put, offload);
}

static void offload_make(struct offload *offload)
{
    offload->compress = offload->shard->cfg->segment_compression == SEGMENT_COMPRESSION_ZSTD;
    offload->work = (struct work){.run = offload_seal, .done = offload_on_sealed};
    offload->state = OFFLOAD_IS_MADE;
    fault_point("segment.named");
    worker_put(&offload->shard->worker, &offload->work);
}

static void offload_step(struct offload *offload)
{
    struct stream *stream;
    switch (offload->state) {
    case OFFLOAD_DROPS:
    case OFFLOAD_READS:
    case OFFLOAD_MERGES:
        stream = streams_by_uid(&offload->shard->streams, offload->uid);
        if (!stream)
            offload_forget(&offload->shard->offloads, offload);
        else if (offload->state == OFFLOAD_DROPS)
            offload_drop(offload, stream);
        else if (offload->state == OFFLOAD_READS)
            offload_read_chunks(offload, stream);
        else if (!offload->awaits)
            offload_read_segments(offload, stream);
        break;
    case OFFLOAD_NAMED: /* the file comes after its row: a crash leaves a row without a file, never the reverse */
        if (commits_are_durable(store_commits(offload->shard->store), offload->named))
            offload_make(offload);
        break;
    case OFFLOAD_IS_MADE:
        break;
    }
}

/* ---- the turn ---- */

static bool offload_under_way(const struct offloads *offloads, uint64_t uid)
{
    LIST_EACH(link, &offloads->under_way)
    if (LIST_OWNER(link, struct offload, link)->uid == uid)
        return true;
    return false;
}

/* The next stream that is due, round and round. */
static void offload_begin_next(struct shard *shard)
{
    struct offloads *offloads = &shard->offloads;
    uint64_t uid = store_next_due(shard->store, offloads->last_uid);
    if (uid == STORE_NONE && offloads->last_uid)
        uid = store_next_due(shard->store, 0);
    while (uid != STORE_NONE && offload_under_way(offloads, uid))
        uid = store_next_due(shard->store, uid);
    if (uid == STORE_NONE) {
        offloads->last_uid = 0;
        shard->streams.due_any = offloads->count > 0; /* it is looked again when these are over */
        return;
    }
    struct offload *offload = xcalloc(1, sizeof *offload);
    *offload = (struct offload){.shard = shard, .uid = uid, .state = OFFLOAD_DROPS};
    list_add_first(&offloads->under_way, &offload->link);
    offloads->count++;
    offloads->last_uid = uid;
}

/* Not after a failure, nor where a file would take what a full disk has left. */
static bool offload_may_begin(const struct shard *shard)
{
    const struct config *cfg = shard->cfg;
    return shard->ticks_ms >= shard->offloads.paused_until_ms && cfg->segment_store != SEGMENT_STORE_NONE &&
           (shard->objects.puts_away || disk_has(&shard->disk, 2 * cfg->segment_max_bytes));
}

/* One that waits needs no turn: what it waits for brings one. */
static bool offload_waits(const struct offload *offload)
{
    return offload->awaits || offload->state == OFFLOAD_IS_MADE ||
           (offload->state == OFFLOAD_NAMED &&
            commits_is_pending(store_commits(offload->shard->store), offload->named));
}

static bool offload_wants_turns(const struct offloads *offloads)
{
    LIST_EACH(link, &offloads->under_way)
    if (!offload_waits(LIST_OWNER(link, struct offload, link)))
        return true;
    return false;
}

void offload_turn(struct shard *shard)
{
    struct offloads *offloads = &shard->offloads;
    worker_take(&shard->worker, shard);
    LIST_EACH_SAFE(link, after, &offloads->under_way)
    {
        struct offload *offload = LIST_OWNER(link, struct offload, link);
        if (!disk_spent(&shard->disk) && (!offload->awaits || shard->tick_due))
            offload_step(offload);
    }
    if (shard->streams.due_any && offloads->count < OFFLOADS_MAX && offload_may_begin(shard))
        offload_begin_next(shard);
    if (offload_wants_turns(offloads) && !shard->disk.stuck)
        shard->turn_again = true;
}

bool offload_is_making(const struct offloads *offloads, const struct object *object)
{
    LIST_EACH(link, &offloads->under_way)
    {
        const struct offload *offload = LIST_OWNER(link, struct offload, link);
        if (offload->state >= OFFLOAD_NAMED && object_same(&offload->object, object))
            return true;
    }
    return false;
}
