/* Readings that need a segment from the object store: suspended, resumed, refused, dropped. One shard in this process,
 * spoken to as a router would, and a bucket that answers late or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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

/* ---- the stand ---- */

static void turn(struct bench *b)
{
    link_flush(&b->router);
    event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    shard_turn(b->shard);
    event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void router_up(struct bench *b)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    shard_peer(b->shard, ROLE_ROUTER, 0, pair[0]);
    link_close(&b->router);
    link_open(&b->router, b->base, pair[1], 0);
}

/* The next frame, if there is one after some turns. */
static bool frame(struct bench *b, enum wire_type *type, struct slice *body, unsigned turns)
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

static void expect_frame(struct bench *b, enum wire_type expected, struct slice *body)
{
    enum wire_type type;
    assert_true(frame(b, &type, body, 20000));
    assert_int_equal(type, expected);
}

static void expect_silence(struct bench *b)
{
    enum wire_type type;
    struct slice body;
    assert_false(frame(b, &type, &body, 50));
}

static struct wire_stream stream_answer(struct bench *b)
{
    struct wire_stream m;
    struct slice body;
    expect_frame(b, WIRE_STREAM, &body);
    assert_true(wire_get_stream(body, &m));
    return m;
}

static void expect_parked(struct bench *b, uint64_t id)
{
    struct wire_parked m;
    struct slice body;
    expect_frame(b, WIRE_PARKED, &body);
    assert_true(wire_get_parked(body, &m));
    assert_int_equal(m.id, id);
}

static void expect_data(struct bench *b, uint64_t id, const char *data)
{
    struct wire_stream m = stream_answer(b);
    assert_int_equal(m.id, id);
    assert_int_equal(m.error, ERR_NONE);
    assert_true(slice_equal(m.data, slice_str(data)));
}

static void expect_error(struct bench *b, uint64_t id, enum error error)
{
    struct wire_stream m = stream_answer(b);
    assert_int_equal(m.id, id);
    assert_int_equal(m.error, error);
}

static struct wire_stream create(struct bench *b, const char *name, const char *data)
{
    struct wire_create m = {
        .id = ++b->id, .name = slice_str(name), .content_type = SLICE("text/plain"), .data = slice_str(data)};
    wire_put_create(&b->router.out, &m);
    return stream_answer(b);
}

static void delete_it(struct bench *b, const char *name)
{
    wire_put_delete(&b->router.out, &(struct wire_delete){.id = ++b->id, .name = slice_str(name)});
    assert_int_equal(stream_answer(b).error, ERR_NONE);
}

static uint64_t ask(struct bench *b, const char *name, uint64_t position, uint64_t max_bytes)
{
    struct wire_read m = {.id = ++b->id, .name = slice_str(name), .position = position, .max_bytes = max_bytes};
    wire_put_read(&b->router.out, &m);
    return m.id;
}

/* Reads the fork of a stream at a sub-offset, whose append lies in a segment of the source. */
static uint64_t ask_fork(struct bench *b, const char *name, const char *source, uint64_t sub)
{
    struct wire_create m = {.id = ++b->id,
                            .name = slice_str(name),
                            .flags = WIRE_CREATE_FORK | WIRE_CREATE_FORK_POSITION,
                            .fork_source = slice_str(source),
                            .fork_sub = sub};
    wire_put_create(&b->router.out, &m);
    return m.id;
}

/* Lets the shard be idle until the stream is in segments, and those are only in the bucket. */
static void cool(struct bench *b, const char *name)
{
    const struct stream *stream = NULL;
    char command[128];
    b->cfg.shard_flush_idle = 0;
    for (int i = 0; i < 20000 && !(stream && stream->row.cold == stream->tail); i++) {
        b->shard->tick_due = true;
        turn(b);
        stream = streams_by_name(&b->shard->streams, slice_str(name));
        usleep(100);
    }
    assert_int_equal(stream->row.cold, stream->tail);
    for (int i = 0; i < 50; i++) /* chunks go, small segments are left alone */
        turn(b);
    b->cfg.shard_flush_idle = 1000000;
    snprintf(command, sizeof command, "rm -rf %s", b->cache);
    assert_int_equal(system(command), 0);
    b->s3.gets = 0; /* those that read back what was put */
}

