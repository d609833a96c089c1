#include "shard/tiering/offload.h"

#include <stdlib.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/random.h"
#include "shard/store/disk.h"
#include "shard/segments/fetch.h"
#include "shard/segments/segment.h"
#include "shard/shard.h"
#include "shard/tiering/retain.h"
#include "shard/store/commit.h"
#include "shard/store/extent.h"
#include "shard/store/store_chunk.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_stream.h"
#include "shard/store/store.h"
#include "shard/streams/due.h"

#define OFFLOADS_MAX 4
#define TURN_READ ((size_t)256 << 10) /* bytes of chunks that are read a turn */
#define TURN_DROP 8                   /* chunks that go a turn */
#define PAUSE_MS 500                  /* after a failure; twice as long after each that follows */
#define PAUSE_MAX_MS 60000
#define ORPHANS_AT_ONCE 64
#define ORPHANS_AT_ONCE_AWAY 4 /* of a store's connections, which reads need too */
#define MERGE_MIN 8            /* so many small segments of an open stream become one; of a closed one two do */
#define MERGE_MAX 64           /* and at most so many */
#define MERGE_MANY 64          /* so many become one also while the stream has more to put away */
#define MERGE_PART 2           /* small: it has less than such a part of segment.max_bytes */

enum offload_state {
    OFFLOAD_DROPS,  /* chunks that a segment has */
    OFFLOAD_READS,  /* chunks that one is to have */
    OFFLOAD_MERGES, /* segments that one is to have */
    OFFLOAD_NAMED,  /* its name is an orphan's when the commit is durable */
    OFFLOAD_IS_MADE /* by the worker, or it is on its way */
};

