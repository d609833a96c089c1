/* HEAD: what is known of a stream. */
#include "router/answer.h"
#include "router/router.h"
#include "router/verbs.h"

static void answered(struct request *request, const struct answer *answer)
{
    struct client *c = request->client;
    const struct wire_stream *stream = answer->stream;
    if (answer->error != ERR_NONE) {
        answer_error_text(c, answer->error, answer->text);
        return;
    }
    struct buf *head = answer_begin(c, 200);
    response_add(head, "Content-Type", stream->content_type);
    response_add(head, "Cache-Control", SLICE("no-store"));
    response_add_offset(head, "Stream-Next-Offset", stream->tail);
    if (stream->flags & WIRE_STREAM_CLOSED)
        response_add(head, "Stream-Closed", SLICE("true"));
    if (stream->flags & WIRE_STREAM_TTL)
        response_add_number(head, "Stream-TTL", stream->ttl_s);
    if (stream->flags & WIRE_STREAM_EXPIRES)
        response_add(head, "Stream-Expires-At", stream->expires_text);
    answer_end_bare(c); /* a length here would be that of a GET, which nobody knows */
}

void verb_head(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    struct shards *shards = &c->router->shards;
    struct request *request = request_new(shards, shards_of(shards, name), c, answered);
    (void)head;
    (void)body;
    wire_put_head(&request->frame, &(struct wire_head){.id = request->id, .name = name});
    request->repeatable = true;
    client_set_state(c, CLIENT_WAITING);
    if (!request_send(shards, request))
        answer_error(c, ERR_OVERLOADED);
}
