/* Inherited bytes of a fork may lie in another shard. Both sides of the conversation are here:
 *
 *     the fork's shard                              the shard of the ancestor
 *     remote_read_begin --SEEK(uid, floor, at)-->   on_seek: does the read begin in this part of that stream?
 *     on_sought <------SOUGHT(at, done)------------ answered
 *       |
 *       +-- read_begin: the search goes on, here or in another shard, or is over and the reading begins
 *
 *     remote_read_begin --FETCH(uid, from, to)-->   on_fetch: a page of that stream
 *                                                     |   needs a segment: suspended until it is fetched
 *     on_fetched <------FETCHED(bytes, next)-------   answered
 *       |
 *       +-- the next bytes are of a third shard: FETCH there, under a new number (ask_next)
 *       +-- the page is full, or own bytes fill it up: the reading is answered
 *
 * Failure modes:
 *   - No answer within router.shard_wait, which is for all questions of a reading together: 503.
 *   - The asked shard restarts: the question is sent to it again (shard/peers/ask.c).
 *   - An error while the page has bytes: the page is the answer, and the next read meets the error.
 *   - An error for an empty page: one of a segment is passed on; any other is logged and becomes an internal error.
 *   - The fork ends while bytes are under way: the reading fails. If a new stream has its name, the
 *     reading begins anew, and is refused if it asked for a place in the one before.
 *   - The asking process dies: its FETCH that waits for a segment is dropped when that arrives (`generation`). */
#include "shard/handlers/remote_read.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "shard/handlers/read.h"
#include "shard/handlers/reading.h"
#include "shard/peers/handlers.h"
#include "shard/segments/fetch.h"
#include "shard/shard.h"
#include "shard/store/store.h"

#define REMOTE_READS_MAX 4096

/* A reading that waits for bytes from another shard. */
struct remote_read {
    struct ask ask;
    struct reading reading;
    char *name;
    size_t name_len;
    uint64_t from_uid, to; /* what is asked for: bytes of from_uid up to `to` */
    uint64_t floor;        /* or where the reading begins, if that is in [floor, reading.seek.at) */
};

/* ---- bytes from other shards ---- */

static struct remote_read *remote_read_of(struct ask *ask)
{
    return LIST_OWNER(ask, struct remote_read, ask);
}

static void remote_read_free(struct remote_read *remote)
{
    free(remote->name);
    free(remote);
}

static void remote_read_put_seek(const struct remote_read *remote, struct buf *out)
{
    const struct seek *seek = &remote->reading.seek;
    const struct wire_seek question = {
        .id = remote->ask.id,
        .uid = remote->from_uid,
        .floor = remote->floor,
        .at = seek->at,
        .from = seek->from,
        .flags = seek->taken ? WIRE_SEEK_TAKEN : 0,
        .messages = seek->messages,
        .bytes = seek->bytes,
        .since_ms = seek->since_ms,
    };
    wire_put_seek(out, &question);
}

/* FETCH: what the page has no room for is not asked for. */
static void remote_read_put(const struct ask *ask, struct buf *out)
{
    const struct remote_read *remote = LIST_OWNER(ask, const struct remote_read, ask);
    const struct page *page = &remote->reading.page;
    if (remote->reading.seek.from && !remote->reading.seek.done) {
        remote_read_put_seek(remote, out);
        return;
    }
    struct wire_fetch fetch = {
        .id = ask->id,
        .uid = remote->from_uid,
        .from = page->next,
        .to = remote->to,
        .max_bytes = page->max_bytes - buf_len(&page->data),
        .max_messages = page->max_messages ? page->max_messages - page->count : 0,
        .cut = page->cut,
    };
    wire_put_fetch(out, &fetch);
}

static void remote_read_expired(void *ctx, struct ask *ask)
{
    reading_fail(ctx, &remote_read_of(ask)->reading, ERR_SHARD_UNAVAILABLE);
    remote_read_free(remote_read_of(ask));
}

static void remote_read_drop(struct ask *ask)
{
    buf_clear(&remote_read_of(ask)->reading.page.data);
    remote_read_free(remote_read_of(ask));
}

const struct ask_kind remote_read_questions = {
    .most = REMOTE_READS_MAX,
    .put = remote_read_put,
    .expired = remote_read_expired,
    .drop = remote_read_drop,
};

static unsigned remote_read_aim(struct shard *shard, struct remote_read *remote, const struct stream *stream,
                                const struct ancestor *ancestor)
{
    uint64_t end = reading_end(&remote->reading, stream), floor = lineage_start(&stream->lineage, ancestor);
    remote->from_uid = ancestor->uid;
    remote->to = ancestor->end < end ? ancestor->end : end;
    remote->floor = floor > stream->row.earliest ? floor : stream->row.earliest;
    return peers_owner_of_uid(&shard->peers, ancestor->uid);
}

