/* APPEND: an append, a close, or both. The order of the checks is the protocol's (PROTOCOL.md 5.2, 5.2.1). */
#include "shard/fanout/append.h"

#include <inttypes.h>

#include "common/media_type.h"
#include "common/offset.h"
#include "shard/fanout/feed_send.h"
#include "shard/fanout/feed_wait.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/streams/condition.h"
#include "shard/streams/due.h"
#include "shard/streams/producers.h"
#include "shard/streams/reply.h"
#include "shard/store/disk.h"
#include "shard/streams/watch.h"
#include "shard/store/entry.h"
#include "shard/store/journal.h"

static struct verdict append_refuse(enum error error)
{
    return (struct verdict){.error = error};
}

static struct known append_known_of(struct shard *shard, struct stream *stream, const struct wire_append *m)
{
    struct known known = {0};
    /* Remembering one may have to write another down. */
    if ((m->flags & WIRE_APPEND_PRODUCER) && !shard->disk.stuck)
        known.any = stream_producer(&shard->streams, stream, m->producer, &known.epoch, &known.seq);
    return known;
}

/* Clients send several batches at once: the second of a new producer may come before its first, which is 0. */
static uint64_t append_expected_of(const struct wire_append *m, const struct known *known)
{
    return known->any && m->epoch == known->epoch ? known->seq + 1 : 0;
}

static bool append_closed_by(const struct stream *stream, const struct wire_append *m)
{
    return (m->flags & WIRE_APPEND_PRODUCER) && slice_equal(stream->row.closer, m->producer) &&
           stream->row.closer_epoch == m->epoch && stream->row.closer_seq == m->seq;
}

static struct verdict append_stale(const struct known *known, struct detail *detail)
{
    (void)detail_say(detail, ERR_NONE, "the producer is at Producer-Epoch %" PRIu64 "; go on with a greater one",
                     known->epoch);
    return (struct verdict){.error = ERR_STALE_PRODUCER_EPOCH, .epoch = known->epoch};
}

/* A closed stream takes nothing more, but says the same again to the request that closed it. A refusal still tells its
 * router whether this very append was taken before, which is what its repetition after a crash wants to know. A close
 * alone says the same to all, unless it asks for another tail. */
static struct verdict append_check_closed(const struct stream *stream, const struct wire_append *m,
                                          const struct known *known, struct detail *detail)
{
    if (append_closed_by(stream, m))
        return (struct verdict){.duplicate = true, .epoch = m->epoch, .seq = m->seq};
    if (known->any && m->epoch < known->epoch)
        return append_stale(known, detail);
    if (!(m->flags & WIRE_APPEND_PRODUCER) && m->count == 0 && (m->flags & WIRE_APPEND_CLOSE) &&
        condition_tail(stream, &m->condition))
        return (struct verdict){.duplicate = true};
    return (struct verdict){
        .error = ERR_STREAM_CLOSED,
        .duplicate = known->any && m->epoch == known->epoch && m->seq <= known->seq,
        .epoch = known->epoch,
        .seq = known->seq,
    };
}

static struct verdict append_check_producer(const struct wire_append *m, const struct known *known,
                                            struct detail *detail)
{
    uint64_t expected = append_expected_of(m, known);
    if (known->any && m->epoch < known->epoch)
        return append_stale(known, detail);
    if (known->any && m->epoch > known->epoch && m->seq > 0)
        return append_refuse(ERR_PRODUCER_SEQ_MUST_START_AT_ZERO);
    if (m->seq < expected)
        return (struct verdict){.duplicate = true, .epoch = known->epoch, .seq = known->seq};
    if (m->seq > expected)
        return append_refuse(detail_say(detail, ERR_PRODUCER_SEQUENCE_GAP,
                                        "Producer-Seq %" PRIu64 " came; an earlier one is missing: %" PRIu64 " is next",
                                        m->seq, expected));
    return (struct verdict){.epoch = m->epoch, .seq = m->seq};
}

/* Byte-wise order; a prefix comes before what it begins. */
static bool append_stream_seq_grows(const struct stream *stream, const struct wire_append *m)
{
    return !(m->flags & WIRE_APPEND_STREAM_SEQ) || !stream->row.has_stream_seq ||
           slice_compare(stream->row.stream_seq, m->stream_seq) < 0;
}

