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
