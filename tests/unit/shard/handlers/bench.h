/* A shard without sockets, for tests of handlers: a database, streams, one router and frames to the shard itself. */
#ifndef TESTS_UNIT_SHARD_HANDLERS_BENCH_H
#define TESTS_UNIT_SHARD_HANDLERS_BENCH_H

#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/store_stream.h"
#include "tests/unit/shard/store/database.h"

struct bench {
    struct database *database;
    struct config cfg;
    struct shard *shard;
};

static inline int bench_setup(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    void *database;
    if (database_setup(&database) != 0)
        return -1;
    b->database = database;
    b->shard = xcalloc(1, sizeof *b->shard);
    b->shard->cfg = &b->cfg;
    b->shard->store = b->database->store;
    b->shard->now_ms = 1000;
    b->cfg.router_shard_wait = 100;
    for (unsigned i = 0; i < PEERS_ROUTERS_MAX; i++)
        b->shard->peers.routers[i].link.fd = i == 0 ? 1000 : -1; /* the first is as good as up: nothing is flushed */
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        b->shard->peers.shards[i].link.fd = -1;
    b->shard->peers.layout.shards = 1;
    streams_init(&b->shard->streams, b->shard->store, &b->cfg);
    feeds_init(&b->shard->streams.feeds, 1);
    *state = b;
    return 0;
}

static inline int bench_teardown(void **state)
{
    struct bench *b = *state;
    struct streams *streams = &b->shard->streams;
    void *database = b->database;
    while (streams_newest(streams))
        streams_deleting(streams, streams_newest(streams));
    table_clear(&streams->by_name);
    table_clear(&streams->by_uid);
    buf_clear(&streams->touched);
    buf_clear(&streams->may_end);
    usages_clear(&streams->usages);
    buf_clear(&b->shard->peers.self);
    buf_clear(&b->shard->peers.routers[0].link.out);
    free(b->shard);
    free(b);
    return database_teardown(&database);
}

/* A stream in the store and in memory. expires_ms: STORE_NONE for never. source_uid: the same for no fork. */
static inline struct stream *bench_stream(struct bench *b, uint64_t uid, const char *name, uint64_t expires_ms,
                                          uint64_t source_uid)
{
    const struct stream_row row = {
        .uid = uid,
        .name = slice_str(name),
        .content_type = SLICE("text/plain"),
        .ttl_s = STORE_NONE,
        .expires_ms = expires_ms,
        .source_uid = source_uid,
        .retain_ms = STORE_NONE,
        .pin = 7,
    };
    store_begin(b->shard->store);
    store_stream_insert(b->shard->store, &row);
    return streams_add_new(&b->shard->streams, &row);
}

static inline struct asker bench_asker(uint64_t id)
{
    return (struct asker){.id = id};
}

/* The error of the STREAM that was answered to this id. */
static inline enum error bench_answered(struct bench *b, uint64_t id)
{
    struct buf *out = &b->shard->peers.routers[0].link.out;
    struct slice frames = buf_slice(out), body;
    struct wire_stream m;
    assert_true(wire_take(&frames, WIRE_STREAM, &body) && wire_get_stream(body, &m));
    assert_int_equal(m.id, id);
    buf_consume(out, buf_len(out) - frames.len);
    return (enum error)m.error;
}

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

#endif
