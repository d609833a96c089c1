/* Happy path: what the socket had lies in the router's scratch; heads and bodies are taken from there without a copy,
 * one request after the other as long as each is answered at once. What cannot be taken yet, because a request is
 * worked on, is copied into connection->in, and looked at again when the answer is out (resume).
 *
 *     bytes --> take_head --> (dispatcher: decided?) --> body there?  yes --> dispatcher: whole
 *                  |                  | no: suspended        | no
 *                  | more             v                      v
 *                  +-- wait      request_reader_decided   collecting is its job --> body_whole
 *
 * A body that its handler takes in pieces is not collected: the dispatcher is called at the head's end, and the bytes
 * go to the job that the handler begins (request_reader_give_body).
 *
 * Failure modes: a head or body that is malformed, too large or too slow ends the connection behind an answer
 * (answer_refuse), because the start of the next request is unknown. A request without the right is refused before its
 * body is read. Bodies of all clients together are bounded by router.body_memory.
 *
 * A client that has sent everything (eof) is still answered; one whose request is not whole is gone. */
#include "router/conn/request_reader.h"

#include <errno.h>

#include "common/clock.h"
#include "router/conn/cors_headers.h"
#include "router/conn/incoming.h"
#include "router/http/http.h"
#include "router/observe/request_log.h"
#include "router/observe/timing.h"
#include "router/conn/answer.h"
#include "router/router.h"

#define BODY_READ ((size_t)256 << 10)

static const struct job_ops request_reader_ops;

/* ---- bodies ---- */

/* Whether the body that arrives is collected; otherwise a handler has it. */
static bool request_reader_collects(const struct connection *c)
{
    return c->request.ops == &request_reader_ops;
}

/* The request is refused, or its client is gone, before its body is whole. What is held goes with incoming. */
static void request_reader_drop(struct request *req)
{
    (void)req;
}

static void request_reader_body_whole(struct request *req)
{
    struct incoming *in = req->incoming;
    request_drop_job(req);
    in->body = buf_slice(&in->held);
    req->router->connections.dispatcher->whole(req);
}

static void request_reader_refuse_body(struct connection *c)
{
    struct detail detail;
    answer_refuse(&c->request,
                  detail_say(&detail, ERR_PAYLOAD_TOO_LARGE, "the body is larger than limits.max_body, %llu bytes",
                             (unsigned long long)c->router->cfg->limits_max_body),
                  detail.text);
}

static void request_reader_refuse_head(struct connection *c)
{
    struct detail detail;
    answer_refuse(&c->request,
                  detail_say(&detail, ERR_HEADERS_TOO_LARGE,
                             "the request line and headers are larger than limits.max_header, %llu bytes",
                             (unsigned long long)c->router->cfg->limits_max_header),
                  detail.text);
}

/* Bytes of the body came, and are held if they are wanted. False: the body is too large, and the request was refused.
 */
static bool request_reader_body_grown(struct connection *c, size_t len, bool fits)
{
    struct incoming *in = c->request.incoming;
    in->taken += len;
    if (in->taken > c->router->cfg->limits_max_body) {
        request_reader_refuse_body(c);
        return false;
    }
    if (!fits)
        answer_refuse(&c->request, ERR_OVERLOADED, "bodies that are arriving fill router.body_memory; try again");
    return fits;
}

static void request_reader_collect(struct request *req, struct slice data)
{
    struct connection *c = req->connection;
    bool fits = !req->incoming->wants_body || incoming_add(req, data);
    connection_arm(c, DEADLINE_BODY, c->router->cfg->limits_body_timeout);
    (void)request_reader_body_grown(c, data.len, fits);
}

static const struct job_ops request_reader_ops = {
    .drop = request_reader_drop, .body = request_reader_collect, .body_end = request_reader_body_whole};