/* A router has taken a body of a JSON type apart, and the stream is one of bytes (stream_row_is_json()). */
static bool append_is_messages_for_bytes(const struct stream *stream, const struct wire_append *m)
{
    return !stream->json && m->count > 0 && !(m->flags & (WIRE_APPEND_BODY | WIRE_APPEND_VALUE)) &&
           media_type_is_json(m->content_type);
}

static enum error append_check_type(const struct stream *stream, const struct wire_append *m, struct detail *detail)
{
    if (m->count > 0 && m->content_type.len && !media_type_same(m->content_type, stream->row.content_type))
        return reply_say_types(detail, stream->row.content_type, "append", m->content_type);
    if (append_is_messages_for_bytes(stream, m))
        return detail_say(detail, ERR_CONTENT_TYPE_MISMATCH,
                          "the stream holds bytes, although its type is %s: append whole bodies to it",
                          detail_quote(stream->row.content_type).text);
    return ERR_NONE;
}

/* A repeated append finds the tail that it has moved itself. So If-Match, which is looked at before the producer, does
 * not go with one; Stream-Expected-Offset is looked at behind it. */
static enum error append_check_match(const struct stream *stream, const struct wire_append *m, struct detail *detail)
{
    if (!(m->condition.flags & WIRE_IF_TAIL))
        return ERR_NONE;
    if (m->condition.flags & WIRE_IF_UNSUITED)
        return detail_say(detail, ERR_CONDITION_NOT_SUPPORTED,
                          "If-Match of an append must be one tag, the quoted offset of its tail; nothing was done");
    if (m->flags & WIRE_APPEND_PRODUCER)
        return detail_say(detail, ERR_CONDITION_NOT_SUPPORTED,
                          "If-Match does not go with producer headers, Stream-Expected-Offset does; nothing was done");
    return condition_there(stream, &m->condition, detail);
}

/* What the append asks for of the stream's place: the tail, and the order of Stream-Seq. */
static enum error append_check_place(const struct stream *stream, const struct wire_append *m)
{
    if ((m->condition.flags & WIRE_IF_EXPECTED) && !condition_tail(stream, &m->condition))
        return ERR_EXPECTED_OFFSET_CONFLICT;
    return append_stream_seq_grows(stream, m) ? ERR_NONE : ERR_STREAM_SEQ_REGRESSION;
}

/* The condition on the stream's life comes first of all: to another stream there is nothing else to say. */
static struct verdict append_check(struct shard *shard, const struct stream *stream, const struct wire_append *m,
                                   const struct known *known, struct detail *detail)
{
    struct verdict verdict = {.error = condition_life(stream, &m->condition, detail)};
    if (verdict.error != ERR_NONE)
        return verdict;
    if (shard->disk.stuck && (m->flags & WIRE_APPEND_PRODUCER))
        return append_refuse(ERR_INSUFFICIENT_STORAGE); /* it was not looked for */
    if (stream->row.closed)
        return append_check_closed(stream, m, known, detail);
    if (!disk_takes(&shard->disk, m->boundaries.len + m->data.len))
        return append_refuse(ERR_INSUFFICIENT_STORAGE);
    if (streams_backlogged(&shard->streams) && m->count > 0)
        return append_refuse(ERR_SEGMENT_BACKLOG);
    verdict.error = append_check_type(stream, m, detail);
    if (verdict.error == ERR_NONE)
        verdict.error = append_check_match(stream, m, detail);
    if (verdict.error == ERR_NONE && (m->flags & WIRE_APPEND_PRODUCER))
        verdict = append_check_producer(m, known, detail);
    if (verdict.error != ERR_NONE || verdict.duplicate)
        return verdict;
    verdict.error = append_check_place(stream, m);
    if (verdict.error == ERR_NONE && m->count > OFFSET_MAX - stream->tail)
        verdict.error = ERR_PAYLOAD_TOO_LARGE;
    return verdict;
}

void append_entry(struct shard *shard, struct stream *stream, struct journal_entry *entry)
{
    entry->uid = stream->row.uid;
    entry->start = stream->tail;
    entry->time_ms = shard->now_ms;
    journal_append(shard->store, entry);
    stream_apply(&shard->streams, stream, entry);
    watch_appended(shard, stream, entry);
    if (stream->feeds)
        feed_send_appended(shard, stream, entry);
    shard->turn_appends++;
    shard->journaled++;
    if (!(entry->flags & ENTRY_SAME))
        shard->journaled_bytes += entry->boundaries.len + entry->data.len;
    shard->turn_bytes += entry->boundaries.len + entry->data.len;
    shard->disk.unlooked += entry->boundaries.len + entry->data.len;
    shard->written_ms = shard->ticks_ms;
}