void remote_read_begin(struct shard *shard, struct reading *reading, const struct stream *stream,
                       const struct ancestor *ancestor)
{
    struct asks *asks = &shard->asks[ASK_READ];
    if (asks_full(asks)) {
        reading_fail(shard, reading, ERR_OVERLOADED);
        return;
    }
    struct remote_read *remote = xcalloc(1, sizeof *remote);
    if (!reading->deadline_ms)
        reading->deadline_ms = shard->ticks_ms + shard->cfg->router_shard_wait;
    remote->reading = *reading; /* takes the page's buffer */
    remote->name = xslicedup(stream->row.name);
    remote->name_len = stream->row.name.len;
    ask_begin(asks, &remote->ask, remote_read_aim(shard, remote, stream, ancestor), reading->deadline_ms);
}

static void remote_read_end(struct shard *shard, struct remote_read *remote)
{
    ask_end(&shard->asks[ASK_READ], &remote->ask);
    remote_read_free(remote);
}

/* Another stream has the name: the reading begins anew, and is refused if it asked for a place in the one before. */
static void remote_read_again(struct shard *shard, struct remote_read *remote)
{
    reading_reset(&remote->reading);
    read_begin(shard, &remote->reading, slice_of(remote->name, remote->name_len));
    remote_read_end(shard, remote);
}

/* Goes on with a reading whose page has grown. The stream may have ended meanwhile. */
static void remote_read_resume(struct shard *shard, struct remote_read *remote)
{
    struct reading *reading = &remote->reading;
    const struct ancestor *ancestor = NULL;
    enum error error = ERR_STREAM_NOT_FOUND;
    struct stream *stream =
        streams_live(&shard->streams, slice_of(remote->name, remote->name_len), shard->now_ms, &error);
    if (!stream) {
        reading_fail(shard, reading, error);
        remote_read_end(shard, remote);
        return;
    }
    if (stream->row.uid != reading->uid) {
        remote_read_again(shard, remote);
        return;
    }
    struct outcome outcome = reading_advance(shard, reading, stream, &ancestor);
    if (ancestor) {
        ask_next(&shard->asks[ASK_READ], &remote->ask, remote_read_aim(shard, remote, stream, ancestor));
        return;
    }
    if (outcome.kind == OUTCOME_DONE)
        reading_finish(shard, reading, stream);
    else
        read_fail_or_wait(shard, reading, slice_of(remote->name, remote->name_len), &outcome);
    remote_read_end(shard, remote);
}

/* The other shard cannot give the next bytes, or find where the reading begins. */
static void remote_read_failed(struct shard *shard, struct remote_read *remote, uint64_t at, unsigned error)
{
    bool cold = error >= ERR_SEGMENT_MISSING && error <= ERR_SEGMENT_UNAVAILABLE;
    if (!cold)
        log_error("shard %u has no bytes of stream %llu at %llu", remote->ask.shard,
                  (unsigned long long)remote->from_uid, (unsigned long long)at);
    reading_fail(shard, &remote->reading, cold ? (enum error)error : ERR_INTERNAL);
    remote_read_end(shard, remote);
}

/* An answer that stops before what was wanted ends the page: asked again at once, that shard would stop at the same
 * limit, or at the same segment that it has yet to fetch. A page that must be whole waits for that segment. */
static void remote_read_add(struct page *page, const struct wire_fetched *m, uint64_t wanted_to)
{
    buf_add_slice(&page->data, m->data);
    page->tier = METRIC_TIER_REMOTE;
    page->next = m->next;
    page->count += m->count;
    page->time_ms = m->time_ms;
    page->full = buf_len(&page->data) >= page->max_bytes || (page->max_messages && page->count >= page->max_messages) ||
                 (m->next < wanted_to && !page->whole);
}

void on_fetched(struct shard *shard, unsigned from, const struct wire_fetched *m)
{
    struct ask *ask = ask_find(&shard->asks[ASK_READ], m->id, from);
    if (!ask)
        return; /* given up since */
    struct remote_read *remote = remote_read_of(ask);
    struct page *page = &remote->reading.page;
    if (m->error != ERR_NONE && buf_len(&page->data) && !page->whole) {
        page->full = true; /* the next read meets the error */
        remote_read_resume(shard, remote);
    } else if (m->error != ERR_NONE || m->next <= page->next) {
        remote_read_failed(shard, remote, page->next, m->error);
    } else {
        remote_read_add(page, m, remote->to);
        remote_read_resume(shard, remote);
    }
}

