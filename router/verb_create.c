/* PUT: a new stream or fork, or the assurance that it is there. */
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "router/answer.h"
#include "router/router.h"
#include "router/rules.h"
#include "router/verbs.h"

static void answered(struct request *request, const struct answer *answer)
{
    struct client *c = request->client;
    const struct wire_stream *stream = answer->stream;
    if (answer->error == ERR_QUOTA_EXCEEDED) {
        quota_refuse(c, answer->error);
        return;
    }
    if (answer->error != ERR_NONE) {
        answer_refusal(c, answer);
        return;
    }
    bool created = stream->flags & WIRE_STREAM_CREATED;
    struct buf *head = answer_begin(c, created ? 201 : 200);
    if (created)
        response_add(head, "Location", slice_str(c->exchange.text));
    answer_add_metadata(head, stream);
    answer_end(c, NULL, 0);
}

/* As the client calls it; one that does not say gets the address we listen on. */
static char *location(const struct client *c, const struct http_head *head)
{
    struct slice host = head->headers[HTTP_HOST_HEADER];
    if (!host.len)
        host = slice_str(c->router->cfg->router_listen);
    size_t room = host.len + head->path.len + sizeof "http://";
    char *text = xmalloc(room);
    snprintf(text, room, "http://%.*s%.*s", (int)host.len, host.data, (int)head->path.len, head->path.data);
    return text;
}

/* A stream whose creation does not say how much it keeps, keeps what its project says. */
static void add_retention(struct client *c, struct wire_create *create)
{
    const struct project *project = auth_project(&c->router->auth, project_of(create->name));
    if ((create->flags & WIRE_CREATE_RETENTION) || !project)
        return;
    create->retention_s = project->retention.seconds;
    create->retention_bytes = project->retention.bytes;
}

void verb_create(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    struct shards *shards = &c->router->shards;
    struct rules_create_room room;
    struct wire_create create = {.name = name, .data = body};
    struct detail detail = {0};
    enum error error = rules_create(head, c->router->cfg->limits_max_path, &room, &create, &detail);
    if (error == ERR_NONE && (create.flags & WIRE_CREATE_FORK))
        error = auth_check_source(c, head, name, create.fork_source, &detail);
    if (error != ERR_NONE) {
        answer_error_text(c, error, detail.text);
        return;
    }
    struct request *request = request_new(shards, shards_of(shards, name), c, answered);
    create.id = request->id;
    add_retention(c, &create);
    if (quota_create(c, name, body.len) != ERR_NONE)
        create.flags |= WIRE_CREATE_FULL;
    wire_put_create(&request->frame, &create);
    request->repeatable = true;
    c->exchange.text = location(c, head);
    client_set_state(c, CLIENT_WAITING);
    if (!request_send(shards, request))
        answer_error(c, ERR_OVERLOADED);
}
