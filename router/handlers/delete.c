/* DELETE. Not repeated when a shard dies: a second one would say that there was no such stream. */
#include "router/conn/answer.h"
#include "router/handlers/handlers.h"
#include "router/router.h"

static void delete_answered(struct request *request, const struct answer *answer)
{
    struct client *c = request->client;
    if (answer->error != ERR_NONE) {
        answer_refusal(c, answer);
        return;
    }
    response_add(answer_begin(c, 204), "Cache-Control", SLICE("no-store"));
    answer_end_bare(c);
}

void handle_delete(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    struct shards *shards = &c->router->shards;
    struct request *request = request_new(shards, shards_of(shards, name), c, delete_answered);
    (void)head;
    (void)body;
    wire_put_delete(&request->frame, &(struct wire_delete){.id = request->id, .name = name});
    client_set_state(c, CLIENT_WAITING);
    if (!request_send(shards, request))
        answer_error(c, ERR_OVERLOADED);
}
