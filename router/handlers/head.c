/* HEAD: what is known of a stream. */
#include "router/conn/answer.h"
#include "router/handlers/handlers.h"
#include "router/router.h"

static void head_answered(struct request *request, const struct answer *answer)
{
    struct client *c = request->client;
    const struct wire_stream *stream = answer->stream;
    if (answer->error != ERR_NONE) {
        answer_refusal(c, answer);
        return;
    }
    struct buf *head = answer_begin(c, 200);
    answer_add_metadata(head, stream);
    answer_end_bare(c); /* a length here would be that of a GET, which nobody knows */
}

void handle_head(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    struct shards *shards = &c->router->shards;
    struct request *request = request_new(shards, shards_of(shards, name), c, head_answered);
    (void)head;
    (void)body;
    wire_put_head(
        &request->frame,
        &(struct wire_head){.id = request->id, .name = name, .flags = c->grant.anonymous ? WIRE_READ_ANONYMOUS : 0});
    request->repeatable = true;
    client_set_state(c, CLIENT_WAITING);
    if (!request_send(shards, request))
        answer_error(c, ERR_OVERLOADED);
}
