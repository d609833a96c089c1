/* Readings that need a segment from the object store: suspended, resumed, refused, dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/shard_stand.h"

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
    create(b, "p/a", "eight by");
    append_some(b, "p/a", 5);
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
    let_fetches_end(b);
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
    let_fetches_end(b);
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
