/* Streams in memory: found, expired, released, evicted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/config.h"
#include "shard/store/store_fork.h"
#include "shard/store/store_stream.h"
#include "shard/streams/streams.h"
#include "tests/unit/shard/store/database.h"

struct bench {
    struct database *database;
    struct config cfg;
    struct streams streams;
};

static int setup(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    void *database;
    if (database_setup(&database) != 0)
        return -1;
    b->database = database;
    streams_init(&b->streams, b->database->store, &b->cfg);
    feeds_init(&b->streams.feeds, 1);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    void *database = b->database;
    b->streams.segments = (struct segments){0};
    while (streams_newest(&b->streams))
        streams_deleting(&b->streams, (struct stream *)streams_newest(&b->streams));
    table_clear(&b->streams.by_name);
    table_clear(&b->streams.by_uid);
    buf_clear(&b->streams.touched);
    buf_clear(&b->streams.may_end);
    usages_clear(&b->streams.usages);
    free(b);
    return database_teardown(&database);
}

/* expires_ms: STORE_NONE for never. */
static struct stream *add(struct bench *b, uint64_t uid, const char *name, uint64_t expires_ms)
{
    const struct stream_row row = {
        .uid = uid,
        .name = slice_str(name),
        .content_type = SLICE("text/plain"),
        .ttl_s = STORE_NONE,
        .expires_ms = expires_ms,
        .source_uid = STORE_NONE,
        .retain_ms = STORE_NONE,
    };
    store_begin(b->database->store);
    store_stream_insert(b->database->store, &row);
    assert_true(store_commit(b->database->store));
    return streams_add_new(&b->streams, &row);
}

static struct stream *live(struct bench *b, const char *name, uint64_t now_ms, enum error *error)
{
    *error = ERR_NONE;
    return streams_live(&b->streams, slice_str(name), now_ms, error);
}

static void test_a_stream_is_found_by_name_and_uid(void **state)
{
    struct bench *b = *state;
    enum error error;
    struct stream *one = add(b, 1, "p/one", STORE_NONE);
    assert_ptr_equal(live(b, "p/one", 5, &error), one);
    assert_ptr_equal(streams_by_uid(&b->streams, 1), one);
    assert_null(live(b, "p/two", 5, &error));
    assert_int_equal(error, ERR_STREAM_NOT_FOUND);
    assert_int_equal(streams_count(&b->streams), 1);
}

static void test_a_lookup_lists_what_is_expired_and_deletes_nothing(void **state)
{
    struct bench *b = *state;
    enum error error;
    struct stream *one = add(b, 1, "p/one", 100);
    assert_ptr_equal(live(b, "p/one", 99, &error), one);
    assert_int_equal(buf_len(&b->streams.may_end), 0);
    for (int i = 0; i < 2; i++) {
        assert_null(live(b, "p/one", 100, &error));
        assert_int_equal(error, ERR_STREAM_NOT_FOUND);
    }
    assert_int_equal(buf_len(&b->streams.may_end), sizeof(uint64_t)); /* once */
    assert_ptr_equal(streams_peek(&b->streams, SLICE("p/one")), one);
}

static void test_an_expired_stream_that_forks_hold_is_gone(void **state)
{
    struct bench *b = *state;
    enum error error;
    add(b, 1, "p/one", 100);
    store_begin(b->database->store);
    store_pin_insert(b->database->store, 1, 7, SLICE("p/fork"), 50);
    assert_true(store_commit(b->database->store));
    assert_null(live(b, "p/one", 100, &error));
    assert_int_equal(error, ERR_STREAM_GONE);
}

static void test_a_watched_stream_does_not_expire(void **state)
{
    struct bench *b = *state;
    enum error error;
    struct stream *one = add(b, 1, "p/one", 100);
    one->watcher_count = 1;
    assert_ptr_equal(live(b, "p/one", 100, &error), one);
    one->watcher_count = 0;
}

static void test_only_a_soft_deleted_stream_may_end_when_released(void **state)
{
    struct bench *b = *state;
    enum error error;
    struct stream *one = add(b, 1, "p/one", STORE_NONE);
    streams_released(&b->streams, one);
    assert_int_equal(buf_len(&b->streams.may_end), 0);
    stream_soft_deleted(&b->streams, one);
    streams_released(&b->streams, one);
    assert_int_equal(buf_len(&b->streams.may_end), sizeof(uint64_t));
    assert_null(live(b, "p/one", 5, &error));
    assert_int_equal(error, ERR_STREAM_GONE);
}

static void test_the_longest_unused_leaves_first(void **state)
{
    struct bench *b = *state;
    enum error error;
    add(b, 1, "p/one", STORE_NONE);
    add(b, 2, "p/two", STORE_NONE);
    add(b, 3, "p/three", STORE_NONE);
    assert_non_null(live(b, "p/one", 5, &error));
    assert_int_equal(streams_evict(&b->streams, 2), 1);
    assert_null(streams_peek(&b->streams, SLICE("p/two")));
    assert_non_null(live(b, "p/two", 5, &error)); /* from the store */
    assert_int_equal(streams_count(&b->streams), 3);
}

static void test_a_touched_stream_stays_until_that_is_written_down(void **state)
{
    struct bench *b = *state;
    struct stream *one = add(b, 1, "p/one", STORE_NONE);
    one->row.ttl_s = 60;
    stream_touch(&b->streams, one, 5);
    stream_touch(&b->streams, one, 6);
    assert_int_equal(streams_evict(&b->streams, 0), 0);
    assert_ptr_equal(streams_next_touched(&b->streams), one);
    assert_null(streams_next_touched(&b->streams));
    assert_int_equal(streams_evict(&b->streams, 0), 1);
}

static void test_a_touched_stream_may_be_deleted(void **state)
{
    struct bench *b = *state;
    struct stream *one = add(b, 1, "p/one", STORE_NONE);
    one->row.ttl_s = 60;
    stream_touch(&b->streams, one, 5);
    streams_deleting(&b->streams, one);
    assert_int_equal(buf_len(&b->streams.touched), sizeof(uint64_t));
    store_begin(b->database->store);
    store_stream_set_deleting(b->database->store, 1);
    assert_true(store_commit(b->database->store));
    assert_null(streams_next_touched(&b->streams));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_stream_is_found_by_name_and_uid, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lookup_lists_what_is_expired_and_deletes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_expired_stream_that_forks_hold_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_watched_stream_does_not_expire, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_a_soft_deleted_stream_may_end_when_released, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_longest_unused_leaves_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_touched_stream_stays_until_that_is_written_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_touched_stream_may_be_deleted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