static void let_fetches_end(struct bench *b)
{
    for (int i = 0; i < 20000 && b->shard->streams.segments.fetches.count; i++) {
        turn(b);
        usleep(100);
    }
    assert_int_equal(b->shard->streams.segments.fetches.count, 0);
}

static void set(char **text, const char *value)
{
    free(*text);
    *text = xstrdup(value);
}

static void configure(struct bench *b)
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

static int setup(void **state)
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

static int teardown(void **state)
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

/* ---- the tests ---- */

static void a_reading_waits_and_goes_on(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "eight by");
    cool(b, "p/a");
    b->s3.holds = true;
    uint64_t first = ask(b, "p/a", 0, 100), second = ask(b, "p/a", 2, 100);
    expect_parked(b, first);
    expect_parked(b, second);
    expect_silence(b);
    assert_int_equal(b->s3.gets, 1); /* one fetch for both */
    assert_int_equal(b->shard->streams.segments.fetches.waits, 2);
    fake_s3_release(&b->s3);
    expect_data(b, first, "eight by");
    expect_data(b, second, "ght by");
    assert_int_equal(b->shard->streams.segments.fetches.waits, 0);
    expect_data(b, ask(b, "p/a", 0, 100), "eight by"); /* it is in the cache now */
    assert_int_equal(b->s3.gets, 1);
}

static void a_look_fetches_nothing(void **state)
{
    struct bench *b = *state;
    struct extent extent;
    create(b, "p/a", "eight by");
    cool(b, "p/a");
    struct stream *stream = streams_by_name(&b->shard->streams, SLICE("p/a"));
    struct outcome outcome = segments_extent(&b->shard->streams.segments, stream->row.uid, 0, &extent);
    assert_int_equal(outcome.kind, OUTCOME_NEEDS_SEGMENT);
    assert_int_equal(outcome.segment.uid, stream->row.uid);
    assert_int_equal(outcome.segment.start, 0);
    assert_int_equal(outcome_error(&outcome), ERR_SEGMENT_UNAVAILABLE);
    for (int i = 0; i < 50; i++)
        turn(b);
    assert_int_equal(b->s3.gets, 0);
}

/* The page ends at the next segment, which is fetched for whoever reads on. */
static void a_page_with_bytes_does_not_wait(void **state)
{
    struct bench *b = *state;
    char name[8];
    create(b, "p/a", "eight by");
    for (unsigned i = 0; i < 5; i++) {
        struct wire_append m = {.id = ++b->id,
                                .name = SLICE("p/a"),
                                .content_type = SLICE("text/plain"),
                                .count = 8,
                                .data = slice_of(name, 8)};
        struct slice body;
        snprintf(name, sizeof name, "append%u", i);
        name[7] = '.';
        wire_put_append(&b->router.out, &m);
        expect_frame(b, WIRE_APPENDED, &body);
    }
    cool(b, "p/a");
    uint64_t id = ask(b, "p/a", 0, 8);
    expect_parked(b, id);
    expect_data(b, id, "eight by");
    let_fetches_end(b);
    assert_int_equal(b->s3.gets, 4); /* three more ahead */
    id = ask(b, "p/a", 0, 1000);
    struct wire_stream m = stream_answer(b);
    assert_int_equal(m.id, id);
    assert_true(slice_equal(m.data, SLICE("eight byappend0.append1.append2.")));
    let_fetches_end(b);
    assert_int_equal(b->s3.gets, 6);
}

static void a_fetch_that_fails_is_an_error(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "eight by");
    cool(b, "p/a");
    b->s3.status = 403;
    uint64_t id = ask(b, "p/a", 0, 100);
    expect_parked(b, id);
    expect_error(b, id, ERR_SEGMENT_UNAVAILABLE);
    expect_error(b, ask(b, "p/a", 0, 100), ERR_SEGMENT_UNAVAILABLE); /* which is remembered for a moment */
    assert_int_equal(b->s3.gets, 1);
}