static void append_apply(struct shard *shard, struct stream *stream, const struct wire_append *m)
{
    struct journal_entry entry = {
        .count = m->count,
        .flags = ((m->flags & WIRE_APPEND_CLOSE) ? ENTRY_CLOSES : 0) |
                 ((m->flags & WIRE_APPEND_STREAM_SEQ) ? ENTRY_STREAM_SEQ : 0) |
                 ((m->flags & WIRE_APPEND_PRODUCER) ? ENTRY_PRODUCER : 0),
        .stream_seq = m->stream_seq,
        .producer = m->producer,
        .epoch = m->epoch,
        .producer_seq = m->seq,
        .boundaries = m->boundaries,
        .data = m->data,
    };
    append_entry(shard, stream, &entry);
}

/* A body that came as it is becomes what the stream stores. */
static enum error append_take_body(struct appending *a)
{
    struct wire_append *m = &a->m;
    bool json = a->stream->json;
    if (!(m->flags & (WIRE_APPEND_BODY | WIRE_APPEND_VALUE)) || !m->data.len)
        return ERR_NONE;
    enum error error = m->flags & WIRE_APPEND_VALUE ? body_take_value(&a->body, m->data, json, &a->detail)
                                                    : body_take(&a->body, m->data, json, &a->detail);
    m->data = a->body.data;
    m->boundaries = a->body.boundaries;
    m->count = a->body.count;
    if (error == ERR_NONE && !m->count)
        error = json ? ERR_EMPTY_JSON_ARRAY : ERR_EMPTY_BODY;
    return error;
}

void append_look(struct shard *shard, const struct wire_append *m, struct appending *a)
{
    *a = (struct appending){.m = *m};
    a->stream = streams_live(&shard->streams, m->name, shard->now_ms, &a->verdict.error);
    if (!a->stream)
        return;
    a->known = append_known_of(shard, a->stream, m);
    a->verdict.error = append_take_body(a);
    if (a->verdict.error == ERR_NONE)
        a->verdict = append_check(shard, a->stream, &a->m, &a->known, &a->detail);
}

void append_do(struct shard *shard, struct appending *a)
{
    if (!a->verdict.duplicate)
        append_apply(shard, a->stream, &a->m);
    stream_touch(&shard->streams, a->stream, shard->now_ms);
}

struct wire_appended append_answer(const struct appending *a)
{
    struct wire_appended answer = {
        .id = a->m.id, .error = (uint8_t)a->verdict.error, .text = slice_str(a->detail.text)};
    if (!a->stream) {
        answer.flags = WIRE_APPENDED_NO_STREAM;
        return answer;
    }
    answer.flags = (uint8_t)((a->stream->row.closed ? WIRE_APPENDED_CLOSED : 0) |
                             (a->verdict.duplicate ? WIRE_APPENDED_DUPLICATE : 0));
    answer.tail = a->stream->tail;
    answer.lives = stream_lives(a->stream);
    answer.last_seq = a->verdict.error == ERR_STREAM_SEQ_REGRESSION ? a->stream->row.stream_seq : SLICE("");
    answer.epoch = a->verdict.epoch;
    answer.seq = a->verdict.seq;
    answer.expected = append_expected_of(&a->m, &a->known);
    return answer;
}

void append_clear(struct appending *a)
{
    body_clear(&a->body);
}

static bool append_fans_out(const struct appending *a)
{
    return a->stream && a->stream->feeds && a->verdict.error == ERR_NONE && !a->verdict.duplicate && a->m.count > 0;
}

void on_append(struct shard *shard, struct asker asker, const struct wire_append *m)
{
    struct appending a;
    struct buf *out = asker_out(&shard->peers, asker);
    append_look(shard, m, &a);
    if (a.stream)
        usage_appended(&shard->streams.usages, a.stream->usage, asker.router);
    if (a.verdict.error == ERR_NONE)
        append_do(shard, &a);
    const struct wire_appended answer = append_answer(&a);
    if (append_fans_out(&a)) {
        feed_wait_answer(shard, asker, a.stream, &answer);
    } else if (out) {
        asker_time(out, asker);
        wire_put_appended(out, &answer);
    }
    append_clear(&a);
}
