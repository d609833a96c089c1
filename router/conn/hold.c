#include "router/conn/hold.h"

#include <stdlib.h>

#include "common/mem.h"
#include "router/conn/answer.h"
#include "router/http/http.h"
#include "router/router.h"

struct hold {
    struct request *request;
    struct hold_list *list;
    struct hold *prev, *next;
    hold_go *go;
    struct buf head, body;
};

/* Out of the list; its client has no hold then. */
static void hold_detach(struct hold *hold)
{
    struct request *req = hold->request;
    *(hold->prev ? &hold->prev->next : &hold->list->first) = hold->next;
    *(hold->next ? &hold->next->prev : &hold->list->last) = hold->prev;
    request_end_job(req);
    req->router->connections.body_bytes -= buf_len(&hold->body);
}

static void hold_release(struct hold *hold)
{
    buf_clear(&hold->head);
    buf_clear(&hold->body);
    free(hold);
}

static void hold_drop(struct request *req)
{
    struct hold *hold = req->job;
    hold_detach(hold);
    hold_release(hold);
}

static void hold_expired(struct request *req)
{
    connection_refuse(req->connection, ERR_OVERLOADED, NULL); /* its body may still be on its way */
}

static const struct job_ops hold_ops = {.drop = hold_drop, .expired = hold_expired};

/* Longer than whatever it may be that is waited for. */
static uint64_t hold_longest_ms(const struct config *cfg)
{
    return cfg->router_shard_wait + cfg->auth_callback_timeout + cfg->auth_jwks_timeout;
}

void hold_request(struct hold_list *list, struct request *req, struct slice bytes, struct slice body, hold_go *go)
{
    struct router *r = req->router;
    if (body.len && r->connections.body_bytes + body.len > r->cfg->router_body_memory) {
        answer_error(req, ERR_OVERLOADED);
        return;
    }
    struct hold *hold = xcalloc(1, sizeof *hold);
    *hold = (struct hold){.request = req, .list = list, .prev = list->last, .go = go};
    *(list->last ? &list->last->next : &list->first) = hold;
    list->last = hold;
    buf_add_slice(&hold->head, bytes);
    buf_add_slice(&hold->body, body);
    r->connections.body_bytes += body.len;
    request_begin_job(req, &hold_ops, hold);
    connection_arm(req->connection, DEADLINE_HOLD, hold_longest_ms(r->cfg));
}

struct request *hold_client(const struct hold_list *list)
{
    return list->first->request;
}

void hold_longer(const struct hold_list *list)
{
    struct request *req = hold_client(list);
    connection_arm(req->connection, DEADLINE_HOLD, hold_longest_ms(req->router->cfg));
}

void hold_resume(struct hold_list *list)
{
    struct hold_list all = *list;
    *list = (struct hold_list){0}; /* some may come back to it */
    for (struct hold *hold = all.first; hold; hold = hold->next)
        hold->list = &all;
    while (all.first) {
        struct hold *hold = all.first;
        struct http_head head = http_head_again(buf_slice(&hold->head));
        hold_detach(hold);
        connection_set_state(hold->request->connection, CONNECTION_HEAD);
        hold->go(hold->request, &head, buf_slice(&hold->head), buf_slice(&hold->body));
        hold_release(hold);
    }
}
