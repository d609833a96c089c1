/* How streams end: at once, softly, by time, and with the last that held them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/handlers/delete.h"
#include "shard/store/store_fork.h"
#include "tests/unit/shard/handlers/bench.h"

static void pin(struct bench *b, uint64_t source_uid, uint64_t number)
{
    store_begin(b->shard->store);
    store_pin_insert(b->shard->store, source_uid, number, SLICE("p/fork"), 1);
}

static enum error request(struct bench *b, const char *name)
{
    static uint64_t id;
    id++;
    on_delete(b->shard, bench_asker(id), &(struct wire_delete){.id = id, .name = slice_str(name)});
    return bench_answered(b, id);
}

static enum error look(struct bench *b, const char *name)
{
    enum error error = ERR_NONE;
    (void)streams_live(&b->shard->streams, slice_str(name), b->shard->now_ms, &error);
    return error;
}

static bool there(struct bench *b, uint64_t uid)
{
    return streams_by_uid(&b->shard->streams, uid) != NULL;
}

static void test_a_stream_that_nothing_holds_goes_at_once(void **state)
{
    struct bench *b = *state;
    bench_stream(b, 1, "p/one", STORE_NONE, STORE_NONE);
    assert_int_equal(request(b, "p/one"), ERR_NONE);
    assert_int_equal(look(b, "p/one"), ERR_STREAM_NOT_FOUND);
    assert_false(there(b, 1));
    assert_int_equal(request(b, "p/one"), ERR_STREAM_NOT_FOUND);
}

static void test_a_pinned_stream_goes_with_its_last_pin(void **state)
{
    struct bench *b = *state;
    bench_stream(b, 1, "p/one", STORE_NONE, STORE_NONE);
    pin(b, 1, 7);
    pin(b, 1, 8);
    assert_int_equal(request(b, "p/one"), ERR_NONE);
    assert_int_equal(look(b, "p/one"), ERR_STREAM_GONE);
    on_unpin(b->shard, 0, &(struct wire_unpin){.source_uid = 1, .pin = 7});
    delete_turn(b->shard);
    assert_true(there(b, 1));
    on_unpin(b->shard, 0, &(struct wire_unpin){.source_uid = 1, .pin = 8});
    assert_true(there(b, 1)); /* until the end of the turn */
    delete_turn(b->shard);
    assert_false(there(b, 1));
    assert_int_equal(look(b, "p/one"), ERR_STREAM_NOT_FOUND);
}

static void test_an_expired_stream_ends_in_the_turn_that_finds_it(void **state)
{
    struct bench *b = *state;
    bench_stream(b, 1, "p/one", 1000, STORE_NONE);
    assert_int_equal(look(b, "p/one"), ERR_STREAM_NOT_FOUND);
    assert_true(there(b, 1));
    delete_turn(b->shard);
    assert_false(there(b, 1));
}

static void test_an_expired_stream_that_is_pinned_is_soft_deleted(void **state)
{
    struct bench *b = *state;
    struct stream *one = bench_stream(b, 1, "p/one", 1000, STORE_NONE);
    pin(b, 1, 7);
    assert_int_equal(look(b, "p/one"), ERR_STREAM_GONE);
    delete_turn(b->shard);
    assert_int_equal(one->row.state, STREAM_SOFT_DELETED);
    assert_int_equal(look(b, "p/one"), ERR_STREAM_GONE);
}

/* What was released is ended in the transaction of the release, whatever the disk says: later nobody would look. */
static void test_a_stuck_disk_keeps_what_is_expired_only(void **state)
{
    struct bench *b = *state;
    bench_stream(b, 1, "p/expired", 1000, STORE_NONE);
    bench_stream(b, 2, "p/released", STORE_NONE, STORE_NONE);
    pin(b, 2, 7);
    assert_int_equal(request(b, "p/released"), ERR_NONE);
    on_unpin(b->shard, 0, &(struct wire_unpin){.source_uid = 2, .pin = 7});
    assert_int_equal(look(b, "p/expired"), ERR_STREAM_NOT_FOUND);
    b->shard->disk.stuck = true;
    delete_turn(b->shard);
    assert_true(there(b, 1));
    assert_false(there(b, 2));
    assert_int_equal(request(b, "p/expired"), ERR_STREAM_NOT_FOUND);
    b->shard->disk.stuck = false;
    delete_turn(b->shard);
    assert_false(there(b, 1));
}

static void test_a_name_is_free_for_a_new_stream(void **state)
{
    struct bench *b = *state;
    bench_stream(b, 1, "p/one", 1000, STORE_NONE);
    assert_int_equal(look(b, "p/one"), ERR_STREAM_NOT_FOUND);
    delete_expired(b->shard, SLICE("p/one"));
    struct stream *again = bench_stream(b, 2, "p/one", STORE_NONE, STORE_NONE);
    delete_turn(b->shard);
    assert_ptr_equal(streams_peek(&b->shard->streams, SLICE("p/one")), again);
}

static void test_a_fork_releases_its_source(void **state)
{
    struct bench *b = *state;
    struct wire_unpin m;
    struct slice frames, body;
    bench_stream(b, 2, "p/fork", STORE_NONE, 1);
    assert_int_equal(request(b, "p/fork"), ERR_NONE);
    frames = buf_slice(&b->shard->peers.self);
    assert_true(wire_take(&frames, WIRE_UNPIN, &body) && wire_get_unpin(body, &m));
    assert_true(m.fork_uid == 2 && m.source_uid == 1 && m.pin == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_a_stream_that_nothing_holds_goes_at_once),
        BENCH_TEST(test_a_pinned_stream_goes_with_its_last_pin),
        BENCH_TEST(test_an_expired_stream_ends_in_the_turn_that_finds_it),
        BENCH_TEST(test_an_expired_stream_that_is_pinned_is_soft_deleted),
        BENCH_TEST(test_a_stuck_disk_keeps_what_is_expired_only),
        BENCH_TEST(test_a_name_is_free_for_a_new_stream),
        BENCH_TEST(test_a_fork_releases_its_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