struct offload {
    struct work work;
    struct offload *next;
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

/* A file that is to be removed. */
struct removal {
    struct removal *next;
    struct shard *shard;
    struct object object;
    uint64_t commit; /* by which it is an orphan */
};

/* ---- life ---- */

static struct removal *offload_next_removal(struct offloads *offloads)
{
    struct removal *removal = offloads->waiting;
    offloads->waiting = removal->next;
    return removal;
}

static void offload_forget_draft(struct offload *r)
{
    segment_draft_clear(&r->draft);
    buf_clear(&r->file);
}

static void offload_forget(struct offloads *offloads, struct offload *r)
{
    struct offload **at = &offloads->first;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    offloads->count--;
    if (r->awaits)
        fetch_cancel(&r->shard->streams.segments.fetches, &r->wait);
    offload_forget_draft(r);
    free(r);
}

void offload_clear(struct shard *shard)
{
    struct offloads *offloads = &shard->offloads;
    while (offloads->first)
        offload_forget(offloads, offloads->first);
    while (offloads->waiting)
        free(offload_next_removal(offloads));
}

/* The store of segments does not take it now; the stream stays due. Its name stays an orphan's. */
static void offload_give_up(struct offload *r, const char *failure)
{
    struct shard *shard = r->shard;
    struct offloads *offloads = &shard->offloads;
    char name[OBJECT_NAME_MAX];
    object_name(name, &r->object);
    metrics_add(shard->metrics, METRIC_PUTS_FAILED, 1);
    offloads->pause_ms = offloads->pause_ms ? offloads->pause_ms * 2 : PAUSE_MS;
    if (offloads->pause_ms > PAUSE_MAX_MS)
        offloads->pause_ms = PAUSE_MAX_MS;
    offloads->paused_until_ms = shard->ticks_ms + offloads->pause_ms / 2 + random_secret() % (offloads->pause_ms / 2);
    if (!shard->stopping)
        log_error("segment %s cannot be stored: %s; %llu bytes wait", name, failure,
                  (unsigned long long)shard->streams.backlog);
    shard->streams.due_any = true;
    offload_forget(offloads, r);
}

/* ---- the steps ---- */

static void offload_begin_draft(struct offload *r, const struct stream *stream)
{
    const struct config *cfg = r->shard->cfg;
    r->draft = (struct segment_draft){
        .segment = {.uid = r->uid, .start = stream->row.cold, .end = stream->row.cold, .json = stream->json},
        .max_messages = cfg->segment_max_messages,
        .max_bytes = stream_segment_bytes(&r->shard->streams, stream),
    };
    r->merge_end = 0;
    r->state = OFFLOAD_READS;
}

/* The newest segments that are small and do not hold more together than one may; true if it is worth it. */
static bool offload_begin_merge(struct offload *r, const struct stream *stream, size_t least)
{
    struct shard *shard = r->shard;
    struct segment_row rows[MERGE_MAX];
    uint64_t most = stream_segment_bytes(&shard->streams, stream), sum = 0, span = INT64_MAX;
    size_t there = store_segments_last(shard->store, r->uid, rows, MERGE_MAX), count = 0;
    if (stream->row.retention_s)
        span = stream->row.retention_s * 1000 / RETENTION_PARTS;
    /* A large one waits until what follows is as large: so each message is written anew a few times only. */
    while (count < there && rows[count].bytes < most / MERGE_PART && sum + rows[count].bytes <= most &&
           rows[count].time_ms + span >= rows[0].time_ms && (stream->row.closed || !count || rows[count].bytes <= sum))
        sum += rows[count++].bytes;
    if (count < least)
        return false;
    uint64_t start = rows[count - 1].object.start;
    r->draft = (struct segment_draft){
        .segment = {.uid = r->uid, .start = start, .end = start, .json = stream->json},
        .max_messages = UINT64_MAX,
        .max_bytes = UINT64_MAX,
    };
    r->merge_end = rows[0].end;
    r->state = OFFLOAD_MERGES;
    return true;
}

static void offload_drop(struct offload *r, struct stream *stream)
{
    struct shard *shard = r->shard;
    store_begin(shard->store);
    if (store_chunks_drop(shard->store, r->uid, stream->row.cold, TURN_DROP))
        return;
    fault_point("segment.dropped");
    bool more = stream_is_due(&shard->streams, stream);
    if (!r->merge_end && offload_begin_merge(r, stream, more ? MERGE_MANY : stream->row.closed ? 2 : MERGE_MIN))
        return; /* it stays due until that is done, whoever does it */
    stream_cold_dropped(&shard->streams, stream);
    if (more)
        offload_begin_draft(r, stream);
    else
        offload_forget(&shard->offloads, r);
}

static void offload_name(struct offload *r)
{
    r->object = (struct object){r->uid, r->draft.segment.start, random_secret()};
    store_begin(r->shard->store);
    store_orphan_put(r->shard->store, &r->object);
    r->named = store_visible(r->shard->store);
    r->state = OFFLOAD_NAMED;
    fault_point("segment.named-before-commit");
}

static void offload_leave(struct offload *r, struct stream *stream)
{
    stream_not_due(&r->shard->streams, stream);
    offload_forget(&r->shard->offloads, r);
}

static void offload_read_chunks(struct offload *r, struct stream *stream)
{
    struct segment_draft *draft = &r->draft;
    struct extent extent;
    size_t before = buf_len(&draft->data);
    while (!draft->full && draft->segment.end < stream->row.flushed && buf_len(&draft->data) - before < TURN_READ) {
        if (store_chunk_at(r->shard->store, r->uid, draft->segment.end, &extent) && segment_add(draft, &extent))
            continue;
        log_error("stream %llu: its chunks are damaged at %llu, or missing; they stay where they are",
                  (unsigned long long)r->uid, (unsigned long long)draft->segment.end);
        offload_leave(r, stream);
        return;
    }
    if (!draft->full && draft->segment.end < stream->row.flushed)
        return;
    if (draft->segment.messages)
        offload_name(r);
    else
        offload_leave(r, stream); /* there is nothing after all */
}

static void offload_on_segment(struct fetch_wait *wait, void *ctx)
{
    struct offload *r = LIST_OWNER(wait, struct offload, wait);
    (void)ctx; /* the next turn looks again; if the shard stops, offload_clear() comes */
    r->awaits = false;
}

static void offload_read_segments(struct offload *r, struct stream *stream)
{
    struct shard *shard = r->shard;
    struct segment_draft *draft = &r->draft;
    struct extent extent;
    size_t before = buf_len(&draft->data);
    while (draft->segment.end < r->merge_end && buf_len(&draft->data) - before < TURN_READ) {
        struct outcome outcome = segments_extent(&shard->streams.segments, r->uid, draft->segment.end, &extent);
        if (outcome.kind == OUTCOME_DONE && segment_add(draft, &extent))
            continue;
        r->wait.resume = offload_on_segment;
        r->awaits = outcome.kind == OUTCOME_NEEDS_SEGMENT &&
                    fetch_segment(&shard->streams.segments.fetches, &outcome.segment, &r->wait);
        if (!r->awaits)
            offload_leave(r, stream); /* they stay as they are */
        return;
    }
    if (draft->segment.end == r->merge_end)
        offload_name(r);
}

static void offload_on_put(void *ctx, const char *failure)
{
    struct offload *r = ctx;
    struct shard *shard = r->shard;
    const struct segment *s = &r->draft.segment;
    struct stream *stream = streams_by_uid(&shard->streams, r->uid);
    if (!failure && shard->disk.stuck)
        failure = "the disk has no room to note it";
    if (failure) {
        offload_give_up(r, failure);
        return;
    }
    metrics_add(shard->metrics, METRIC_SEGMENTS_PUT, 1);
    shard->offloads.pause_ms = 0;
    if (!stream || (r->merge_end ? stream->row.earliest > s->start : stream->row.cold != s->start)) {
        /* it was deleted, or some of it is not kept any more: the file is an orphan */
        offload_forget(&shard->offloads, r);
        return;
    }
    const struct segment_row row = {.object = r->object,
                                    .end = s->end,
                                    .size = s->size,
                                    .checksum = s->checksum,
                                    .bytes = s->bytes,
                                    .messages = s->messages,
                                    .time_ms = s->blocks[s->count - 1].time_ms};
    store_begin(shard->store);
    store_orphan_delete(shard->store, &r->object);
    if (r->merge_end) {
        store_segments_orphan(shard->store, r->uid, s->start, s->end);
        fault_point("segment.merged-before-commit");
    } else {
        stream_cooled(&shard->streams, stream, s->end, s->bytes, s->messages);
        fault_point("segment.put-before-commit");
    }
    store_segment_insert(shard->store, &row);
    retain_stream(shard, stream);
    offload_forget_draft(r);
    r->state = OFFLOAD_DROPS;
}

static void offload_seal(struct work *work)
{
    struct offload *r = (struct offload *)work;
    segment_seal(&r->draft, r->compress, &r->file);
}

static void offload_on_sealed(struct work *work, void *ctx)
{
    struct offload *r = (struct offload *)work;
    buf_clear(&r->draft.data);
    if (ctx)
        objects_put(&r->shard->objects, &r->object, buf_slice(&r->file), offload_on_put, r);
}

static void offload_make(struct offload *r)
{
    r->compress = r->shard->cfg->segment_compression == SEGMENT_COMPRESSION_ZSTD;
    r->work = (struct work){.run = offload_seal, .done = offload_on_sealed};
    r->state = OFFLOAD_IS_MADE;
    fault_point("segment.named");
    worker_put(&r->shard->worker, &r->work);
}

static void offload_step(struct offload *r)
{
    struct stream *stream;
    switch (r->state) {
    case OFFLOAD_DROPS:
    case OFFLOAD_READS:
    case OFFLOAD_MERGES:
        stream = streams_by_uid(&r->shard->streams, r->uid);
        if (!stream)
            offload_forget(&r->shard->offloads, r);
        else if (r->state == OFFLOAD_DROPS)
            offload_drop(r, stream);
        else if (r->state == OFFLOAD_READS)
            offload_read_chunks(r, stream);
        else if (!r->awaits)
            offload_read_segments(r, stream);
        break;
    case OFFLOAD_NAMED: /* the file comes after its row: a crash may leave a row without a file, never the other way
                           round */
        if (commits_are_durable(store_commits(r->shard->store), r->named))
            offload_make(r);
        break;
    case OFFLOAD_IS_MADE:
        break;
    }
}

/* ---- the turn ---- */

static void offload_remove_files(struct shard *shard);

static bool offload_under_way(const struct offloads *offloads, uint64_t uid)
{
    for (const struct offload *r = offloads->first; r; r = r->next)
        if (r->uid == uid)
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
    struct offload *r = xcalloc(1, sizeof *r);
    *r = (struct offload){.shard = shard, .uid = uid, .state = OFFLOAD_DROPS, .next = offloads->first};
    offloads->first = r;
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

/* The commit is sealed and not durable: there is nothing to do before it is, and then a turn follows anyway. */
static bool offload_is_sealed(const struct shard *shard, uint64_t commit)
{
    const struct commits *commits = store_commits(shard->store);
    return commit <= commits->sealed && !commits_are_durable(commits, commit);
}

static bool offload_wants_turns(const struct shard *shard)
{
    const struct offloads *offloads = &shard->offloads;
    for (const struct offload *r = offloads->first; r; r = r->next)
        if (r->state != OFFLOAD_IS_MADE && !r->awaits &&
            !(r->state == OFFLOAD_NAMED && offload_is_sealed(shard, r->named)))
            return true;
    return offloads->waiting && !offload_is_sealed(shard, offloads->waiting->commit);
}

void offload_turn(struct shard *shard)
{
    struct offloads *offloads = &shard->offloads;
    worker_take(&shard->worker, shard);
    offload_remove_files(shard);
    for (struct offload *r = offloads->first, *next; r; r = next) {
        next = r->next;
        if (!disk_spent(&shard->disk) && (!r->awaits || shard->tick_due))
            offload_step(r);
    }
    if (shard->streams.due_any && offloads->count < OFFLOADS_MAX && offload_may_begin(shard))
        offload_begin_next(shard);
    if (offload_wants_turns(shard) && !shard->disk.stuck)
        shard->turn_again = true;
}

/* ---- orphans ---- */

static void offload_remove_some(struct shard *shard);

static void offload_on_removed(void *ctx, const char *failure)
{
    struct removal *removal = ctx;
    struct shard *shard = removal->shard;
    char name[OBJECT_NAME_MAX];
    object_name(name, &removal->object);
    shard->offloads.removing--;
    if (failure && !shard->stopping && !shard->offloads.failed++)
        log_warn("segment %s cannot be removed: %s; will retry", name, failure);
    if (!failure && !shard->disk.stuck) {
        store_begin(shard->store);
        store_orphan_delete(shard->store, &removal->object);
    }
    free(removal);
    if (!shard->stopping)
        offload_remove_some(shard);
}

static void offload_remove_orphan(void *ctx, const struct object *object, const struct orphan_place *place)
{
    struct shard *shard = ctx;
    shard->offloads.place = *place;
    for (const struct offload *r = shard->offloads.first; r; r = r->next)
        if (r->uid == object->uid && r->state >= OFFLOAD_NAMED && r->object.id == object->id)
            return; /* it is about to become a segment */
    segments_forget(&shard->streams.segments, object);
    struct removal *removal = xcalloc(1, sizeof *removal);
    *removal = (struct removal){.shard = shard, .object = *object, .commit = store_visible(shard->store)};
    if (shard->offloads.waiting)
        shard->offloads.waiting_last->next = removal;
    else
        shard->offloads.waiting = removal;
    shard->offloads.waiting_last = removal;
    shard->offloads.removing++;
}

/* A file goes after the commit by which it is an orphan: a crash in between would give the segment back without it. */
static void offload_remove_files(struct shard *shard)
{
    struct offloads *offloads = &shard->offloads;
    while (offloads->waiting && commits_are_durable(store_commits(shard->store), offloads->waiting->commit)) {
        struct removal *removal = offload_next_removal(offloads);
        objects_remove(&shard->objects, &removal->object, offload_on_removed, removal);
    }
}

/* The next of this round, which ends where there are no more. */
static void offload_remove_some(struct shard *shard)
{
    struct offloads *offloads = &shard->offloads;
    unsigned most = shard->objects.away ? ORPHANS_AT_ONCE_AWAY : ORPHANS_AT_ONCE;
    if (!offloads->round || offloads->visiting || offloads->removing > most / 2)
        return;
    offloads->visiting = true;
    struct orphan_place from = offloads->place;
    offloads->round = store_orphans(shard->store, &from, most - offloads->removing, offload_remove_orphan, shard) > 0;
    offloads->visiting = false;
}

void offload_upkeep(struct shard *shard)
{
    struct offloads *offloads = &shard->offloads;
    if (!offloads->round && !offloads->removing) {
        offloads->round = true;
        offloads->failed = 0;
        offloads->place = (struct orphan_place){0};
    }
    offload_remove_some(shard);
}