/* Gives bytes to the job. False: it has ended the request. */
static bool request_reader_pass(struct connection *c, struct slice data)
{
    c->request.ops->body(&c->request, data);
    return c->state == CONNECTION_BODY;
}

static size_t request_reader_take_known(struct connection *c, struct slice in)
{
    uint64_t *left = &c->request.incoming->left;
    size_t len = in.len < *left ? in.len : (size_t)*left;
    *left -= len;
    bool whole = !*left;
    if (request_reader_pass(c, slice_of(in.data, len)) && whole)
        c->request.ops->body_end(&c->request);
    return len;
}

static size_t request_reader_take_chunked(struct connection *c, struct slice in)
{
    size_t taken = 0;
    while (taken < in.len) {
        struct slice data;
        size_t used;
        enum http_parse result = http_chunked_next(&c->request.incoming->chunked, slice_from(in, taken), &data, &used);
        taken += used;
        if (result == HTTP_PARSE_BAD) {
            answer_refuse(&c->request, ERR_BAD_REQUEST, "the chunked body is malformed");
            return in.len;
        }
        if (!request_reader_pass(c, data))
            return in.len;
        if (result == HTTP_PARSE_DONE) {
            c->request.ops->body_end(&c->request);
            return taken;
        }
    }
    return taken;
}

static size_t request_reader_take_body(struct connection *c, struct slice in)
{
    return c->request.incoming->head.chunked ? request_reader_take_chunked(c, in) : request_reader_take_known(c, in);
}

static void request_reader_send_continue(struct connection *c)
{
    struct block *block = block_copy(&c->router->outputs, RESPONSE_CONTINUE);
    request_send(&c->request, block, 0, block->len);
    block_unref(block);
}

void request_reader_give_body(struct request *req, const struct job_ops *ops, void *job)
{
    struct connection *c = req->connection;
    incoming_keep(req);
    req->incoming->left = req->incoming->head.content_length;
    c->body_paused = false;
    request_begin_job(req, ops, job);
    timing_mark(req, TIMING_BODY);
    if (req->incoming->head.expect_continue)
        request_reader_send_continue(c);
    connection_set_state(c, CONNECTION_BODY);
}

static void request_reader_body_begin(struct connection *c)
{
    request_reader_give_body(&c->request, &request_reader_ops, NULL);
    struct incoming *in = c->request.incoming;
    if (!in->head.chunked && in->wants_body)
        (void)buf_reserve(&in->held, in->left < BODY_READ ? (size_t)in->left : BODY_READ);
}

/* The handler has been called that takes the body in pieces. A body without a byte is at its end. */
static void request_reader_pieces_begun(struct connection *c)
{
    const struct incoming *in = c->request.incoming;
    if (c->state == CONNECTION_BODY && !in->head.chunked && !in->left)
        c->request.ops->body_end(&c->request);
}

/* ---- heads ---- */

/* Access is decided. Takes the body if it is there; a refused request does not wait for any other body. Returns how
 * much of `rest` was taken. */
static size_t request_reader_take_decided(struct connection *c, struct slice rest)
{
    struct incoming *in = c->request.incoming;
    timing_mark(&c->request, TIMING_ADMITTED);
    if (in->in_pieces && in->error == ERR_NONE) {
        c->router->connections.dispatcher->pieces(&c->request);
        request_reader_pieces_begun(c);
        return 0;
    }
    if (!in->head.chunked && in->head.content_length <= rest.len) {
        size_t len = (size_t)in->head.content_length;
        in->body = slice_of(rest.data, len);
        c->router->connections.dispatcher->whole(&c->request);
        return len;
    }
    if (in->error != ERR_NONE) {
        answer_refuse(&c->request, in->error, in->detail.text);
        return rest.len;
    }
    request_reader_body_begin(c);
    return 0;
}

void request_reader_decided(struct request *req)
{
    struct connection *c = req->connection;
    buf_consume(&c->in, request_reader_take_decided(c, buf_slice(&c->in)));
    request_reader_resume(c);
}

