/* POST /v1/batch/{project}: appends to several streams, all or none.
 *
 *     body (batch_read.c) --> one shard? --> quota --> BATCH to that shard
 *                               |                            |
 *                     409 CROSS_SHARD      200 or an error <-- BATCHED, after the commit
 *
 * Happy path: {"appends":[{"stream":"a","nextOffset":…},…]}, in the order of the request.
 *
 * Failure modes:
 *   - Body, names or quota are wrong: the answer says so, and the shard is never asked.
 *   - The shard refuses one append, and with it all: the answer has that append's number and stream, and what its
 *     client needs to go on.
 *   - The shard dies: a batch in which an append has a producer is sent to the next process, which knows whether it was
 *     done. Another one could be stored twice: it fails, and the client decides. */
#include "common/lives.h"
#include "common/percent.h"
#include "common/project.h"
#include "router/auth/quota.h"
#include "router/conn/answer.h"
#include "router/conn/ask.h"
#include "router/handlers/batch_read.h"
#include "router/handlers/handlers.h"
#include "router/router.h"

/* ---- what is said of an append ---- */

static void batch_add_stream(struct buf *out, struct slice name)
{
    buf_add_text(out, "\"stream\":\"");
    percent_encode(project_stream(name), out);
    buf_add_byte(out, '"');
}

static void batch_add_place(struct buf *out, const struct wire_appended *m)
{
    if (m->flags & WIRE_APPENDED_NO_STREAM)
        return;
    buf_add_text(out, ",\"nextOffset\":\"");
    offset_add(out, lives_offset(m->lives, m->tail));
    buf_add_byte(out, '"');
    if (m->flags & WIRE_APPENDED_CLOSED)
        buf_add_text(out, ",\"closed\":true");
}

static void batch_add_done(struct buf *out, const struct wire_append *append, const struct wire_appended *m)
{
    buf_add_text(out, buf_len(out) ? ",{" : "{\"appends\":[{");
    batch_add_stream(out, append->name);
    batch_add_place(out, m);
    if (append->flags & WIRE_APPEND_PRODUCER) {
        buf_add_number(out, ",\"producer\":{\"epoch\":", m->epoch);
        buf_add_number(out, ",\"seq\":", m->seq);
        buf_add_byte(out, '}');
    }
    if (m->flags & WIRE_APPENDED_DUPLICATE)
        buf_add_text(out, ",\"duplicate\":true");
    if (m->subscribers)
        buf_add_number(out, ",\"fanoutCount\":", m->subscribers);
    buf_add_byte(out, '}');
}

/* What the headers of a plain append's refusal have. */
static void batch_add_refused(struct buf *out, enum error error, const struct wire_append *append,
                              const struct wire_appended *m)
{
    batch_add_place(out, m);
    if (error == ERR_STALE_PRODUCER_EPOCH)
        buf_add_number(out, ",\"producerEpoch\":", m->epoch);
    if ((append->flags & WIRE_APPEND_PRODUCER) && error_status(error) == 409) {
        buf_add_number(out, ",\"expectedSeq\":", m->expected);
        buf_add_number(out, ",\"receivedSeq\":", append->seq);
    }
}

/* ---- answers ---- */

/* The frame is kept until its answer, so no copy of the appends is needed. */
static struct slice batch_asked(const struct shard_request *q)
{
    struct wire_batch m = {0};
    struct slice frame = buf_slice(&q->frame), body;
    if (wire_take(&frame, WIRE_BATCH, &body))
        (void)!wire_get_batch(body, &m);
    return m.appends;
}

/* Takes an append and what the shard says of it off both runs. */
static bool batch_next(struct slice *appends, struct slice *answers, struct wire_append *append,
                       struct wire_appended *answer)
{
    struct slice body, said;
    return wire_take(appends, WIRE_APPEND, &body) && wire_get_append(body, append) &&
           wire_take(answers, WIRE_APPENDED, &said) && wire_get_appended(said, answer);
}

static void batch_answer_done(const struct shard_request *q, const struct wire_batched *m)
{
    struct slice appends = batch_asked(q), answers = m->answers;
    struct wire_append append;
    struct wire_appended answer;
    struct buf body = {0};
    while (batch_next(&appends, &answers, &append, &answer))
        batch_add_done(&body, &append, &answer);
    buf_add_text(&body, "]}");
    answer_json(q->request, buf_slice(&body));
    buf_clear(&body);
}

