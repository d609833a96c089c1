/* PUT: creates a stream or a fork, or confirms that it exists as it was asked for.
 *
 *     headers (rules.c) --> retention of the project, quota --> CREATE to the stream's shard --> 201, 200 or an error
 *
 * Failure modes: A header is wrong, or the name has a segment that URLs drop: refused here. The quota is full: the
 * shard decides, because a stream that exists is still confirmed. The shard dies: the frame is sent again, and the
 * answer can then be 200 for a stream that the first one created. With If-None-Match it is not sent again. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "router/auth/quota.h"
#include "router/conn/answer.h"
#include "router/conn/ask.h"
#include "router/handlers/handlers.h"
#include "router/handlers/rules.h"
#include "router/http/integer.h"
#include "router/router.h"

static void create_answered(struct shard_request *q, const struct answer *answer)
{
    struct request *req = q->request;
    const struct wire_stream *stream = answer_stream(answer);
    if (answer->error == ERR_QUOTA_EXCEEDED) {
        quota_refuse(req, answer->error);
        return;
    }
    if (answer->error != ERR_NONE) {
        answer_refusal(req, answer);
        return;
    }
    bool created = stream->flags & WIRE_STREAM_CREATED;
    struct buf *head = answer_begin(req, created ? 201 : 200);
    if (created)
        response_add(head, "Location", slice_str(q->text));
    answer_add_metadata(head, stream);
    answer_end(req, NULL, 0);
}

/* The port that a Host names, or 80. A ':' inside of brackets belongs to an IPv6 address. */
static unsigned create_port_of(struct slice host)
{
    const char *colon = memrchr(host.data, ':', host.len);
    uint64_t port = 0;
    if (!colon || memchr(colon, ']', host.len - (size_t)(colon - host.data)))
        return 80;
    (void)!integer_valid(slice_of(colon + 1, host.len - (size_t)(colon + 1 - host.data)), UINT16_MAX, &port);
    return (unsigned)port;
}

/* The port at this end of the connection; 0: unknown. */
static unsigned create_local_port(const struct request *req)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(req->connection->socket.fd, (struct sockaddr *)&address, &len) != 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

/* The Location of a created stream. A full URL is given where its origin is certain: the target was absolute, or the
 * Host names the port that the client is connected to and no proxy left a header. Behind a proxy the client's URL is
 * unknown, so the Location is the path alone, which every client resolves against its own URL (RFC 9110 10.2.2). */
static char *create_location(const struct request *req, const struct http_head *head)
{
    struct slice host = head->headers[HTTP_HOST_HEADER], origin = head->origin;
    bool direct = !origin.data && !head->forwarded && host.len && create_port_of(host) == create_local_port(req);
    size_t room = origin.len + host.len + head->path.len + sizeof "http://";
    char *text = xmalloc(room);
    if (!direct)
        host = SLICE("");
    snprintf(text, room, "%.*s%s%.*s%.*s", (int)origin.len, origin.len ? origin.data : "", direct ? "http://" : "",
             (int)host.len, host.data, (int)head->path.len, head->path.data);
    return text;
}

/* A creation without retention headers takes the project's retention. */
static void create_add_retention(struct request *req, struct wire_create *create)
{
    const struct project *project = projects_find(&req->router->auth.projects, project_of(create->name));
    if ((create->flags & WIRE_CREATE_RETENTION) || !project)
        return;
    create->retention_s = project->retention.seconds;
    create->retention_bytes = project->retention.bytes;
}

void handle_create(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    struct shards *shards = &req->router->shards;
    struct rules_create_room room;
    struct wire_create create = {.name = name, .data = body};
    struct detail detail = {0};
    enum error error = rules_create(head, req->router->cfg->limits_max_path, &room, &create, &detail);
    if (error == ERR_NONE && !route_reachable(name))
        error = detail_say(&detail, ERR_INVALID_PATH,
                           "a stream cannot be called %s: URLs do not keep the segments '.' and '..'",
                           detail_quote(name).text);
    if (error != ERR_NONE) {
        answer_error_text(req, error, detail.text);
        return;
    }
    struct shard_request *q = ask_shard(req, shards_of(shards, name), create_answered);
    create.id = q->id;
    create_add_retention(req, &create);
    if (quota_create(req, name, body.len) != ERR_NONE) /* the shard knows whether the stream is there already */
        create.flags |= WIRE_CREATE_FULL;
    wire_put_create(&q->frame, &create);
    q->repeatable = !(create.condition.flags & WIRE_IF_ABSENT); /* the second would find what the first one made */
    q->text = create_location(req, head);
    ask_send(q);
}
