/* One shard in the test's process, spoken to as a router would, and a bucket for its segments in the same event loop.
 */
#ifndef UNIT_SHARD_STAND_H
#define UNIT_SHARD_STAND_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/layout.h"
#include "common/mem.h"
#include "shard/shard.h"
#include "shard/shard_role.h"
#include "tests/unit/fake_s3.h"

struct bench {
    char dir[64], cache[80];
    struct config cfg;
    struct event_base *base;
    struct fake_s3 s3;
    struct shard *shard;
    struct role role;
    struct link router;
    uint64_t id;
    struct buf kept; /* the last frame, so that its slices stay */
};

static inline void turn(struct bench *b)
{
    link_flush(&b->router);
    event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    shard_turn(b->shard);
    event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static inline void router_up(struct bench *b)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    shard_peer(b->shard, ROLE_ROUTER, 0, pair[0]);
    link_close(&b->router);
    link_open(&b->router, b->base, pair[1], 0);
}

/* A minute of turns and more: only a hang takes all of them. */
#define SOON 600000

/* The next frame, if there is one after some turns. */
static inline bool frame(struct bench *b, enum wire_type *type, struct slice *body, unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        size_t cursor = 0;
        if (link_next(&b->router, &cursor, type, body)) {
            buf_clear(&b->kept);
            buf_add_slice(&b->kept, *body);
            *body = buf_slice(&b->kept);
            link_release(&b->router, cursor);
            return true;
        }
        turn(b);
        (void)link_receive(&b->router, 1 << 20);
        usleep(100);
    }
    return false;
}

static inline void expect_frame(struct bench *b, enum wire_type expected, struct slice *body)
{
    enum wire_type type;
    assert_true(frame(b, &type, body, SOON));
    assert_int_equal(type, expected);
}

static inline void expect_silence(struct bench *b)
{
    enum wire_type type;
    struct slice body;
    assert_false(frame(b, &type, &body, 50));
}

static inline struct wire_stream stream_answer(struct bench *b)
{
    struct wire_stream m;
    struct slice body;
    expect_frame(b, WIRE_STREAM, &body);
    assert_true(wire_get_stream(body, &m));
    return m;
}

static inline void expect_parked(struct bench *b, uint64_t id)
{
    struct wire_parked m;
    struct slice body;
    expect_frame(b, WIRE_PARKED, &body);
    assert_true(wire_get_parked(body, &m));
    assert_int_equal(m.id, id);
}

static inline void expect_data(struct bench *b, uint64_t id, const char *data)
{
    struct wire_stream m = stream_answer(b);
    assert_int_equal(m.id, id);
    assert_int_equal(m.error, ERR_NONE);
    assert_true(slice_equal(m.data, slice_str(data)));
}

static inline void expect_error(struct bench *b, uint64_t id, enum error error)
{
    struct wire_stream m = stream_answer(b);
    assert_int_equal(m.id, id);
    assert_int_equal(m.error, error);
}

static inline struct wire_stream create(struct bench *b, const char *name, const char *data)
{
    struct wire_create m = {
        .id = ++b->id, .name = slice_str(name), .content_type = SLICE("text/plain"), .data = slice_str(data)};
    wire_put_create(&b->router.out, &m);
    return stream_answer(b);
}

/* "append0.", "append1." and so on. */
static inline void append_some(struct bench *b, const char *name, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char text[16];
        struct wire_append m = {.id = ++b->id,
                                .name = slice_str(name),
                                .content_type = SLICE("text/plain"),
                                .count = 8,
                                .data = slice_of(text, 8)};
        struct slice body;
        snprintf(text, sizeof text, "append%u.", i % 10);
        wire_put_append(&b->router.out, &m);
        expect_frame(b, WIRE_APPENDED, &body);
    }
}

static inline void delete_it(struct bench *b, const char *name)
{
    wire_put_delete(&b->router.out, &(struct wire_delete){.id = ++b->id, .name = slice_str(name)});
    assert_int_equal(stream_answer(b).error, ERR_NONE);
}

/* The newest life of a stream, or 0. */
static inline uint64_t life_of(struct bench *b, struct slice name)
{
    const struct stream *stream = streams_by_name(&b->shard->streams, name);
    return stream ? lives_newest(stream_lives(stream)).life : 0;
}

