/* A request, from its connection's point of view:
 *
 *     incoming  -->  job  -->  answer  -->  done
 *        |            |          |
 *        |            |          +-- queued piece by piece: request_send()
 *        |            +-- one after the other: a body arrives, it is suspended, a shard is asked, it is a live read
 *        +-- until its handler has it
 *
 * There may be no job (the handler answers at once). A client that goes ends all of it: request_drop_job() tells what
 * works on the request, which never answers after that; request_clear() frees the rest at the end of the turn. */
#include "router/conn/request.h"

#include <stdlib.h>

#include "router/conn/connection.h"
#include "router/conn/incoming.h"
#include "router/router.h"

void request_begin_job(struct request *req, const struct job_ops *ops, void *job)
{
    req->ops = ops;
    req->job = job;
    if (req->connection->state != CONNECTION_WAITING)
        connection_set_state(req->connection, CONNECTION_WAITING);
}

void request_end_job(struct request *req)
{
    req->ops = NULL;
    req->job = NULL;
}

void request_drop_job(struct request *req)
{
    if (req->ops)
        req->ops->drop(req);
    request_end_job(req);
}

void request_recheck(struct request *req)
{
    if (req->ops && req->ops->recheck && req->router->auth.projects.registry)
        req->ops->recheck(req);
}

/* One that ends leaves the list. */
void requests_recheck(struct router *router)
{
    for (struct connection *c = router->connections.first, *next; c; c = next) {
        next = c->next;
        request_recheck(&c->request);
    }
}

void requests_send_back(struct router *router)
{
    for (struct connection *c = router->connections.first, *next; c; c = next) {
        next = c->next;
        if (c->request.ops && c->request.ops->send_back)
            c->request.ops->send_back(&c->request);
    }
}

void request_send(struct request *req, struct block *block, size_t start, size_t len)
{
    req->stats.bytes += len;
    connection_send(req->connection, block, start, len);
}

void request_clear(struct request *req)
{
    incoming_free(req, incoming_take(req));
    free(req->origin);
    req->origin = NULL;
    req->usage = NULL;
    req->kept = req->slash = false;
    req->cors = CORS_NONE;
}

void request_done(struct request *req)
{
    request_stats_end(req);
    request_clear(req);
    connection_answered(req->connection);
}
