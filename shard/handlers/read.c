/* READ: admits a reading, and says when it goes on. One that names no position begins with a search for it
 * (reading_seek), which may need the same as the bytes do: another shard, or a segment.
 *
 *     on_read --time left?--> read_begin --all here--> answered
 *        |                      ^  |  |
 *        |  no: put off      turn  |  +--bytes in another shard--> remote_read.c, which answers
 *        +----> waiting_reads --+  |
 *                 ^                +--a segment must be fetched--> suspended, the router gets PARKED
 *                 +---------------------- the segment is there, but no time is left --+
 *
 * A live reading is never put off: its router sends UNWATCH behind it, which must not come first. */
#include "shard/handlers/read.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "shard/handlers/reading.h"
#include "shard/handlers/remote_read.h"
#include "shard/peers/handlers.h"
#include "shard/segments/fetch.h"
#include "shard/shard.h"
#include "shard/streams/condition.h"
#include "shard/streams/reply.h"

/* Read from the store in one turn before catch-up reads wait for the next: appends do not stand behind readers. */
#define TURN_READ_MAX ((size_t)512 << 10)
#define PAGE_FILE_KEPT_MS 30000 /* after its last use */

/* A reading that is suspended before its first byte: this turn has no time for it, or it needs a segment. */
struct suspended_reading {
    struct list link; /* of shard->waiting_reads: those that wait for a turn */
    struct fetch_wait wait;
    struct reading reading;
    size_t name_len;
    char name[];
};

void read_tick(struct shard *shard)
{
    if (shard->ticks_ms > PAGE_FILE_KEPT_MS)
        page_files_age(&shard->page_files, shard->ticks_ms - PAGE_FILE_KEPT_MS);
}

static struct suspended_reading *read_take_waiting(struct shard *shard)
{
    struct list *link = list_pop(&shard->waiting_reads);
    return link ? LIST_OWNER(link, struct suspended_reading, link) : NULL;
}

void read_init(struct shard *shard)
{
    list_init(&shard->waiting_reads);
}

void read_clear(struct shard *shard)
{
    for (struct suspended_reading *waiting; (waiting = read_take_waiting(shard));)
        free(waiting);
    page_files_clear(&shard->page_files);
}

/* The stream is the one that is meant: that which was read before, or one that the offset is of. */
static bool read_is_of(const struct reading *reading, const struct stream *stream)
{
    bool placed = reading->from == WIRE_FROM_OFFSET || reading->from == WIRE_FROM_BEFORE;
    if (reading->asked_uid)
        return reading->asked_uid == stream->row.uid;
    return !placed || (reading->flags & (WIRE_READ_NOW | WIRE_READ_EARLIEST)) ||
           lives_admit(stream_lives(stream), reading->asked);
}

/* Where the reading begins, unless that has to be searched: then where the search does. */
static uint64_t read_position(const struct reading *reading, const struct stream *stream)
{
    bool tail = reading->from == WIRE_FROM_TAIL || reading->from == WIRE_FROM_SINCE || reading->flags & WIRE_READ_NOW;
    return tail ? stream->tail : reading->flags & WIRE_READ_EARLIEST ? stream->row.earliest : reading->asked.position;
}

static enum error read_check_position(struct reading *reading, const struct stream *stream, struct detail *detail)
{
    if (reading->seek.from && reading->uid != stream->row.uid)
        reading_reset(reading); /* the search was in the stream that had the name before */
    reading->start = read_position(reading, stream);
    if (!read_is_of(reading, stream))
        return reading->asked_uid ? ERR_STREAM_RECREATED
                                  : reply_say_foreign(detail, ERR_OFFSET_BEYOND_TAIL, stream, reading->asked);
    if (reading->start > stream->tail)
        return reply_say_tail(detail, ERR_OFFSET_BEYOND_TAIL, stream);
    return reading->start < stream->row.earliest ? ERR_OFFSET_GONE : ERR_NONE;
}

/* Finds the stream and where the reading begins, or refuses it: NULL. */
static struct stream *read_admit(struct shard *shard, struct reading *reading, struct slice name)
{
    enum error error = ERR_NONE;
    struct detail detail = {0};
    struct stream *stream = streams_live(&shard->streams, name, shard->now_ms, &error);
    if (stream)
        error = condition_life(stream, &reading->condition, &detail);
    if (stream && error == ERR_NONE)
        error = read_check_position(reading, stream, &detail);
    if (reply_hides(stream, reading->flags))
        error = ERR_UNAUTHORIZED;
    if (error == ERR_NONE)
        return stream;
    reply_refuse_stream(shard, reading->asker, error == ERR_UNAUTHORIZED ? NULL : stream, error, &detail);
    return NULL;
}