void request_reader_begun(struct request *req)
{
    request_reader_pieces_begun(req->connection);
    request_reader_resume(req->connection);
}

/* Takes a whole head, and its body if that is there too. Returns how much of rest that was. */
static size_t request_reader_take_request(struct connection *c, struct slice rest)
{
    const struct http_head *head = &c->request.incoming->head;
    c->request.http10 = head->http10;
    c->request.head_only = head->method == HTTP_HEAD;
    c->request.keep_alive = head->keep_alive;
    if (head->content_length > c->router->cfg->limits_max_body) {
        request_reader_refuse_body(c);
        return rest.len;
    }
    return c->router->connections.dispatcher->head(&c->request) ? request_reader_take_decided(c, rest) : 0;
}

static void request_reader_head_partial(struct connection *c, struct slice in)
{
    struct router *r = c->router;
    if (in.len > r->cfg->limits_max_header) {
        request_stats_begin(&c->request);
        request_reader_refuse_head(c);
    } else if (c->timer_class != DEADLINE_HEAD || !deadline_armed(&c->timer))
        connection_arm(c, DEADLINE_HEAD, r->cfg->limits_head_timeout);
}

/* The head is parsed. Returns how much of rest, which came behind it, was taken. */
static size_t request_reader_take_parsed(struct connection *c, struct incoming *in, struct slice rest)
{
    struct request *req = &c->request;
    size_t taken = rest.len;
    req->incoming = in;
    if (in->bytes.len > c->router->cfg->limits_max_header)
        request_reader_refuse_head(c);
    else
        taken = request_reader_take_request(c, rest);
    if (req->incoming == in)
        req->incoming = NULL; /* it was answered, and `in` ends with the call */
    return taken;
}

/* Returns how much of bytes was taken; 0: the head is not whole. */
static size_t request_reader_take_head(struct connection *c, struct slice bytes)
{
    char room[ROUTE_NAME_MAX];
    struct incoming in = {.room = room};
    enum error error = ERR_BAD_REQUEST;
    size_t used = 0, scanned = c->scanned;
    uint64_t started = c->router->cfg->log_timing == LOG_TIMING_ON ? clock_monotonic_us() : 0;
    c->request.http10 = c->request.head_only = false;
    cors_headers_unknown(&c->request); /* an answer to what cannot be parsed is read by whom cors.origins says */
    switch (http_head_parse(bytes, &scanned, &in.head, &used, &error, &in.detail)) {
    case HTTP_PARSE_MORE:
        c->scanned = (unsigned)scanned;
        request_reader_head_partial(c, bytes);
        return 0;
    case HTTP_PARSE_BAD:
        request_stats_begin(&c->request);
        answer_refuse(&c->request, error, in.detail.text);
        return bytes.len;
    case HTTP_PARSE_DONE:
        break;
    }
    c->scanned = 0;
    in.bytes = slice_of(bytes.data, used);
    request_stats_begin(&c->request);
    request_stats_method(&c->request, in.head.method);
    request_log_begin(&c->request, &in.head);
    timing_begin(&c->request, started);
    return used + request_reader_take_parsed(c, &in, slice_from(bytes, used));
}

/* ---- bytes ---- */

/* Takes what can be taken now. Returns how much that was; the rest waits. */
static size_t request_reader_take(struct connection *c, struct slice in)
{
    size_t taken = 0;
    while (taken < in.len) {
        struct slice rest = slice_from(in, taken);
        size_t used = 0;
        if (c->state == CONNECTION_HEAD && c->out.bytes < CONNECTION_OUTPUT_PAUSE)
            used = request_reader_take_head(c, rest);
        else if (c->state == CONNECTION_BODY)
            used = request_reader_take_body(c, rest);
        else if (c->state == CONNECTION_ENDING || c->state == CONNECTION_LINGERING || c->state == CONNECTION_DEAD)
            used = rest.len;
        if (!used)
            break;
        taken += used;
    }
    return taken;
}

