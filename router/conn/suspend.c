/* Happy path: suspend_request() puts a request at the end of a list and makes that its job; the owner of the list calls
 * suspended_resume() when the thing is there, and each goes on in its order.
 *
 * Failure modes: the client goes away (drop), or the thing does not come (expired: 503, and the connection ends, for
 * more of the request may be on its way). Both take the request off the list. */
#include "router/conn/suspend.h"

#include <stdlib.h>

#include "common/mem.h"
#include "router/conn/answer.h"
#include "router/conn/incoming.h"
#include "router/conn/request.h"
#include "router/router.h"

struct suspended {
    struct request *request;
    struct suspended_list *list;
    struct suspended *prev, *next;
    suspend_resume *resume;
};

/* Off the list; its request has no job then. */
static void suspend_detach(struct suspended *s)
{
    *(s->prev ? &s->prev->next : &s->list->first) = s->next;
    *(s->next ? &s->next->prev : &s->list->last) = s->prev;
    request_end_job(s->request);
}

static void suspend_drop(struct request *req)
{
    struct suspended *s = req->job;
    suspend_detach(s);
    free(s);
}

static void suspend_expired(struct request *req)
{
    answer_refuse(req, ERR_OVERLOADED, NULL); /* its body may still be on its way */
}

static const struct job_ops suspend_ops = {.drop = suspend_drop, .expired = suspend_expired};

/* Longer than whatever it may be that is waited for. */
static uint64_t suspend_longest_ms(const struct config *cfg)
{
    return cfg->router_shard_wait + cfg->auth_callback_timeout + cfg->auth_jwks_timeout;
}

void suspend_request(struct suspended_list *list, struct request *req, suspend_resume *resume)
{
    incoming_keep(req);
    if (!incoming_hold_body(req)) {
        answer_error(req, ERR_OVERLOADED);
        return;
    }
    struct suspended *s = xmalloc(sizeof *s);
    *s = (struct suspended){.request = req, .list = list, .prev = list->last, .resume = resume};
    *(list->last ? &list->last->next : &list->first) = s;
    list->last = s;
    request_begin_job(req, &suspend_ops, s);
    connection_arm(req->connection, DEADLINE_SUSPENDED, suspend_longest_ms(req->router->cfg));
}

struct request *suspended_first(const struct suspended_list *list)
{
    return list->first->request;
}

void suspended_longer(const struct suspended_list *list)
{
    struct request *req = suspended_first(list);
    connection_arm(req->connection, DEADLINE_SUSPENDED, suspend_longest_ms(req->router->cfg));
}

void suspended_resume(struct suspended_list *list)
{
    struct suspended_list all = *list;
    *list = (struct suspended_list){0}; /* some may come back to it */
    for (struct suspended *s = all.first; s; s = s->next)
        s->list = &all;
    while (all.first) {
        struct suspended *s = all.first;
        struct request *req = s->request;
        suspend_resume *resume = s->resume;
        suspend_detach(s);
        free(s);
        /* As if its head had just come: it may be suspended again, or let its body arrive. */
        connection_set_state(req->connection, CONNECTION_HEAD);
        resume(req);
    }
}
