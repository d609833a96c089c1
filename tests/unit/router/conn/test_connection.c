/* A connection and its requests over a socketpair, with a dispatcher that the test is: pipelined requests, bodies in
 * pieces, suspension, jobs that end in each state, lingering. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "router/conn/answer.h"
#include "router/conn/http1.h"
#include "router/conn/incoming.h"
#include "router/conn/request_reader.h"
#include "router/conn/suspend.h"
#include "router/router.h"

/* What the dispatcher does with a whole request. */
enum act { ACT_ANSWER, ACT_WORK, ACT_NOTHING_YET };

static struct test {
    struct config cfg;
    struct router *router;
    struct connection *c;
    int client;
    enum act act;
    struct suspended_list *suspend; /* heads are suspended here; NULL: they are not */
    struct request *working;
    unsigned heads, wholes, drops, drained, expired, hung_up;
    char path[64], body[64], type[64]; /* of the last whole request */
} t;

/* ---- the dispatcher ---- */

static void on_drop(struct request *req)
{
    assert_ptr_equal(req, t.working);
    t.drops++;
}

static void on_drained(struct request *req)
{
    (void)req;
    t.drained++;
}

static void on_expired(struct request *req)
{
    request_end_job(req);
    t.expired++;
    answer_error(req, ERR_OVERLOADED);
}

static void on_hang_up(struct request *req)
{
    (void)req;
    t.hung_up++;
}

static const struct job_ops work = {
    .drop = on_drop, .drained = on_drained, .expired = on_expired, .hang_up = on_hang_up};

static void on_resumed(struct request *req)
{
    request_reader_decided(req);
}

static bool on_head(struct request *req)
{
    t.heads++;
    req->incoming->wants_body = true;
    if (!t.suspend)
        return true;
    suspend_request(t.suspend, req, on_resumed);
    return false;
}

static void copy(char out[64], struct slice text)
{
    snprintf(out, 64, "%.*s", (int)text.len, text.data ? text.data : "");
}

static void on_whole(struct request *req)
{
    struct incoming *in = incoming_take(req);
    t.wholes++;
    copy(t.path, in->head.path);
    copy(t.body, in->body);
    copy(t.type, in->head.headers[HTTP_CONTENT_TYPE_HEADER]);
    if (t.act == ACT_ANSWER)
        answer_json(req, slice_str(t.path));
    else
        request_begin_job(t.working = req, &work, &t);
    incoming_free(req, in);
}

static const struct dispatcher dispatcher = {.head = on_head, .whole = on_whole};

/* ---- the stand ---- */

static int setup(void **state)
{
    int pair[2];
    t = (struct test){.router = xcalloc(1, sizeof *t.router)};
    struct router *r = t.router;
    config_init(&t.cfg);
    r->cfg = &t.cfg;
    r->base = event_base_new();
    r->now_ms = 1000;
    r->scratch = xmalloc(ROUTER_SCRATCH);
    deadlines_init(&r->deadlines);
    r->connections.dispatcher = &dispatcher;
    r->connections.protocol = &http1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    t.client = pair[0];
    t.c = connection_new(r, pair[1]);
    *state = r;
    return 0;
}

static void turn(void)
{
    event_base_loop(t.router->base, EVLOOP_NONBLOCK);
    connections_resume(t.router);
    connections_flush(t.router);
    connections_resume(t.router);
    connections_flush(t.router);
    connections_sweep(t.router);
}

/* Nothing is left of the connection: neither memory that is counted, nor itself. */
static int teardown(void **state)
{
    struct router *r = *state;
    if (r->connections.count)
        connection_close(t.c);
    connections_sweep(r);
    assert_int_equal(r->connections.count, 0);
    assert_int_equal(r->connections.body_bytes, 0);
    assert_int_equal(r->outputs.block_bytes, 0);
    while (r->outputs.unused) {
        struct piece *next = r->outputs.unused->next;
        free(r->outputs.unused);
        r->outputs.unused = next;
    }
    if (t.client >= 0)
        close(t.client);
    buf_clear(&r->head);
    event_base_free(r->base);
    config_clear(&t.cfg);
    free(r->scratch);
    free(r);
    return 0;
}

