/* Where the parts of HTTP/1 meet: request_reader.c makes requests of bytes, answer.c makes bytes of answers, and what
 * happens to a connection happens to its one request. */
#include "router/conn/http1.h"

#include "common/detail.h"
#include "common/log.h"
#include "router/conn/answer.h"
#include "router/conn/request_reader.h"
#include "router/router.h"

static void http1_drained(struct connection *c)
{
    if (c->request.ops && c->request.ops->drained)
        c->request.ops->drained(&c->request);
}

/* `what` is the part of the request that took longer than the key `limit` allows, which is `ms`. */
static void http1_refuse_slow(struct connection *c, const char *what, const char *limit, uint64_t ms)
{
    struct detail detail;
    enum error error = detail_say(&detail, ERR_REQUEST_TIMEOUT, "%s took longer than %s, %llu ms", what, limit,
                                  (unsigned long long)ms);
    answer_refuse(&c->request, error, detail.text);
}

static void http1_expired(struct connection *c, enum deadline_class class)
{
    switch (class) {
    case DEADLINE_HEAD:
        request_stats_begin(&c->request); /* a request that will never be one still counts */
        http1_refuse_slow(c, "the request head", "limits.head_timeout", c->router->cfg->limits_head_timeout);
        return;
    case DEADLINE_BODY:
        http1_refuse_slow(c, "a piece of the body", "limits.body_timeout", c->router->cfg->limits_body_timeout);
        return;
    case DEADLINE_LONG_POLL:
    case DEADLINE_SSE_LIFETIME:
    case DEADLINE_SILENCE:
    case DEADLINE_SUSPENDED:
        c->request.ops->expired(&c->request);
        return;
    default:
        fatalx("a client's timer is of class %d", (int)class);
    }
}

static bool http1_stop(struct connection *c)
{
    const struct job_ops *ops = c->request.ops;
    return ops && ops->stop && ops->stop(&c->request);
}

/* The request ends without its answer, or without the rest of it: that is what is counted and logged of it. */
static void http1_dead(struct connection *c)
{
    request_stats_end(&c->request);
    request_drop_job(&c->request);
}

static void http1_clear(struct connection *c)
{
    request_clear(&c->request);
}

const struct protocol http1 = {
    .readable = request_reader_readable,
    .resume = request_reader_resume,
    .drained = http1_drained,
    .expired = http1_expired,
    .stop = http1_stop,
    .dead = http1_dead,
    .clear = http1_clear,
};