static void request_reader_take_waiting(struct connection *c)
{
    buf_consume(&c->in, request_reader_take(c, buf_slice(&c->in)));
    if (buf_len(&c->in) == 0)
        buf_clear(&c->in);
}

void request_reader_resume(struct connection *c)
{
    request_reader_take_waiting(c);
    if (c->state == CONNECTION_HEAD && c->eof && c->out.bytes < CONNECTION_OUTPUT_PAUSE)
        connection_set_state(c, CONNECTION_ENDING);
    else if (c->state == CONNECTION_BODY && c->eof)
        connection_close(c); /* the rest of its body will not come */
    connection_watch(c);
}

/* Nothing more comes. A request that is whole is still answered; a live reader gets what is there, and is gone. */
static void request_reader_ended(struct connection *c)
{
    c->eof = true;
    switch (c->state) {
    case CONNECTION_HEAD:
        connection_set_state(c, c->out.bytes ? CONNECTION_ENDING : CONNECTION_DEAD);
        return;
    case CONNECTION_WAITING:
        if (c->request.ops && c->request.ops->hang_up)
            c->request.ops->hang_up(&c->request);
        connection_watch(c);
        return;
    case CONNECTION_ENDING:
        connection_watch(c);
        return;
    case CONNECTION_BODY:
    case CONNECTION_LINGERING:
    case CONNECTION_DEAD:
        connection_close(c);
        return;
    }
}

/* Reads into at, which has room for len bytes. Returns how many came; 0: none, and the end was dealt with. */
static size_t request_reader_receive(struct connection *c, char *at, size_t len)
{
    ssize_t n = socket_receive(&c->socket, at, len);
    if (n > 0) {
        metrics_add(c->router->metrics, METRIC_RECEIVED, (uint64_t)n);
        return (size_t)n;
    }
    if (n == 0)
        request_reader_ended(c);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        connection_close(c);
    return 0;
}

/* A large body of known length goes straight to where it is collected. */
static void request_reader_receive_body(struct connection *c)
{
    struct connections *all = &c->router->connections;
    struct incoming *in = c->request.incoming;
    size_t room = in->left < BODY_READ ? (size_t)in->left : BODY_READ;
    size_t n = request_reader_receive(c, buf_reserve(&in->held, room), room);
    if (!n)
        return;
    buf_grow(&in->held, n);
    all->body_bytes += n;
    in->left -= n;
    bool whole = !in->left;
    connection_arm(c, DEADLINE_BODY, c->router->cfg->limits_body_timeout);
    if (request_reader_body_grown(c, n, all->body_bytes <= c->router->cfg->router_body_memory) && whole)
        request_reader_body_whole(&c->request);
}

/* Bytes that were read ahead come first, chunks need decoding, an unwanted body is not kept, and a handler's own goes
 * to that: these go through the router's scratch. */
static bool request_reader_takes_directly(const struct connection *c)
{
    if (c->state != CONNECTION_BODY || buf_len(&c->in) > 0 || !request_reader_collects(c))
        return false;
    return !c->request.incoming->head.chunked && c->request.incoming->wants_body;
}

void request_reader_readable(struct connection *c)
{
    char *scratch = c->router->scratch;
    if (request_reader_takes_directly(c)) {
        request_reader_receive_body(c);
        connection_watch(c);
        return;
    }
    size_t n = request_reader_receive(c, scratch, ROUTER_SCRATCH);
    if (!n)
        return;
    if (buf_len(&c->in) > 0) {
        buf_add(&c->in, scratch, n);
        request_reader_take_waiting(c);
    } else {
        size_t used = request_reader_take(c, slice_of(scratch, n));
        if (used < n && c->state != CONNECTION_DEAD)
            buf_add(&c->in, scratch + used, n - used);
    }
    connection_watch(c);
}
