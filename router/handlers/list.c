/* A project's streams: every shard is asked, one after the other, each only for what can still be on the page. */
#include "router/conn/answer.h"
#include "router/handlers/handlers.h"
#include "router/handlers/listing.h"
#include "router/router.h"

static void list_ask_next(struct client *c);

static void list_answer_page(struct client *c)
{
    struct buf body = {0};
    listing_print(c->exchange.listing, &body);
    answer_json(c, buf_slice(&body));
    buf_clear(&body);
}

static bool list_take(struct client *c, const struct wire_listed *m)
{
    const struct buf *rows = &c->exchange.listing->rows;
    c->router->clients.rows_bytes -= buf_len(rows);
    bool good = listing_take(c->exchange.listing, m);
    c->router->clients.rows_bytes += buf_len(rows);
    return good;
}

static void list_answered(struct request *request, const struct answer *answer)
{
    struct client *c = request->client;
    enum error error = answer->error;
    if (error == ERR_NONE && !list_take(c, answer->listed))
        error = ERR_INTERNAL;
    if (error != ERR_NONE)
        answer_error(c, error);
    else if (++c->exchange.listing->shard < c->router->shards.layout.shards)
        list_ask_next(c);
    else
        list_answer_page(c);
}

static void list_ask_next(struct client *c)
{
    struct shards *shards = &c->router->shards;
    if (answer_memory_full(c->router)) {
        answer_error(c, ERR_OVERLOADED);
        return;
    }
    struct request *request = request_new(shards, c->exchange.listing->shard, c, list_answered);
    const struct wire_list m = listing_ask(c->exchange.listing, request->id);
    wire_put_list(&request->frame, &m);
    request->repeatable = true;
    if (!request_send(shards, request))
        answer_error(c, ERR_OVERLOADED);
}

void handle_list(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    struct detail detail = {0};
    (void)body;
    c->exchange.listing = listing_new(name, head->query, &detail);
    if (!c->exchange.listing) {
        answer_error_text(c, ERR_INVALID_QUERY_PARAM, detail.text);
        return;
    }
    client_set_state(c, CLIENT_WAITING);
    list_ask_next(c);
}
