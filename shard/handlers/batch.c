/* BATCH: appends to several streams of this shard, all or none.
 *
 *     frames --> look at each (append_look): changes nothing
 *                  |
 *                  +-- all producers say that theirs was done before --> the batch was done: nothing is done again
 *                  +-- one is refused                                --> all are, and the answer names it
 *                  +-- some were done before, and others not         --> BATCH_PARTLY_DONE
 *                  +-- otherwise --> do each (append_do), all in the transaction of this turn
 *
 * Happy path: a handler runs within one turn, and a turn is one commit, so the appends of a batch are durable together,
 * and every reader, estuary and watcher hears of them after that commit. Each stream is named once (the router refuses
 * others), so what was looked at is still true when it is done.
 *
 * Producers make a batch repeatable. A batch is done as a whole, so one append that was done before says that all of it
 * were: those without a producer, too, which cannot say so themselves. If only some of the producers have theirs, then
 * the batch is not the one that was done before, and to do the rest would be half a batch.
 *
 * Failure modes: a crash before the commit leaves nothing of it, one after it leaves all. A router whose shard died
 * sends a batch with a producer again. If a stream of it was closed meanwhile, that is STREAM_CLOSED with
 * WIRE_BATCHED_TAKEN. */
#include <stdlib.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "shard/fanout/append.h"
#include "shard/fanout/feed_wait.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/disk.h"

struct batched {
    struct appending *appends;
    size_t count;
    enum error error;
    size_t failed;         /* the append that the error is of */
    bool taken;            /* it was done before */
    struct detail *detail; /* of the error; NULL: there is none */
};

static void batch_refuse(struct batched *b, enum error error, size_t failed)
{
    b->error = error;
    b->failed = failed;
    b->detail = &b->appends[failed].detail;
}

/* ---- looking ---- */

static bool batch_take_frames(struct shard *shard, struct slice frames, struct batched *b)
{
    struct slice body;
    while (wire_take(&frames, WIRE_APPEND, &body)) {
        struct wire_append m;
        if (!wire_get_append(body, &m))
            return false;
        b->appends = xrealloc(b->appends, (b->count + 1) * sizeof *b->appends);
        append_look(shard, &m, &b->appends[b->count++]);
    }
    return !frames.len && b->count;
}

static bool batch_has_producer(const struct appending *a)
{
    return (a->m.flags & WIRE_APPEND_PRODUCER) != 0;
}

/* Whether all that have a producer were done before, also if their stream was closed since; *some: one of them was, and
 * *fresh is one that was not. */
static bool batch_was_done(const struct batched *b, bool *some, size_t *fresh)
{
    bool all = true;
    *some = false;
    for (size_t i = 0; i < b->count; i++) {
        const struct appending *a = &b->appends[i];
        if (!batch_has_producer(a))
            continue;
        *some |= a->verdict.duplicate;
        if (!a->verdict.duplicate && all)
            *fresh = i;
        all = all && a->verdict.duplicate;
    }
    return all && *some;
}

static bool batch_refuse_first(struct batched *b, bool producers_only)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->appends[i].verdict.error != ERR_NONE && (!producers_only || batch_has_producer(&b->appends[i]))) {
            batch_refuse(b, b->appends[i].verdict.error, i);
            return true;
        }
    return false;
}

/* Each was held against the room on the disk by itself. */
static bool batch_has_room(struct shard *shard, const struct batched *b)
{
    size_t bytes = 0;
    for (size_t i = 0; i < b->count; i++)
        bytes += b->appends[i].m.boundaries.len + b->appends[i].m.data.len;
    return disk_takes(&shard->disk, bytes);
}

static void batch_judge(struct shard *shard, struct batched *b)
{
    bool some;
    size_t fresh = 0;
    b->taken = batch_was_done(b, &some, &fresh);
    if (batch_refuse_first(b, b->taken) || b->taken)
        return;
    if (some) {
        batch_refuse(b, ERR_BATCH_PARTLY_DONE, fresh);
        (void)detail_say(b->detail, b->error,
                         "this append is new, and another of the batch was done before; nothing was done");
    } else if (!batch_has_room(shard, b)) {
        batch_refuse(b, ERR_INSUFFICIENT_STORAGE, 0);
    }
}

/* ---- doing ---- */

static void batch_do(struct shard *shard, struct batched *b)
{
    for (size_t i = 0; i < b->count; i++) {
        append_do(shard, &b->appends[i]);
        if (i == b->count / 2)
            fault_point("shard.batch-half");
    }
}

/* Nobody waits for the subscribers of a batch: they get it as they get any append. */
static void batch_add_answer(const struct batched *b, const struct appending *a, struct buf *answers)
{
    struct wire_appended answer = append_answer(a);
    if (b->taken && a->stream)
        answer.flags |= WIRE_APPENDED_DUPLICATE;
    if (b->error == ERR_NONE && a->stream && a->m.count > 0 && !(answer.flags & WIRE_APPENDED_DUPLICATE))
        answer.subscribers = feed_wait_subscribers(a->stream);
    answer.fanout = answer.subscribers ? WIRE_FANOUT_QUEUED : WIRE_FANOUT_NONE;
    wire_put_appended(answers, &answer);
}

static void batch_answer(struct shard *shard, struct asker asker, const struct batched *b)
{
    struct buf *out = asker_out(&shard->peers, asker), answers = {0};
    if (!out)
        return;
    for (size_t i = 0; i < b->count; i++)
        batch_add_answer(b, &b->appends[i], &answers);
    asker_time(out, asker);
    wire_put_batched(out, &(struct wire_batched){
                              .id = asker.id,
                              .error = (uint8_t)b->error,
                              .flags = b->taken ? WIRE_BATCHED_TAKEN : 0,
                              .failed = (uint32_t)b->failed,
                              .text = slice_str(b->detail ? b->detail->text : ""),
                              .answers = buf_slice(&answers),
                          });
    buf_clear(&answers);
}

void on_batch(struct shard *shard, struct asker asker, const struct wire_batch *m)
{
    struct batched b = {0};
    bool good = batch_take_frames(shard, m->appends, &b);
    if (!good) {
        log_error("a batch is malformed");
        b.error = ERR_INTERNAL;
        b.count = 0;
    } else {
        batch_judge(shard, &b);
    }
    for (size_t i = 0; i < b.count; i++)
        if (b.appends[i].stream)
            usage_appended(&shard->streams.usages, b.appends[i].stream->usage, asker.router);
    if (b.error == ERR_NONE && !b.taken)
        batch_do(shard, &b);
    batch_answer(shard, asker, &b);
    for (size_t i = 0; i < b.count; i++)
        append_clear(&b.appends[i]);
    free(b.appends);
}