static void batch_answer_refused(const struct shard_request *q, enum error error, const struct wire_batched *m)
{
    struct slice appends = batch_asked(q), answers = m->answers;
    struct wire_append append;
    struct wire_appended answer;
    struct buf more = {0}, text = {0};
    bool there = true;
    for (size_t i = 0; there && i <= m->failed; i++)
        there = batch_next(&appends, &answers, &append, &answer);
    buf_add_number(&text, "appends[", m->failed);
    buf_add_text(&text, "]: ");
    buf_add_slice(&text, m->text.len ? m->text : slice_str(error_text(error)));
    buf_add_byte(&text, 0);
    if (there) {
        buf_add_number(&more, ",\"index\":", m->failed);
        buf_add_byte(&more, ',');
        batch_add_stream(&more, append.name);
        batch_add_refused(&more, error, &append, &answer);
    }
    (void)answer_error_begin(q->request, error);
    answer_error_more(q->request, error, buf_slice(&text).data, buf_slice(&more));
    buf_clear(&more);
    buf_clear(&text);
}

/* This router sent the batch twice because a shard died; the client sent it once. The first one was stored, and a
 * stream of it was closed after it: for the client that is a success. */
static bool batch_taken_before(const struct shard_request *q, const struct answer *answer)
{
    return q->repeated && answer->error == ERR_STREAM_CLOSED && answer_batched(answer) &&
           (answer_batched(answer)->flags & WIRE_BATCHED_TAKEN);
}

static void batch_answered(struct shard_request *q, const struct answer *answer)
{
    if (answer_batched(answer) && (answer->error == ERR_NONE || batch_taken_before(q, answer)))
        batch_answer_done(q, answer_batched(answer));
    else if (answer_batched(answer))
        batch_answer_refused(q, answer->error, answer_batched(answer));
    else
        answer_error_text(q->request, answer->error, answer->text);
}

/* ---- the request ---- */

static void batch_refuse(struct request *req, enum error error, const struct batch *batch, const char *text)
{
    struct buf more = {0};
    if (batch->at_append)
        buf_add_number(&more, ",\"index\":", batch->count);
    (void)answer_error_begin(req, error);
    answer_error_more(req, error, text, buf_slice(&more));
    buf_clear(&more);
}

/* The first append to a stream of another shard than the first stream's is at fault. */
static enum error batch_check_shards(const struct shards *shards, struct batch *batch, struct detail *detail)
{
    struct slice names = buf_slice(&batch->names), first = batch_next_name(&names);
    for (size_t i = 1; names.len; i++) {
        struct slice name = batch_next_name(&names);
        if (shards_of(shards, name) == shards_of(shards, first))
            continue;
        batch->count = i;
        batch->at_append = true;
        return detail_say(detail, ERR_CROSS_SHARD,
                          "appends[%zu]: stream %s is in another shard than %s; names with the same {group} are in one",
                          i, detail_quote(name).text, detail_quote(first).text);
    }
    return ERR_NONE;
}

static void batch_submit(struct request *req, const struct batch *batch)
{
    struct slice names = buf_slice(&batch->names);
    struct shard_request *q = ask_shard(req, shards_of(&req->router->shards, batch_next_name(&names)), batch_answered);
    wire_put_batch(&q->frame, &(struct wire_batch){.id = q->id, .appends = buf_slice(&batch->frames)});
    q->repeatable = batch->has_producers;
    ask_send(q);
}

/* These headers are of one append. A client that sends them with a batch means something that would not be done. */
static enum error batch_check_headers(const struct http_head *head, struct detail *detail)
{
    static const struct {
        enum http_header header;
        const char *name;
    } foreign[] = {
        {HTTP_STREAM_SEQ_HEADER, "Stream-Seq"},         {HTTP_STREAM_CLOSED_HEADER, "Stream-Closed"},
        {HTTP_STREAM_APPEND_HEADER, "Stream-Append"},   {HTTP_PRODUCER_ID_HEADER, "Producer-Id"},
        {HTTP_PRODUCER_EPOCH_HEADER, "Producer-Epoch"}, {HTTP_PRODUCER_SEQ_HEADER, "Producer-Seq"},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (head->headers[foreign[i].header].data)
            return detail_say(
                detail, ERR_INVALID_BATCH,
                "header %s is for one append; in a batch each append has its own fields; nothing was done",
                foreign[i].name);
    return ERR_NONE;
}

void handle_batch(struct request *req, const struct http_head *head, struct slice project, struct slice body)
{
    struct batch batch = {0};
    struct detail detail = {0};
    enum error error = batch_check_headers(head, &detail);
    if (error == ERR_NONE)
        error = batch_read(req->router->cfg, project, body, &batch, &detail);
    if (error == ERR_NONE)
        error = batch_check_shards(&req->router->shards, &batch, &detail);
    enum error quota = error == ERR_NONE ? quota_batch(req, project, batch.bytes, batch.count) : ERR_NONE;
    if (quota != ERR_NONE)
        quota_refuse(req, quota);
    else if (error != ERR_NONE)
        batch_refuse(req, error, &batch, detail.text);
    else
        batch_submit(req, &batch);
    batch_clear(&batch);
}
