/* HEAD: the metadata of a stream, as headers. A dead shard does no harm: the frame is sent again. */
#include "router/conn/answer.h"
#include "router/conn/ask.h"
#include "router/handlers/handlers.h"
#include "router/router.h"

static void head_answered(struct shard_request *q, const struct answer *answer)
{
    struct request *req = q->request;
    const struct wire_stream *stream = answer_stream(answer);
    if (answer->error != ERR_NONE) {
        answer_refusal(req, answer);
        return;
    }
    struct buf *head = answer_begin(req, 200);
    answer_add_metadata(head, stream);
    answer_end_bare(req); /* Content-Length would be that of a GET (RFC 9110 8.6), which is not known */
}

void handle_head(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    struct shards *shards = &req->router->shards;
    struct shard_request *q = ask_shard(req, shards_of(shards, name), head_answered);
    (void)head;
    (void)body;
    wire_put_head(&q->frame, &(struct wire_head){
                                 .id = q->id, .name = name, .flags = req->grant.anonymous ? WIRE_READ_ANONYMOUS : 0});
    q->repeatable = true;
    ask_send(q);
}
