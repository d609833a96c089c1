/* GET: a catch-up read is asked of the shard; a live read goes on in router/live/reader.c.
 *
 *     query --> live? -- no --> collapse_read(): equal reads at the same time share one READ and one answer
 *                 |
 *                 `-- yes --> quota of readers --> Last-Event-ID, for SSE --> reader_start()
 *
 * Failure modes: The query is wrong: 400. The project has too many live readers: 429. Everything later is the answer's
 * matter (router/live/read_answer.c). */
#include "common/mem.h"
#include "common/offset.h"
#include "router/auth/quota.h"
#include "router/conn/answer.h"
#include "router/handlers/conditions.h"
#include "router/handlers/handlers.h"
#include "router/http/query.h"
#include "router/live/collapse.h"
#include "router/live/reader.h"
#include "router/observe/timing.h"
#include "router/router.h"

static void read_catch_up(struct request *req, const struct http_head *head, const struct query *query,
                          const struct wire_read *asks)
{
    /* WIRE_READ_FILE: the shard may answer with a file descriptor, and the bytes never pass through it. */
    uint64_t page = req->router->cfg->limits_read_page, most = req->router->cfg->limits_read_answer;
    const struct wire_read read = {
        .name = asks->name,
        .condition = asks->condition,
        .from = (uint8_t)query->from,
        .amount = query->amount,
        .flags =
            (uint8_t)((query->from == WIRE_FROM_BEFORE ? 0 : WIRE_READ_FILE) | (query->now ? WIRE_READ_NOW : 0) |
                      (query->earliest ? WIRE_READ_EARLIEST : 0) | (req->grant.anonymous ? WIRE_READ_ANONYMOUS : 0)),
        .life = query->offset.life,
        .position = query->offset.position,
        .max_bytes = page < most ? page : most,
        .max_messages = query->limit,
    };
    struct slice none_match = head->headers[HTTP_IF_NONE_MATCH_HEADER];
    const struct read_asked asked = {
        .none_match = none_match.data ? xslicedup(none_match) : NULL,
        .now = query->now,
        .earliest = query->earliest,
        .from = query->from,
    };
    timing_mark(req, TIMING_SENT);
    collapse_read(&req->router->collapse, req, read, asked);
}

/* An EventSource reconnects with its old URL and says in Last-Event-ID how far it came; that is newer than the URL's
 * offset. A value that is no offset is another server's, and is ignored. */
static void read_follow_last_event(const struct http_head *head, struct query *query)
{
    struct offset offset;
    struct slice id = head->headers[HTTP_LAST_EVENT_ID_HEADER];
    if (!id.data || !offset_parse(id, &offset))
        return;
    query->offset = offset;
    query->now = query->earliest = false;
    query->from = WIRE_FROM_OFFSET;
}

static enum error read_check_amount(const struct request *req, const struct query *query, struct detail *detail)
{
    uint64_t most = req->router->cfg->limits_read_back;
    bool back = query->from == WIRE_FROM_TAIL || query->from == WIRE_FROM_BEFORE;
    if (!back || query->amount <= most)
        return ERR_NONE;
    return detail_say(detail, ERR_INVALID_QUERY_PARAM, "%s must be at most %llu (limits.read_back)",
                      query->from == WIRE_FROM_TAIL ? "tail" : "n", (unsigned long long)most);
}

void handle_read(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    struct query query;
    struct wire_read asks = {.name = name};
    struct detail detail = {0};
    (void)body;
    enum error error = query_parse(head->query, &query, &detail);
    if (error == ERR_NONE)
        error = read_check_amount(req, &query, &detail);
    if (error == ERR_NONE)
        error = conditions_take(head, &asks.condition, &detail);
    if (error != ERR_NONE) {
        answer_error_text(req, error, detail.text);
        return;
    }
    if (query.live == QUERY_CATCH_UP) {
        read_catch_up(req, head, &query, &asks);
        return;
    }
    error = quota_read_live(req, name);
    if (error != ERR_NONE) {
        quota_refuse(req, error);
        return;
    }
    if (query.live == QUERY_SSE)
        read_follow_last_event(head, &query);
    reader_start(req, name, &query, &asks.condition);
}