/* The search goes on in the reading that it is for. */
void on_sought(struct shard *shard, unsigned from, const struct wire_sought *m)
{
    struct ask *ask = ask_find(&shard->asks[ASK_READ], m->id, from);
    if (!ask)
        return; /* given up since */
    struct remote_read *remote = remote_read_of(ask);
    struct seek *seek = &remote->reading.seek;
    if (m->error != ERR_NONE || m->at > seek->at || m->at < remote->floor) {
        remote_read_failed(shard, remote, seek->at, m->error);
        return;
    }
    seek->at = m->at;
    seek->messages = m->messages;
    seek->bytes = m->bytes;
    seek->taken = m->flags & WIRE_SEEK_TAKEN;
    seek->done = m->flags & WIRE_SEEK_DONE;
    read_begin(shard, &remote->reading, slice_of(remote->name, remote->name_len));
    remote_read_end(shard, remote);
}

/* ---- bytes for other shards ---- */

/* A question that waits for a segment: a FETCH, or a SEEK. */
struct suspended_question {
    struct fetch_wait wait;
    unsigned from, generation; /* the shard that asks, and which of its processes */
    bool seeks;
    struct wire_fetch fetch;
    struct wire_seek seek;
};

static void remote_read_serve_again(struct fetch_wait *wait, void *ctx)
{
    struct suspended_question *suspended = LIST_OWNER(wait, struct suspended_question, wait);
    struct shard *shard = ctx;
    bool asked = shard && shard->peers.shards[suspended->from].generation == suspended->generation;
    if (asked && suspended->seeks)
        on_seek(shard, suspended->from, &suspended->seek);
    else if (asked)
        on_fetch(shard, suspended->from, &suspended->fetch);
    free(suspended);
}

/* Keeps a copy of the question, which has no texts that would point into the link's buffer. */
static bool remote_read_suspend(struct shard *shard, unsigned from, struct suspended_question question,
                                const struct object *segment)
{
    struct suspended_question *suspended = xmalloc(sizeof *suspended);
    *suspended = question;
    suspended->wait.resume = remote_read_serve_again;
    suspended->from = from;
    suspended->generation = shard->peers.shards[from].generation;
    if (fetch_segment(&shard->streams.segments.fetches, segment, &suspended->wait))
        return true;
    free(suspended);
    return false;
}

void on_fetch(struct shard *shard, unsigned from, const struct wire_fetch *m)
{
    struct wire_fetched answer = {.id = m->id};
    struct page page = {.next = m->from, .max_bytes = m->max_bytes, .max_messages = m->max_messages, .cut = m->cut};
    struct outcome outcome = outcome_of(ERR_STREAM_NOT_FOUND);
    struct buf *out = peers_out(&shard->peers, from);
    const struct stream *stream = streams_by_uid(&shard->streams, m->uid);
    if (stream && m->from >= stream->row.base && m->to <= stream->tail)
        outcome = reading_page(shard, &page, stream, m->to);
    if (outcome.kind == OUTCOME_NEEDS_SEGMENT &&
        remote_read_suspend(shard, from, (struct suspended_question){.fetch = *m}, &outcome.segment))
        return;
    if (outcome.kind != OUTCOME_DONE)
        answer.error = (uint8_t)outcome_error(&outcome);
    else
        answer = (struct wire_fetched){.id = m->id,
                                       .next = page.next,
                                       .count = page.count,
                                       .time_ms = page.time_ms,
                                       .data = buf_slice(&page.data)};
    if (out)
        wire_put_fetched(out, &answer);
    buf_clear(&page.data);
}

/* A search that waits for a segment begins anew then, with the question as it came. */
void on_seek(struct shard *shard, unsigned from, const struct wire_seek *m)
{
    struct wire_sought answer = {.id = m->id};
    struct seek seek = {.from = m->from,
                        .taken = (m->flags & WIRE_SEEK_TAKEN) != 0,
                        .at = m->at,
                        .messages = m->messages,
                        .bytes = m->bytes,
                        .since_ms = m->since_ms};
    struct outcome outcome = outcome_of(ERR_STREAM_NOT_FOUND);
    struct buf *out = peers_out(&shard->peers, from);
    const struct stream *stream = streams_by_uid(&shard->streams, m->uid);
    if (stream)
        outcome = reading_seek_in(shard, &seek, stream, m->floor);
    if (outcome.kind == OUTCOME_NEEDS_SEGMENT &&
        remote_read_suspend(shard, from, (struct suspended_question){.seeks = true, .seek = *m}, &outcome.segment))
        return;
    answer.error = (uint8_t)outcome_error(&outcome);
    answer.flags = (uint8_t)((seek.taken ? WIRE_SEEK_TAKEN : 0) | (seek.done ? WIRE_SEEK_DONE : 0));
    answer.at = seek.at;
    answer.messages = seek.messages;
    answer.bytes = seek.bytes;
    if (out)
        wire_put_sought(out, &answer);
}
