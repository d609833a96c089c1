/* HEAD: the metadata of a stream, as headers. A dead shard does no harm: the frame is sent again. */
#include "common/lives.h"
#include "common/mem.h"
#include "router/conn/answer.h"
#include "router/conn/ask.h"
#include "router/handlers/conditions.h"
#include "router/handlers/handlers.h"
#include "router/http/etag.h"
#include "router/router.h"

static void head_answered(struct shard_request *q, const struct answer *answer)
{
    struct request *req = q->request;
    const struct wire_stream *stream = answer_stream(answer);
    if (answer->error != ERR_NONE) {
        answer_refusal(req, answer);
        return;
    }
    char etag[ETAG_MAX];
    size_t len = etag_print_offset(etag, lives_offset(stream->lives, stream->tail));
    bool unchanged = q->text && etag_listed(slice_str(q->text), slice_of(etag, len), ETAG_WEAK);
    answer_add_metadata(answer_begin(req, unchanged ? 304 : 200), stream);
    answer_end_bare(req); /* Content-Length would be that of a GET (RFC 9110 8.6), which is not known */
}

void handle_head(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    struct shards *shards = &req->router->shards;
    struct wire_head frame = {.name = name, .flags = req->grant.anonymous ? WIRE_READ_ANONYMOUS : 0};
    struct slice none_match = head->headers[HTTP_IF_NONE_MATCH_HEADER];
    struct detail detail = {0};
    (void)body;
    enum error error = conditions_take(head, &frame.condition, &detail);
    if (error != ERR_NONE) {
        answer_error_text(req, error, detail.text);
        return;
    }
    struct shard_request *q = ask_shard(req, shards_of(shards, name), head_answered);
    frame.id = q->id;
    wire_put_head(&q->frame, &frame);
    q->text = none_match.data ? xslicedup(none_match) : NULL;
    q->repeatable = true;
    ask_send(q);
}
