/* A reader has two positions. At the tail it is the entry's, which moves for all at once; elsewhere it is its own. The
 * same holds for the bytes of a text that it has not had yet. */
#include "router/live/reader_state.h"

#include <stdlib.h>
#include <time.h>

#include "common/layout.h"
#include "common/lives.h"
#include "common/random.h"
#include "router/conn/answer.h"
#include "router/http/cursor.h"
#include "router/observe/request_stats.h"
#include "router/router.h"

/* ---- where it is ---- */

const struct sse_kept *reader_kept_of(const struct reader *reader)
{
    return reader->state == READER_AT_TAIL && reader->sse && !reader->apart ? &reader->entry->kept : &reader->kept;
}

bool reader_rests(const struct reader *reader)
{
    return reader->state == READER_AT_TAIL || reader->state == READER_PAUSED;
}

uint64_t reader_position(const struct reader *reader)
{
    uint64_t place = reader->state == READER_AT_TAIL ? reader->entry->position : reader->position;
    return place - reader_kept_of(reader)->len;
}

struct offset reader_offset(const struct reader *reader, uint64_t position)
{
    const struct wire_stream *facts = &reader->entry->facts;
    if (facts->uid == reader->uid)
        return lives_offset(facts->lives, position);
    return (struct offset){layout_life_of_uid(reader->uid), position}; /* the entry knows a later stream only */
}

uint64_t reader_next_cursor(const struct reader *reader)
{
    return cursor_next(reader->cursor, (uint64_t)time(NULL), random_next(&reader_router(reader)->random));
}

uint64_t reader_later_cursor(uint64_t cursor)
{
    uint64_t now = cursor_interval((uint64_t)time(NULL));
    return cursor > now ? cursor : now;
}

struct slice reader_project(const struct reader *reader)
{
    return project_of(slice_str(reader->entry->name));
}

/* ---- life ---- */

static unsigned reader_state_kind(const struct reader *reader)
{
    return reader->sse ? METRIC_READER_SSE : METRIC_READER_LONG_POLL;
}

void reader_begin(struct reader *reader, struct request *req, struct slice name, const struct job_ops *ops)
{
    struct router *r = req->router;
    reader->request = req;
    reader->entry = live_entry(&r->live, name);
    reader->usage = project_usage_reader(&r->usages, name);
    list_init(&reader->link);
    request_begin_job(req, ops, reader);
    request_stats_live(req, reader->sse);
    metrics_add(r->metrics, METRIC_READERS + reader_state_kind(reader), 1);
}

void reader_free(struct reader *reader)
{
    struct request *req = reader->request;
    if (reader->asked)
        shard_request_abandon(&req->router->shards, reader->asked);
    if (reader->state == READER_AT_TAIL)
        live_leave(reader);
    live_release(reader->entry);
    deadline_clear(&reader->beat);
    project_usage_reader_gone(&req->router->usages, reader->usage);
    metrics_add(req->router->metrics, METRIC_READERS + reader_state_kind(reader), UINT64_MAX); /* one less */
    request_end_job(req);
    free(reader);
}

void reader_close(struct reader *reader)
{
    struct request *req = reader->request;
    reader_free(reader);
    answer_close(req);
}

void reader_fail(struct reader *reader, const struct answer *answer)
{
    struct request *req = reader->request;
    if (reader->started) {
        reader_close(reader);
        return;
    }
    reader_free(reader);
    answer_refusal(req, answer);
}

void reader_arm_end(struct reader *reader)
{
    uint64_t now = reader_router(reader)->now_ms;
    connection_arm(reader->request->connection, reader->sse ? DEADLINE_SSE_LIFETIME : DEADLINE_LONG_POLL,
                   reader->ends_ms > now ? reader->ends_ms - now : 0);
}

void reader_read_from(struct reader *reader, uint64_t life, const struct wire_condition *condition)
{
    const struct config *cfg = reader_router(reader)->cfg;
    struct wire_read read = {
        .flags = (uint8_t)((reader->sse ? WIRE_READ_CUT : WIRE_READ_WAIT) | (reader->now ? WIRE_READ_NOW : 0) |
                           (reader->earliest ? WIRE_READ_EARLIEST : 0) |
                           (reader->request->grant.anonymous ? WIRE_READ_ANONYMOUS : 0)),
        .condition = *condition,
        .from = reader->from,
        .life = life,
        .position = reader->from == WIRE_FROM_OFFSET ? reader->position : 0,
        .amount = reader->from == WIRE_FROM_OFFSET ? 0 : reader->position,
        .uid = reader->uid,
        .max_bytes = reader->sse ? cfg->limits_sse_event : cfg->limits_read_page,
        .max_messages = reader->limit,
    };
    reader->state = READER_READING;
    reader->asked = live_read(reader->entry, reader->request, read);
    if (!reader->asked)
        reader_fail(reader, &(struct answer){.error = ERR_OVERLOADED});
}

void reader_read_on(struct reader *reader)
{
    reader_read_from(reader, 0, &(struct wire_condition){0});
}