static struct suspended_reading *read_keep(const struct reading *reading, struct slice name)
{
    struct suspended_reading *kept = xmalloc(sizeof *kept + name.len);
    *kept = (struct suspended_reading){.reading = *reading, .name_len = name.len};
    memcpy(kept->name, name.data, name.len);
    return kept;
}

static void read_on_segment(struct fetch_wait *wait, void *ctx);

/* PARKED: the router lets other reads pass this one. */
static bool read_await_segment(struct shard *shard, struct reading *reading, struct slice name,
                               const struct object *segment)
{
    struct buf *out = asker_out(&shard->peers, reading->asker);
    reading_reset(reading);
    struct suspended_reading *kept = read_keep(reading, name);
    kept->wait.resume = read_on_segment;
    if (!fetch_segment(&shard->streams.segments.fetches, segment, &kept->wait)) {
        free(kept);
        return false;
    }
    if (out)
        wire_put_parked(out, &(struct wire_parked){.id = reading->asker.id});
    return true;
}

void read_fail_or_wait(struct shard *shard, struct reading *reading, struct slice name, const struct outcome *outcome)
{
    if (outcome->kind == OUTCOME_FAILED || !read_await_segment(shard, reading, name, &outcome->segment))
        reading_fail(shard, reading, outcome_error(outcome));
}

/* A reading that was suspended begins anew: its page is empty, and the stream may have changed or ended meanwhile. */
void read_begin(struct shard *shard, struct reading *reading, struct slice name)
{
    const struct ancestor *ancestor = NULL;
    struct stream *stream = read_admit(shard, reading, name);
    if (!stream)
        return;
    stream_touch(&shard->streams, stream, shard->now_ms);
    reading->uid = stream->row.uid;
    reading->began_us = clock_monotonic_us();
    struct outcome outcome = reading_seek(shard, reading, stream, &ancestor);
    reading->page.next = reading->start;
    reading->page.tier = 0;
    if (!ancestor && outcome.kind == OUTCOME_DONE) {
        if (reading_answer_from_file(shard, reading, stream))
            return;
        outcome = reading_advance(shard, reading, stream, &ancestor);
    }
    if (ancestor)
        remote_read_begin(shard, reading, stream, ancestor);
    else if (outcome.kind == OUTCOME_DONE)
        reading_finish(shard, reading, stream);
    else
        read_fail_or_wait(shard, reading, name, &outcome);
}

static bool read_has_time(const struct shard *shard, const struct reading *reading)
{
    return reading->watch || (list_empty(&shard->waiting_reads) && shard->turn_read < TURN_READ_MAX);
}

static void read_put_off(struct shard *shard, struct suspended_reading *kept)
{
    list_add_last(&shard->waiting_reads, &kept->link);
    shard->turn_again = true;
}

static void read_on_segment(struct fetch_wait *wait, void *ctx)
{
    struct suspended_reading *kept = LIST_OWNER(wait, struct suspended_reading, wait);
    struct shard *shard = ctx;
    bool asked = shard && asker_out(&shard->peers, kept->reading.asker);
    if (asked && !read_has_time(shard, &kept->reading)) {
        read_put_off(shard, kept);
        return;
    }
    if (asked)
        read_begin(shard, &kept->reading, slice_of(kept->name, kept->name_len));
    free(kept);
}

void on_read(struct shard *shard, struct asker asker, const struct wire_read *m)
{
    struct reading reading = {
        .asker = asker,
        .flags = m->flags,
        .from = m->from,
        .condition = m->condition,
        .asked = {m->life, m->position},
        .asked_uid = m->uid,
        .amount = m->amount,
        .watch = m->watch,
        .page = {.max_bytes = m->max_bytes,
                 .max_messages = m->max_messages,
                 .cut = (m->flags & WIRE_READ_CUT) != 0,
                 .whole = m->from == WIRE_FROM_BEFORE},
    };
    if (read_has_time(shard, &reading))
        read_begin(shard, &reading, m->name);
    else
        read_put_off(shard, read_keep(&reading, m->name));
}

void read_turn(struct shard *shard)
{
    struct suspended_reading *waiting;
    while (shard->turn_read < TURN_READ_MAX && (waiting = read_take_waiting(shard))) {
        read_begin(shard, &waiting->reading, slice_of(waiting->name, waiting->name_len));
        free(waiting);
    }
    if (!list_empty(&shard->waiting_reads))
        shard->turn_again = true;
}