static void say(const char *text)
{
    assert_int_equal(write(t.client, text, strlen(text)), strlen(text));
    turn();
}

/* Everything that has come, as text. */
static const char *heard(void)
{
    static char text[8192];
    ssize_t len = read(t.client, text, sizeof text - 1);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;
    while ((text = strstr(text, what))) {
        text += strlen(what);
        count++;
    }
    return count;
}

/* ---- requests ---- */

static void two_at_once(void **state)
{
    (void)state;
    say("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    const char *text = heard();
    assert_int_equal(t.wholes, 2);
    assert_int_equal(count_of(text, "HTTP/1.1 200 OK\r\n"), 2);
    assert_true(strstr(text, "\r\n\r\n/a") < strstr(text, "\r\n\r\n/b"));
    assert_int_equal(t.c->state, CONNECTION_HEAD);
}

/* The second waits until the first is answered. */
static void one_after_the_other(void **state)
{
    (void)state;
    t.act = ACT_WORK;
    say("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(t.wholes, 1);
    assert_int_equal(t.c->state, CONNECTION_WAITING);
    t.act = ACT_ANSWER;
    request_end_job(t.working);
    answer_json(t.working, SLICE("1"));
    turn();
    assert_int_equal(t.wholes, 2);
    assert_string_equal(t.path, "/b");
    assert_int_equal(count_of(heard(), "HTTP/1.1 200 OK\r\n"), 2);
    assert_int_equal(t.drops, 0);
}

static void a_head_in_pieces(void **state)
{
    const char *const text = "GET /abc HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\r\n";
    (void)state;
    for (size_t i = 0; text[i]; i++) {
        assert_int_equal(t.wholes, 0);
        say((char[]){text[i], '\0'});
    }
    assert_int_equal(t.heads, 1);
    assert_string_equal(t.path, "/abc");
    assert_string_equal(t.type, "text/plain");
}

static void a_body_in_pieces(void **state)
{
    (void)state;
    say("POST /p HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n0123");
    assert_int_equal(t.c->state, CONNECTION_BODY);
    assert_int_equal(t.heads, 1);
    assert_int_equal(t.router->connections.body_bytes, 4);
    memset(t.router->scratch, 'x', ROUTER_SCRATCH); /* nothing of it is borrowed any more */
    say("456");
    say("789");
    assert_int_equal(t.heads, 1);
    assert_int_equal(t.wholes, 1);
    assert_string_equal(t.path, "/p");
    assert_string_equal(t.body, "0123456789");
    assert_string_equal(t.type, "text/plain");
    assert_int_equal(t.router->connections.body_bytes, 0);
}

static void a_chunked_body(void **state)
{
    (void)state;
    say("POST /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_string_equal(heard(), "HTTP/1.1 100 Continue\r\n\r\n");
    say("3\r\nab");
    say("c\r\n2\r\nde\r\n0\r");
    say("\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(t.wholes, 2);
    assert_string_equal(t.path, "/next");
    assert_int_equal(count_of(heard(), "HTTP/1.1 200 OK\r\n"), 2);
}

/* A request that waits keeps what it said, and reads its body after. */
static void suspended_and_resumed(void **state)
{
    struct suspended_list list = {0};
    (void)state;
    t.suspend = &list;
    say("POST /held HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\na");
    assert_ptr_equal(suspended_first(&list), &t.c->request);
    assert_int_equal(t.c->state, CONNECTION_WAITING);
    assert_int_equal(t.wholes, 0);
    memset(t.router->scratch, 'x', ROUTER_SCRATCH);
    suspended_resume(&list);
    assert_null(list.first);
    assert_int_equal(t.c->state, CONNECTION_BODY);
    say("bc");
    assert_int_equal(t.heads, 1);
    assert_string_equal(t.path, "/held");
    assert_string_equal(t.type, "a/b");
    assert_string_equal(t.body, "abc");
}

static void suspended_for_too_long(void **state)
{
    struct suspended_list list = {0};
    (void)state;
    t.suspend = &list;
    say("GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
    connection_timer_expired(t.c, DEADLINE_SUSPENDED);
    turn();
    assert_null(list.first);
    assert_non_null(strstr(heard(), "HTTP/1.1 503 "));
}

/* ---- jobs ---- */

static void a_job_hears_what_happens(void **state)
{
    (void)state;
    t.act = ACT_WORK;
    say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    shutdown(t.client, SHUT_WR);
    turn();
    assert_int_equal(t.hung_up, 1);
    assert_int_equal(t.c->state, CONNECTION_WAITING);
    struct block *block = block_copy(&t.router->outputs, SLICE("piece"));
    request_send(t.working, block, 0, 5);
    block_unref(block);
    turn();
    assert_int_equal(t.drained, 1);
    assert_string_equal(heard(), "piece");
    connection_timer_expired(t.c, DEADLINE_LONG_POLL);
    assert_int_equal(t.expired, 1);
    assert_int_equal(t.drops, 0);
    turn();
    assert_int_equal(t.router->connections.count, 0); /* it was answered, and nothing more can come */
}

static void dropped_with_a_job(void **state)
{
    (void)state;
    t.act = ACT_WORK;
    say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    connection_close(t.c);
    assert_int_equal(t.drops, 1);
    turn();
    assert_int_equal(t.drops, 1);
}

static void dropped_in_a_head(void **state)
{
    (void)state;
    say("GET /a HT");
    assert_int_equal(t.c->state, CONNECTION_HEAD);
    close(t.client);
    t.client = -1;
    turn();
    assert_int_equal(t.router->connections.count, 0);
}

static void dropped_in_a_body(void **state)
{
    (void)state;
    say("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123");
    assert_int_equal(t.c->state, CONNECTION_BODY);
    close(t.client);
    t.client = -1;
    turn();
    assert_int_equal(t.router->connections.count, 0);
    assert_int_equal(t.wholes, 0);
}

static void dropped_while_suspended(void **state)
{
    struct suspended_list list = {0};
    (void)state;
    t.suspend = &list;
    say("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab");
    connection_close(t.c);
    assert_null(list.first);
}

static void dropped_while_it_lingers(void **state)
{
    (void)state;
    say("nonsense\r\n\r\n");
    assert_int_equal(t.c->state, CONNECTION_LINGERING);
    close(t.client);
    t.client = -1;
    turn();
    assert_int_equal(t.router->connections.count, 0);
}

/* ---- the end ---- */

/* Closing with unread bytes would take the answer back. */
static void lingers_behind_a_refusal(void **state)
{
    char text[200];
    (void)state;
    snprintf(text, sizeof text, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %llu\r\n\r\nabc",
             (unsigned long long)t.cfg.limits_max_body + 1);
    say(text);
    assert_int_equal(t.heads, 0);
    assert_int_equal(t.c->state, CONNECTION_LINGERING);
    assert_non_null(strstr(heard(), "HTTP/1.1 413 "));
    say("more of it");
    assert_int_equal(t.c->state, CONNECTION_LINGERING);
    connection_timer_expired(t.c, DEADLINE_LINGER);
    turn();
    assert_int_equal(t.router->connections.count, 0);
}

static void closes_when_asked_to(void **state)
{
    (void)state;
    say("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(heard(), "Connection: close\r\n"));
    assert_int_equal(t.router->connections.count, 0);
}

static void ends_when_the_process_does(void **state)
{
    (void)state;
    say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    t.router->stopping = true;
    connections_stop(t.router);
    turn();
    assert_int_equal(t.router->connections.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(two_at_once),
        T(one_after_the_other),
        T(a_head_in_pieces),
        T(a_body_in_pieces),
        T(a_chunked_body),
        T(suspended_and_resumed),
        T(suspended_for_too_long),
        T(a_job_hears_what_happens),
        T(dropped_with_a_job),
        T(dropped_in_a_head),
        T(dropped_in_a_body),
        T(dropped_while_suspended),
        T(dropped_while_it_lingers),
        T(lingers_behind_a_refusal),
        T(closes_when_asked_to),
        T(ends_when_the_process_does),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
