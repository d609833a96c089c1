/* GET /v1/streams/{project}/{stream}: the row of a listing, and everything else the shard knows of the stream:
 *
 *     {"name":"log","contentType":"text/plain",...,           as in a listing (listing_print_stream)
 *      "uid":"9f3c","shard":0,"forkedFrom":...,"forks":1,
 *      "log":{...},"chunks":{...},"segments":{...},           its size in each tier
 *      "producers":{"count":2,"first":[...]},"subscribers":1,"subscribedTo":{...},
 *      "readers":{"here":3,"routers":1}}
 *
 * Counts are complete, lists are bounded: the shard sends the first few. "here" counts the readers of this router, the
 * shard counts the routers that follow the stream.
 *
 * Failure modes: A shard's row that does not parse: INTERNAL. Too much memory is in use: OVERLOADED, before the shard
 * is asked. */
#include <stdio.h>

#include "common/lives.h"
#include "common/offset.h"
#include "common/percent.h"
#include "common/project.h"
#include "router/conn/answer.h"
#include "router/conn/ask.h"
#include "router/handlers/handlers.h"
#include "router/handlers/listing.h"
#include "router/router.h"

static void show_add_tiers(struct buf *out, const struct wire_shown *m)
{
    buf_add_number(out, ",\"log\":{\"entries\":", m->journal_entries);
    buf_add_number(out, ",\"bytes\":", m->journal_bytes);
    buf_add_number(out, "},\"chunks\":{\"messages\":", m->chunk_messages);
    buf_add_number(out, ",\"bytes\":", m->chunk_bytes);
    buf_add_number(out, "},\"segments\":{\"count\":", m->segments);
    buf_add_number(out, ",\"bytes\":", m->segment_bytes);
    buf_add_number(out, ",\"stored\":", m->stored);
    buf_add_text(out, "}");
}

static void show_add_producers(struct buf *out, const struct wire_shown *m)
{
    struct slice rest = m->first_producers, body;
    struct wire_shown_producer producer;
    const char *before = "";
    buf_add_number(out, ",\"producers\":{\"count\":", m->producers);
    buf_add_text(out, ",\"first\":[");
    while (wire_take(&rest, WIRE_SHOWN_PRODUCER, &body) && wire_get_shown_producer(body, &producer)) {
        buf_add_text(out, before);
        buf_add_text(out, "{\"id\":\"");
        buf_add_json(out, producer.name);
        buf_add_number(out, "\",\"epoch\":", producer.epoch);
        buf_add_number(out, ",\"seq\":", producer.seq);
        buf_add_text(out, "}");
        before = ",";
    }
    buf_add_text(out, "]}");
}

/* first_sources is a run of names, each with a NUL behind it. */
static void show_add_sources(struct buf *out, const struct wire_shown *m, bool named)
{
    struct slice rest = named ? m->first_sources : (struct slice){0};
    const char *before = "\"";
    buf_add_number(out, ",\"subscribedTo\":{\"count\":", m->sources);
    buf_add_text(out, ",\"first\":[");
    while (rest.len) {
        size_t len = strnlen(rest.data, rest.len);
        buf_add_text(out, before);
        percent_encode(project_stream(slice_of(rest.data, len)), out);
        buf_add_text(out, "\"");
        rest = slice_of(rest.data + len + 1, rest.len - len - 1);
        before = ",\"";
    }
    buf_add_text(out, "]}");
}

static void show_add_fork(struct buf *out, const struct wire_shown *m, struct slice lives, bool named)
{
    if (!m->fork_source.len)
        return;
    if (named) {
        buf_add_text(out, ",\"forkedFrom\":\"");
        percent_encode(m->fork_source, out);
        buf_add_text(out, "\"");
    }
    buf_add_text(out, ",\"forkedAt\":\"");
    offset_add(out, lives_offset(lives, m->base));
    buf_add_text(out, "\"");
}

/* A token for some of the project's streams (grant.narrow) does not see the names of others. False: the shard's answer
 * is malformed. */
static bool show_print(struct request *req, const struct shard_request *q, const struct wire_shown *m, struct buf *out)
{
    struct wire_listed_stream stream;
    struct slice row = m->stream, body;
    char uid[32];
    if (!wire_take(&row, WIRE_LISTED_STREAM, &body) || !wire_get_listed_stream(body, &stream))
        return false;
    listing_print_stream(out, &stream, false);
    snprintf(uid, sizeof uid, ",\"uid\":\"%llx\"", (unsigned long long)stream.uid);
    buf_add_text(out, uid);
    buf_add_number(out, ",\"shard\":", q->shard);
    if (m->remaining_ms != UINT64_MAX) /* it expires */
        buf_add_number(out, ",\"expiresInSeconds\":", m->remaining_ms / 1000);
    show_add_fork(out, m, stream.lives, !req->grant.narrow);
    buf_add_number(out, ",\"forks\":", m->forks);
    show_add_tiers(out, m);
    show_add_producers(out, m);
    buf_add_number(out, ",\"subscribers\":", m->subscribers);
    show_add_sources(out, m, !req->grant.narrow);
    buf_add_number(out, ",\"readers\":{\"here\":", live_readers(&req->router->live, stream.name));
    buf_add_number(out, ",\"routers\":", m->watchers);
    buf_add_text(out, "}}");
    return true;
}

static void show_answered(struct shard_request *q, const struct answer *answer)
{
    struct request *req = q->request;
    struct buf body = {0};
    if (answer->error != ERR_NONE) {
        answer_error_text(req, answer->error, answer->text);
        return;
    }
    if (show_print(req, q, answer_shown(answer), &body))
        answer_json(req, buf_slice(&body));
    else
        answer_error(req, ERR_INTERNAL);
    buf_clear(&body);
}

void handle_show(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    struct shards *shards = &req->router->shards;
    if (answer_memory_full(req->router)) {
        answer_error(req, ERR_OVERLOADED);
        return;
    }
    struct shard_request *q = ask_shard(req, shards_of(shards, name), show_answered);
    (void)head;
    (void)body;
    wire_put_show(&q->frame, &(struct wire_show){.id = q->id, .name = name});
    q->repeatable = true;
    ask_send(q);
}