static void a_missing_segment_is_another_error(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "eight by");
    cool(b, "p/a");
    LIST_EACH_SAFE(link, after, &b->s3.objects)
    {
        struct fake_object *object = LIST_OWNER(link, struct fake_object, link);
        if (strstr(object->path, ".seg"))
            fake_s3_forget(object);
    }
    uint64_t id = ask(b, "p/a", 0, 100);
    expect_parked(b, id);
    expect_error(b, id, ERR_SEGMENT_MISSING);
}

static void the_stream_may_end_meanwhile(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "eight by");
    cool(b, "p/a");
    b->s3.holds = true;
    uint64_t id = ask(b, "p/a", 0, 100);
    expect_parked(b, id);
    delete_it(b, "p/a");
    fake_s3_release(&b->s3);
    expect_error(b, id, ERR_STREAM_NOT_FOUND);
}

static void the_router_may_be_gone(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "eight by");
    cool(b, "p/a");
    b->s3.holds = true;
    expect_parked(b, ask(b, "p/a", 0, 100));
    router_up(b);
    fake_s3_release(&b->s3);
    expect_silence(b);
    assert_int_equal(b->shard->streams.segments.fetches.waits, 0);
}

/* What waits is freed, by the fetch or when the shard ends; a sanitizer would see a leak. */
static void the_shard_may_stop(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "eight by");
    cool(b, "p/a");
    b->s3.holds = true;
    expect_parked(b, ask(b, "p/a", 0, 100));
    ask_fork(b, "p/f", "p/a", 3);
    expect_silence(b);
    assert_int_equal(b->shard->streams.segments.fetches.waits, 2);
    fetches_stop(&b->shard->streams.segments.fetches);
    fake_s3_release(&b->s3);
    expect_silence(b);
    assert_int_equal(b->shard->streams.segments.fetches.waits, 0);
}

static void the_shard_may_end(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "eight by");
    cool(b, "p/a");
    b->s3.holds = true;
    expect_parked(b, ask(b, "p/a", 0, 100));
    ask_fork(b, "p/f", "p/a", 3);
    expect_silence(b);
    assert_int_equal(b->shard->streams.segments.fetches.waits, 2);
}

static void too_many_do_not_wait(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "eight by");
    cool(b, "p/a");
    b->s3.holds = true;
    b->shard->streams.segments.fetches.waits = FETCH_WAITS_MAX;
    expect_error(b, ask(b, "p/a", 0, 100), ERR_SEGMENT_UNAVAILABLE);
    b->shard->streams.segments.fetches.waits = 0;
    uint64_t id = ask(b, "p/a", 0, 100); /* the segment is on its way by now */
    expect_parked(b, id);
    fake_s3_release(&b->s3);
    expect_data(b, id, "eight by");
    assert_int_equal(b->s3.gets, 1);
}

static void a_fork_waits_for_its_source(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "eight by");
    cool(b, "p/a");
    b->s3.holds = true;
    uint64_t id = ask_fork(b, "p/f", "p/a", 3), beyond = ask_fork(b, "p/g", "p/a", 8);
    expect_silence(b);
    fake_s3_release(&b->s3);
    struct wire_stream m = stream_answer(b);
    assert_int_equal(m.error, ERR_NONE);
    assert_true(m.id == id || m.id == beyond);
    assert_int_equal(stream_answer(b).error, ERR_NONE);
    expect_data(b, ask(b, "p/f", 0, 100), "eig");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reading_waits_and_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_look_fetches_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_with_bytes_does_not_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fetch_that_fails_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_segment_is_another_error, setup, teardown),
        cmocka_unit_test_setup_teardown(the_stream_may_end_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(the_router_may_be_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(the_shard_may_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(the_shard_may_end, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_do_not_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fork_waits_for_its_source, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
