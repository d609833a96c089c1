/* The job of a request that a shard works on.
 *
 *     ask_shard() --> frame --> ask_send() --> shards.c ... answer --> ask_answered() --> handler
 *                                   |                  \\-> the client is gone: ask_drop()
 *                                   +--> too much waits: OVERLOADED
 *
 * The job ends before the handler is called: it may ask the next shard, or end the request. */
#include "router/conn/ask.h"

#include "router/conn/answer.h"
#include "router/conn/request.h"
#include "router/observe/timing.h"
#include "router/router.h"

/* A frame that has not left is forgotten; the answer to one that has goes to nobody. */
static void ask_drop(struct request *req)
{
    shard_request_abandon(&req->router->shards, req->job);
}

static const struct job_ops ask_ops = {.drop = ask_drop};

static void ask_answered(struct shard_request *q, const struct answer *answer)
{
    struct request *req = q->request;
    request_end_job(req);
    timing_of_shard(req, q);
    q->handler(q, answer);
}

struct shard_request *ask_shard(struct request *req, unsigned shard, shard_answered *handler)
{
    struct shard_request *q = shard_request_new(&req->router->shards, shard, ask_answered, NULL);
    q->request = req;
    q->handler = handler;
    request_begin_job(req, &ask_ops, q);
    return q;
}

void ask_send(struct shard_request *q)
{
    struct request *req = q->request;
    timing_mark(req, TIMING_SENT);
    if (shard_request_send(&req->router->shards, q))
        return;
    request_end_job(req);
    answer_error(req, ERR_OVERLOADED);
}
