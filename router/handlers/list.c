/* Lists a project's streams: asks one shard after the other, each only for names that can still be on the page.
 *
 *     listing_new() --> LIST to shard 0 --> LISTED: listing_take() --> LIST to shard 1 ... --> listing_print()
 *
 * The page is the request's job from the first question to the answer. Its rows count towards router.answer_memory.
 *
 * Failure modes: The query is wrong: 400. Too much memory is in use, or too much waits for a shard: OVERLOADED. A shard
 * dies: the question is sent again, because it changes nothing. An answer is malformed: INTERNAL. The client goes:
 * list_drop() abandons the question and frees the page. A page is no snapshot: the shards answer at different times. */
#include <stdlib.h>

#include "common/mem.h"
#include "router/conn/answer.h"
#include "router/handlers/handlers.h"
#include "router/handlers/listing.h"
#include "router/observe/timing.h"
#include "router/router.h"

struct list_page {
    struct request *request;
    struct listing *listing;
    struct shard_request *asked; /* the shard that is being asked */
};

static void list_free(struct list_page *page)
{
    page->request->router->connections.rows_bytes -= buf_len(&page->listing->rows);
    listing_free(page->listing);
    free(page);
}

static void list_drop(struct request *req)
{
    struct list_page *page = req->job;
    shard_request_abandon(&req->router->shards, page->asked);
    list_free(page);
}

static const struct job_ops list_ops = {.drop = list_drop};

/* Ends the job before the answer begins: the answer ends the request, and no job may outlive that. */
static void list_end(struct list_page *page)
{
    request_end_job(page->request);
    list_free(page);
}

static void list_answer_page(struct list_page *page)
{
    struct request *req = page->request;
    struct buf body = {0};
    listing_print(page->listing, &body);
    list_end(page);
    answer_json(req, buf_slice(&body));
    buf_clear(&body);
}

static void list_refuse(struct list_page *page, enum error error)
{
    struct request *req = page->request;
    list_end(page);
    answer_error(req, error);
}

/* The merge replaces the rows, so rows_bytes takes the old size out and the new size in. */
static bool list_take(struct list_page *page, const struct wire_listed *m)
{
    struct connections *all = &page->request->router->connections;
    const struct buf *rows = &page->listing->rows;
    all->rows_bytes -= buf_len(rows);
    bool good = listing_take(page->listing, m);
    all->rows_bytes += buf_len(rows);
    return good;
}

static void list_answered(struct shard_request *q, const struct answer *answer);

static void list_ask_next(struct list_page *page)
{
    struct request *req = page->request;
    struct shards *shards = &req->router->shards;
    if (answer_memory_full(req->router)) {
        list_refuse(page, ERR_OVERLOADED);
        return;
    }
    page->asked = shard_request_new(shards, page->listing->shard, list_answered, page);
    const struct wire_list m = listing_ask(page->listing, page->asked->id);
    wire_put_list(&page->asked->frame, &m);
    page->asked->repeatable = true;
    timing_mark(req, TIMING_SENT);
    if (!shard_request_send(shards, page->asked))
        list_refuse(page, ERR_OVERLOADED);
}

static void list_answered(struct shard_request *q, const struct answer *answer)
{
    struct list_page *page = q->owner;
    enum error error = answer->error;
    timing_of_shard(page->request, q);
    if (error == ERR_NONE && !list_take(page, answer_listed(answer)))
        error = ERR_INTERNAL;
    if (error != ERR_NONE)
        list_refuse(page, error);
    else if (++page->listing->shard < page->request->router->shards.layout.shards)
        list_ask_next(page);
    else
        list_answer_page(page);
}

void handle_list(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    struct detail detail = {0};
    (void)body;
    struct listing *listing = listing_new(name, head->query, &detail);
    if (!listing) {
        answer_error_text(req, ERR_INVALID_QUERY_PARAM, detail.text);
        return;
    }
    struct list_page *page = xcalloc(1, sizeof *page);
    *page = (struct list_page){.request = req, .listing = listing};
    request_begin_job(req, &list_ops, page);
    list_ask_next(page);
}
