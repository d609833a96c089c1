/* listen: SSE readers at the tail of their streams that take what comes. */
#include <signal.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "tests/bench/clock.h"
#include "tests/bench/events.h"
#include "tests/bench/modes.h"
#include "tests/bench/net.h"
#include "tests/bench/streams.h"

#define READY_MAX 256
#define ATTACH_AT_ONCE 256u /* connections that wait for their head: fewer than a listening socket's queue */
#define ATTACH_MAX_NS (60 * CLOCK_SECOND)

struct listener {
    struct conn conn;
    struct answer answer;
    struct events events;
    bool attached;
};

struct listen {
    const struct options *options;
    const struct api *api;
    struct target target;
    struct net net;
    struct listener *listeners;
    unsigned opened, attached;
    uint64_t bytes, dropped;
};

static volatile sig_atomic_t ended;

static void on_signal(int number UNUSED)
{
    ended = 1;
}

static void open_more(struct listen *listen)
{
    while (listen->opened < listen->options->readers && listen->opened - listen->attached < ATTACH_AT_ONCE) {
        struct listener *listener = &listen->listeners[listen->opened];
        listener->conn.index = listen->opened;
        if (!conn_open(&listen->net, &listener->conn))
            fatal("reader %u cannot connect", listen->opened);
        listen->api->follow(&listener->conn.out, &listen->target, listen->opened++ % listen->options->streams);
        conn_flush(&listener->conn);
    }
}

static void take(struct listen *listen, struct listener *listener, struct slice in)
{
    struct slice piece, data;
    enum answer_step step;
    while ((step = answer_http(&listener->answer, &in, &piece)) != ANSWER_MORE) {
        if (step == ANSWER_BAD || (step == ANSWER_HEAD && listener->answer.status != 200))
            fatalx("a reader got status %d", listener->answer.status);
        if (!listener->attached) {
            listener->attached = true;
            listen->attached++;
        }
        while (step == ANSWER_BODY && events_next(&listener->events, &piece, &data))
            listen->bytes += data.len;
    }
    conn_keep(&listener->conn, in);
}

static void turn(struct listen *listen)
{
    struct conn *ready[READY_MAX];
    unsigned n = net_wait(&listen->net, ready, READY_MAX, CLOCK_SECOND / 10);
    for (unsigned i = 0; i < n; i++) {
        struct slice in;
        enum conn_read got;
        while ((got = conn_read(&listen->net, ready[i], &in)) == CONN_DATA)
            take(listen, &listen->listeners[ready[i]->index], in);
        if (got == CONN_DEAD) {
            listen->dropped++;
            conn_close(ready[i]);
        }
    }
}

static void attach(struct listen *listen)
{
    uint64_t until = clock_now() + ATTACH_MAX_NS;
    while (listen->attached < listen->options->readers) {
        open_more(listen);
        turn(listen);
        if (clock_now() > until)
            fatalx("%u of %u readers are attached after %llu s", listen->attached, listen->options->readers,
                   ATTACH_MAX_NS / CLOCK_SECOND);
    }
    printf("{\"attached\":%u}\n", listen->attached);
    fflush(stdout);
}

int listen_mode(const struct options *options)
{
    struct listen listen = {.options = options, .api = api_find(options->api)};
    if (!listen.api->follow)
        fatalx("--api %s has no SSE", options->api);
    signal(SIGTERM, on_signal);
    target_init(&listen.target, options);
    net_init(&listen.net, listen.target.host, listen.target.port);
    listen.listeners = xcalloc(options->readers, sizeof *listen.listeners);
    attach(&listen);
    uint64_t start = clock_now(), until = start + options->seconds * CLOCK_SECOND;
    while (!ended && clock_now() < until)
        turn(&listen);
    double seconds = (double)(clock_now() - start) / 1e9;
    double deliveries = (double)listen.bytes / options->size;
    printf("{\"mode\":\"listen\",\"readers\":%u,\"deliveries_per_s\":%.1f,\"dropped\":%llu}\n", options->readers,
           deliveries / seconds, (unsigned long long)listen.dropped);
    for (unsigned i = 0; i < options->readers; i++) {
        conn_close(&listen.listeners[i].conn);
        events_clear(&listen.listeners[i].events);
    }
    free(listen.listeners);
    net_clear(&listen.net);
    target_clear(&listen.target);
    return listen.dropped != 0;
}
