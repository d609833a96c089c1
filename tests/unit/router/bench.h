/* A router in this process, and its clients and its shard with it. */
#ifndef TESTS_UNIT_ROUTER_BENCH_H
#define TESTS_UNIT_ROUTER_BENCH_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "router/router.h"

#define CLIENTS 300

struct bench {
    struct bench *before; /* a router is not made to be taken down: all stay, for those who look for leaks */
    char dir[64];
    struct config cfg;
    struct event_base *base;
    struct role role;
    struct router *router;
    struct link shard;
    int clients[CLIENTS];
    struct wire_read reads[64]; /* those that came, their names not valid */
    size_t read_count, unwatched;
    struct wire_append appends[64]; /* the same */
    size_t append_count;
    char appended[64][200]; /* their data, */
    size_t marks[64];       /* and how long their boundaries are */
};

static struct bench *benches;

/* ---- the stand ---- */

static inline void shard_up(struct bench *b)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    link_close(&b->shard);
    router_peer(b->router, ROLE_SHARD, 0, pair[0]);
    link_open(&b->shard, b->base, pair[1], 0);
}

/* How long a request waits for its shard: longer than any test takes, unless waiting is what it tests. */
static inline void shard_wait(struct bench *b, const char *duration)
{
    char assignment[100];
    snprintf(assignment, sizeof assignment, "router.shard_wait=%s", duration);
    assert_int_equal(config_set(&b->cfg, assignment, stderr), 0);
}

static inline int setup(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    struct layout layout;
    char assignment[100];
    b->before = benches;
    benches = b;
    snprintf(b->dir, sizeof b->dir, "/tmp/streamd-unit-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    config_init(&b->cfg);
    snprintf(assignment, sizeof assignment, "server.data_dir=%s", b->dir);
    assert_int_equal(config_set(&b->cfg, assignment, stderr), 0);
    shard_wait(b, "1m");
    layout_init(&layout, 1);
    assert_true(layout_save(b->dir, &layout));
    b->base = event_base_new();
    b->router = xcalloc(1, sizeof *b->router);
    b->router->role = &b->role;
    router_start(b->router, b->base, &b->cfg, 0);
    for (int i = 0; i < CLIENTS; i++)
        b->clients[i] = -1;
    b->shard.fd = -1;
    shard_up(b);
    *state = b;
    return 0;
}

/* Over TCP, where hanging up can be told from having said everything. */
static inline void call_up(struct bench *b, int i)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(listen(listener, 1), 0);
    b->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(b->clients[i], (const struct sockaddr *)&address, len), 0);
    (void)connection_new(b->router, accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    close(listener);
}

static inline void hang_up(struct bench *b, int i)
{
    static const struct linger now = {.l_onoff = 1};
    if (b->clients[i] < 0)
        return;
    setsockopt(b->clients[i], SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(b->clients[i]);
    b->clients[i] = -1;
}

/* All sockets that have something are one turn's. */
static inline void turn(struct bench *b)
{
    for (int i = 0; i < CLIENTS / 16; i++)
        event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    router_turn(b->router);
}

static inline void hear_append(struct bench *b, struct slice body)
{
    size_t n = b->append_count++;
    assert_true(n < 64);
    assert_true(wire_get_append(body, &b->appends[n]));
    snprintf(b->appended[n], sizeof b->appended[n], "%.*s", (int)b->appends[n].data.len, b->appends[n].data.data);
    b->marks[n] = b->appends[n].boundaries.len;
}

/* What the router has sent to the shard. */
static inline void hear(struct bench *b)
{
    enum wire_type type;
    struct slice body;
    size_t cursor = 0;
    event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    if (!link_receive(&b->shard, SIZE_MAX))
        return;
    while (link_next(&b->shard, &cursor, &type, &body)) {
        b->unwatched += type == WIRE_UNWATCH;
        if (type == WIRE_APPEND)
            hear_append(b, body);
        if (type == WIRE_UNWATCH || type == WIRE_APPEND)
            continue;
        assert_int_equal(type, WIRE_READ);
        assert_true(b->read_count < 64);
        assert_true(wire_get_read(body, &b->reads[b->read_count++]));
    }
    link_release(&b->shard, cursor);
}

/* The clients [from, to) ask for it, and a turn takes that. */
static inline void ask(struct bench *b, int from, int to, const char *path, const char *headers)
{
    char text[300];
    int len = snprintf(text, sizeof text, "GET /v1/stream/%s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, headers);
    for (int i = from; i < to; i++) {
        if (b->clients[i] < 0)
            call_up(b, i);
        assert_int_equal(send(b->clients[i], text, (size_t)len, 0), len);
    }
    turn(b);
    hear(b);
}

static inline void tell(struct bench *b, size_t read, enum error error, struct slice data)
{
    const struct wire_stream m = {.id = b->reads[read].id,
                                  .error = (uint8_t)error,
                                  .uid = 7,
                                  .next = data.len,
                                  .tail = data.len,
                                  .remaining_ms = UINT64_MAX,
                                  .content_type = SLICE("text/plain"),
                                  .data = data};
    wire_put_stream(&b->shard.out, &m);
    link_flush(&b->shard);
    turn(b);
    turn(b);
    hear(b);
}

/* The client has got one answer with that status, and with that body. */
static inline void expect(struct bench *b, int i, int status, const char *body)
{
    char got[8192], line[40];
    ssize_t len = recv(b->clients[i], got, sizeof got - 1, MSG_DONTWAIT);
    assert_true(len > 0);
    got[len] = '\0';
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    assert_int_equal(strncmp(got, line, strlen(line)), 0);
    assert_null(strstr(got + 1, "HTTP/1.1 "));
    if (body)
        assert_string_equal(strstr(got, "\r\n\r\n") + 4, body);
}

static inline void expect_nothing(struct bench *b, int i)
{
    char got[16];
    assert_int_equal(recv(b->clients[i], got, sizeof got, MSG_DONTWAIT), -1);
}

static inline int teardown(void **state)
{
    struct bench *b = *state;
    char path[100];
    for (int i = 0; i < CLIENTS; i++)
        hang_up(b, i);
    turn(b);
    assert_int_equal(b->router->connections.count, 0);
    assert_int_equal(b->router->collapse.questions.count, 0);
    snprintf(path, sizeof path, "%s/layout", b->dir);
    unlink(path);
    rmdir(b->dir);
    return 0;
}

#endif
