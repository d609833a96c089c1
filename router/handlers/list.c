/* A project's streams: every shard is asked, one after the other, each only for what can still be on the page. */
#include "router/conn/answer.h"
#include "router/conn/ask.h"
#include "router/handlers/handlers.h"
#include "router/handlers/listing.h"
#include "router/router.h"

static void list_ask_next(struct request *req);

static void list_answer_page(struct request *req)
{
    struct buf body = {0};
    listing_print(req->exchange.listing, &body);
    answer_json(req, buf_slice(&body));
    buf_clear(&body);
}

static bool list_take(struct request *req, const struct wire_listed *m)
{
    const struct buf *rows = &req->exchange.listing->rows;
    req->router->connections.rows_bytes -= buf_len(rows);
    bool good = listing_take(req->exchange.listing, m);
    req->router->connections.rows_bytes += buf_len(rows);
    return good;
}

static void list_answered(struct shard_request *q, const struct answer *answer)
{
    struct request *req = q->request;
    enum error error = answer->error;
    if (error == ERR_NONE && !list_take(req, answer_listed(answer)))
        error = ERR_INTERNAL;
    if (error != ERR_NONE)
        answer_error(req, error);
    else if (++req->exchange.listing->shard < req->router->shards.layout.shards)
        list_ask_next(req);
    else
        list_answer_page(req);
}

static void list_ask_next(struct request *req)
{
    if (answer_memory_full(req->router)) {
        answer_error(req, ERR_OVERLOADED);
        return;
    }
    struct shard_request *q = ask_shard(req, req->exchange.listing->shard, list_answered);
    const struct wire_list m = listing_ask(req->exchange.listing, q->id);
    wire_put_list(&q->frame, &m);
    q->repeatable = true;
    ask_send(q);
}

void handle_list(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    struct detail detail = {0};
    (void)body;
    req->exchange.listing = listing_new(name, head->query, &detail);
    if (!req->exchange.listing) {
        answer_error_text(req, ERR_INVALID_QUERY_PARAM, detail.text);
        return;
    }
    list_ask_next(req);
}
