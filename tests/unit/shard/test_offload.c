/* History on its way out of the database: put, merged, dropped by retention, removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/store/store_orphan.h"
#include "shard/tiering/retain.h"
#include "tests/unit/shard_stand.h"

static unsigned orphans(struct bench *b)
{
    return (unsigned)store_orphan_count(b->shard->store, 1000);
}

static const struct stream_row *row_of(struct bench *b, const char *name)
{
    return &streams_by_name(&b->shard->streams, slice_str(name))->row;
}

static uint64_t segments_of(struct bench *b, const char *name)
{
    uint64_t size;
    return store_segments_count(b->shard->store, row_of(b, name)->uid, 1000, &size);
}

/* Until no file is an orphan. */
static void sweep(struct bench *b)
{
    for (int i = 0; i < SOON / 20 && orphans(b); i++)
        rest(b);
    assert_int_equal(orphans(b), 0);
}

/* A message is a segment: a stream with a retention has others of at least some KiB. */
static void create_keeping(struct bench *b, const char *name, uint64_t bytes)
{
    b->cfg.segment_max_messages = 1;
    struct wire_create m = {.id = ++b->id,
                            .name = slice_str(name),
                            .content_type = SLICE("text/plain"),
                            .data = SLICE("eight by"),
                            .retention_bytes = bytes};
    wire_put_create(&b->router.out, &m);
    assert_int_equal(stream_answer(b).error, ERR_NONE);
}

static void a_store_that_fails_is_tried_again(void **state)
{
    struct bench *b = *state;
    b->s3.put_status = 403;
    create(b, "p/a", "eight by");
    for (int i = 0; i < SOON / 20 && !b->shard->offloads.pause_ms; i++)
        rest(b);
    assert_int_not_equal(b->shard->offloads.pause_ms, 0);
    assert_int_equal(row_of(b, "p/a")->offloaded, 0);
    assert_int_equal(b->shard->offloads.count, 0); /* none begins in the pause */
    expect_data(b, ask(b, "p/a", 0, 100), "eight by");
    b->s3.put_status = 0;
    b->shard->offloads.paused_until_ms = 0;
    cool(b, "p/a");
    sweep(b); /* the name of the first try */
    assert_int_equal(b->shard->offloads.pause_ms, 0);
    assert_int_equal(fake_s3_segments(&b->s3), 1);
}

static void small_segments_become_one(void **state)
{
    struct bench *b = *state;
    char expected[200] = "eight by";
    b->cfg.segment_max_bytes = 1000;
    b->cfg.segment_max_messages = 1;
    create(b, "p/a", "eight by");
    append_some(b, "p/a", 9);
    for (unsigned i = 0; i < 9; i++)
        sprintf(expected + strlen(expected), "append%u.", i);
    for (int i = 0; i < SOON / 20 && (row_of(b, "p/a")->offloaded < 80 || segments_of(b, "p/a") > 2); i++)
        rest(b);
    assert_int_equal(row_of(b, "p/a")->offloaded, 80);
    assert_in_range(segments_of(b, "p/a"), 1, 2);
    sweep(b);
    assert_int_equal(fake_s3_segments(&b->s3), segments_of(b, "p/a"));
    uint64_t id = ask(b, "p/a", 0, 1000);
    expect_parked(b, id);
    struct wire_stream m = stream_answer(b);
    assert_int_equal(m.id, id);
    assert_true(m.data.len > 8 && slice_begins(slice_str(expected), m.data));
}

static void retention_drops_whole_segments(void **state)
{
    struct bench *b = *state;
    create_keeping(b, "p/a", 16);
    append_some(b, "p/a", 5);
    cool(b, "p/a");
    for (int i = 0; i < SOON / 20 && row_of(b, "p/a")->earliest != 32; i++)
        rest(b);
    assert_int_equal(row_of(b, "p/a")->earliest, 32);
    assert_int_equal(segments_of(b, "p/a"), 2);
    sweep(b);
    assert_int_equal(fake_s3_segments(&b->s3), 2);
    expect_error(b, ask(b, "p/a", 0, 100), ERR_OFFSET_GONE);
}

static void a_fork_holds_what_it_has(void **state)
{
    struct bench *b = *state;
    create_keeping(b, "p/a", 16);
    ask_fork(b, "p/f", "p/a", 0);
    assert_int_equal(stream_answer(b).error, ERR_NONE);
    append_some(b, "p/a", 5);
    cool(b, "p/a");
    for (int i = 0; i < 10; i++)
        rest(b);
    assert_int_equal(row_of(b, "p/a")->earliest, 0);
    delete_it(b, "p/f");
    for (int i = 0; i < SOON / 20 && row_of(b, "p/a")->earliest != 32; i++) {
        store_begin(b->shard->store);
        retain_stream(b->shard, streams_by_name(&b->shard->streams, SLICE("p/a")));
        rest(b);
    }
    assert_int_equal(row_of(b, "p/a")->earliest, 32);
}

static void a_stream_takes_its_files_along(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "eight by");
    append_some(b, "p/a", 3);
    cool(b, "p/a");
    assert_int_equal(fake_s3_segments(&b->s3), 4);
    delete_it(b, "p/a");
    for (int i = 0; i < SOON / 20 && fake_s3_segments(&b->s3); i++)
        rest(b);
    assert_int_equal(fake_s3_segments(&b->s3), 0);
    sweep(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_store_that_fails_is_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(small_segments_become_one, setup, teardown),
        cmocka_unit_test_setup_teardown(retention_drops_whole_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fork_holds_what_it_has, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_takes_its_files_along, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
