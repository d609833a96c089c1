/* DELETE. When the shard dies after the request was sent, it is not sent again: a second DELETE of the same stream
 * would answer 404. The client gets an error that says the outcome is unknown. */
#include "router/conn/answer.h"
#include "router/conn/ask.h"
#include "router/handlers/conditions.h"
#include "router/handlers/handlers.h"
#include "router/router.h"

static void delete_answered(struct shard_request *q, const struct answer *answer)
{
    struct request *req = q->request;
    if (answer->error != ERR_NONE) {
        answer_refusal(req, answer);
        return;
    }
    response_add(answer_begin(req, 204), "Cache-Control", SLICE("no-store"));
    answer_end_bare(req);
}

void handle_delete(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    struct shards *shards = &req->router->shards;
    struct wire_delete frame = {.name = name};
    struct detail detail = {0};
    (void)body;
    enum error error = conditions_take(head, &frame.condition, &detail);
    if (error != ERR_NONE) {
        answer_error_text(req, error, detail.text);
        return;
    }
    struct shard_request *q = ask_shard(req, shards_of(shards, name), delete_answered);
    frame.id = q->id;
    wire_put_delete(&q->frame, &frame);
    ask_send(q);
}
