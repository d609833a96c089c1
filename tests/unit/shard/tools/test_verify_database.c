/* Verify finds what does not fit in a database: gaps, sums, streams that are not there, the journal's order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/layout.h"
#include "common/mem.h"
#include "shard/store/journal.h"
#include "shard/store/store_chunk.h"
#include "shard/store/store_fanout.h"
#include "shard/store/store_fork.h"
#include "shard/store/store_stream.h"
#include "shard/store/store_uid.h"
#include "shard/tools/verify_context.h"
#include "shard/tools/verify_cross_checks.h"
#include "shard/tools/verify_database.h"

struct bench {
    char dir[64];
    struct store *store;
    uint64_t uid;
};

/* A stream of two chunks, and an append in the journal. */
static int setup(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    strcpy(b->dir, "/tmp/streamd-unit-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    b->store = store_open(b->dir, 0, 1 << 20);
    b->uid = store_next_uid(b->store, layout_slot_of_whole(SLICE("p/a")), 0);
    store_begin(b->store);
    store_stream_insert(b->store, &(struct stream_row){.uid = b->uid,
                                                       .name = SLICE("p/a"),
                                                       .content_type = SLICE("text/plain"),
                                                       .flushed = 5,
                                                       .bytes = 5,
                                                       .chunk_bytes = 5,
                                                       .chunk_messages = 2,
                                                       .ttl_s = STORE_NONE,
                                                       .expires_ms = STORE_NONE,
                                                       .source_uid = STORE_NONE,
                                                       .retain_ms = STORE_NONE});
    store_chunk_insert(b->store, b->uid, &(struct extent){.start = 0, .count = 3, .data = SLICE("abc")});
    store_chunk_insert(b->store, b->uid, &(struct extent){.start = 3, .count = 2, .data = SLICE("de")});
    journal_append(b->store,
                   &(struct journal_entry){.uid = b->uid, .start = 5, .count = 1, .time_ms = 1, .data = SLICE("f")});
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char command[128];
    store_close(b->store);
    snprintf(command, sizeof command, "rm -r %s", b->dir);
    free(b);
    return system(command);
}

/* How many problems there are; their lines are not looked at. */
static uint64_t problems(struct bench *b)
{
    struct verify *v = xcalloc(1, sizeof *v);
    store_commit(b->store);
    config_init(&v->cfg);
    free(v->cfg.server_data_dir);
    v->cfg.server_data_dir = xstrdup(b->dir);
    layout_init(&v->layout, 1);
    fflush(stdout);
    int out = dup(STDOUT_FILENO), nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    verify_shard(v, 0);
    if (v->looks[0]) {
        verify_cross_checks(v);
        store_look_close(v->looks[0]);
    }
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    close(out);
    close(nowhere);
    uint64_t count = v->problems;
    config_clear(&v->cfg);
    free(v);
    return count;
}

static void a_sound_database_has_no_problem(void **state)
{
    assert_int_equal(problems(*state), 0);
}

static void a_gap_between_chunks_is_found(void **state)
{
    struct bench *b = *state;
    struct extent extent;
    int64_t row;
    assert_true(store_chunk_last(b->store, b->uid, 100, &row, &extent));
    store_chunk_delete(b->store, row);
    store_chunk_insert(b->store, b->uid, &(struct extent){.start = 4, .count = 1, .data = SLICE("e")});
    assert_int_equal(problems(b), 1); /* sums mean nothing then */
}

static void a_missing_end_is_found(void **state)
{
    struct bench *b = *state;
    struct extent extent;
    int64_t row;
    assert_true(store_chunk_last(b->store, b->uid, 100, &row, &extent));
    store_chunk_delete(b->store, row);
    assert_int_equal(problems(b), 1);
}

static void sums_are_compared(void **state)
{
    struct bench *b = *state;
    struct stream_row row;
    assert_true(store_stream_by_uid(b->store, b->uid, &row));
    row.chunk_bytes = row.bytes = 6;
    store_stream_update(b->store, &row);
    assert_int_equal(problems(b), 1); /* the project's sum follows by itself */
}

static void rows_of_streams_that_are_not_there_are_found(void **state)
{
    struct bench *b = *state;
    store_chunk_insert(b->store, b->uid + 1, &(struct extent){.count = 1, .data = SLICE("x")});
    journal_append(b->store, &(struct journal_entry){.uid = b->uid + 2, .count = 1, .time_ms = 1, .data = SLICE("x")});
    store_pin_insert(b->store, b->uid + 3, 1, SLICE("p/f"), 1);
    assert_int_equal(problems(b), 3);
}

static void the_journal_goes_on_where_the_stream_ends(void **state)
{
    struct bench *b = *state;
    journal_append(b->store,
                   &(struct journal_entry){.uid = b->uid, .start = 8, .count = 1, .time_ms = 1, .data = SLICE("x")});
    assert_int_equal(problems(b), 1);
    store_begin(b->store);
    journal_append(b->store, &(struct journal_entry){.uid = b->uid, .time_ms = 2, .flags = ENTRY_DELETES});
    assert_int_equal(problems(b), 1); /* it is deleted after that, and what it was stays a problem */
}

static void a_dead_entry_says_nothing(void **state)
{
    struct bench *b = *state;
    journal_append(b->store,
                   &(struct journal_entry){.uid = b->uid, .start = 2, .count = 1, .time_ms = 1, .data = SLICE("x")});
    assert_int_equal(problems(b), 0);
}

/* A subscription needs its source's feed, and an estuary that is there. */
static void a_subscription_needs_its_feed(void **state)
{
    struct bench *b = *state;
    struct stream_row row;
    assert_true(store_stream_by_uid(b->store, b->uid, &row));
    row.kind = STREAM_KIND_ESTUARY;
    store_stream_set_kind(b->store, &row);
    store_source_put(b->store, &(struct source_row){.source_uid = b->uid, .feed = 1, .name = SLICE("p/a")});
    store_subscription_put(b->store, &(struct subscription_row){
                                         .source_uid = b->uid, .estuary_uid = b->uid, .from = 0, .until = STORE_NONE});
    assert_int_equal(problems(b), 1);
    store_begin(b->store);
    store_feed_put(b->store, &(struct feed_row){.source_uid = b->uid, .feed = 1, .subscribers = 1});
    assert_int_equal(problems(b), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sound_database_has_no_problem),
        TEST(a_gap_between_chunks_is_found),
        TEST(a_missing_end_is_found),
        TEST(sums_are_compared),
        TEST(rows_of_streams_that_are_not_there_are_found),
        TEST(the_journal_goes_on_where_the_stream_ends),
        TEST(a_dead_entry_says_nothing),
        TEST(a_subscription_needs_its_feed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