static inline uint64_t ask(struct bench *b, const char *name, uint64_t position, uint64_t max_bytes)
{
    struct wire_read m = {.id = ++b->id,
                          .name = slice_str(name),
                          .position = position,
                          .life = life_of(b, slice_str(name)),
                          .max_bytes = max_bytes};
    wire_put_read(&b->router.out, &m);
    return m.id;
}

/* Reads the fork of a stream at a sub-offset, whose append lies in a segment of the source. */
static inline uint64_t ask_fork(struct bench *b, const char *name, const char *source, uint64_t sub)
{
    struct wire_create m = {.id = ++b->id,
                            .name = slice_str(name),
                            .flags = WIRE_CREATE_FORK | WIRE_CREATE_FORK_POSITION,
                            .fork_source = slice_str(source),
                            .fork_sub = sub};
    wire_put_create(&b->router.out, &m);
    return m.id;
}

/* Some turns with a tick, of a shard that is idle. */
static inline void rest(struct bench *b)
{
    b->cfg.shard_flush_idle = 0;
    for (int i = 0; i < 20; i++) {
        b->shard->tick_due = true;
        b->shard->upkeep_ms = 0;
        turn(b);
        usleep(100);
    }
    b->cfg.shard_flush_idle = 1000000;
}

/* Lets the shard be idle until the stream is in segments, and those are only in the bucket. */
static inline void cool(struct bench *b, const char *name)
{
    const struct stream *stream = NULL;
    char command[128];
    b->cfg.shard_flush_idle = 0;
    for (int i = 0; i < SOON && !(stream && stream->row.offloaded == stream->tail); i++) {
        b->shard->tick_due = true;
        turn(b);
        stream = streams_by_name(&b->shard->streams, slice_str(name));
        usleep(100);
    }
    assert_int_equal(stream->row.offloaded, stream->tail);
    for (int i = 0; i < 50; i++) /* chunks go, small segments are left alone */
        turn(b);
    b->cfg.shard_flush_idle = 1000000;
    snprintf(command, sizeof command, "rm -rf %s", b->cache);
    assert_int_equal(system(command), 0);
    b->s3.gets = 0; /* those that read back what was put */
}

static inline void let_fetches_end(struct bench *b)
{
    for (int i = 0; i < SOON && b->shard->streams.segments.fetches.count; i++) {
        turn(b);
        usleep(100);
    }
    assert_int_equal(b->shard->streams.segments.fetches.count, 0);
}

static inline void set(char **text, const char *value)
{
    free(*text);
    *text = xstrdup(value);
}

static inline void configure(struct bench *b)
{
    char text[128];
    config_init(&b->cfg);
    set(&b->cfg.server_data_dir, b->dir);
    snprintf(b->cache, sizeof b->cache, "%s/cache", b->dir);
    set(&b->cfg.segment_cache_directory, b->cache);
    snprintf(text, sizeof text, "http://127.0.0.1:%u", b->s3.port);
    set(&b->cfg.s3_endpoint, text);
    set(&b->cfg.s3_bucket, "b");
    snprintf(text, sizeof text, "%s/key", b->dir);
    set(&b->cfg.s3_credentials, text);
    FILE *file = fopen(text, "w");
    fputs("aws_access_key_id = a\naws_secret_access_key = s\n", file);
    fclose(file);
    b->cfg.segment_store = SEGMENT_STORE_S3;
    b->cfg.segment_max_bytes = 8;
    b->cfg.shard_flush_idle = 1000000;
}

static inline int setup(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    struct layout layout;
    strcpy(b->dir, "/tmp/streamd-test-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    b->base = event_base_new();
    fake_s3_open(&b->s3, b->base);
    configure(b);
    layout_init(&layout, 1);
    assert_true(layout_save(b->dir, &layout));
    b->shard = xcalloc(1, sizeof *b->shard);
    b->shard->role = &b->role;
    shard_start(b->shard, b->base, &b->cfg, 0);
    b->router.fd = -1;
    router_up(b);
    *state = b;
    return 0;
}

static inline int teardown(void **state)
{
    struct bench *b = *state;
    char command[128];
    link_close(&b->router);
    shard_close(b->shard);
    free(b->shard);
    fake_s3_close(&b->s3);
    event_base_free(b->base);
    config_clear(&b->cfg);
    buf_clear(&b->kept);
    snprintf(command, sizeof command, "rm -r %s", b->dir);
    free(b);
    return system(command);
}

#endif
