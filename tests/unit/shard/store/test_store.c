/* The subjects of the catalogue: rows go in and come out, sums stay right, transactions are whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/layout.h"
#include "common/lives.h"
#include "shard/store/commit.h"
#include "shard/store/journal.h"
#include "shard/store/store_backup.h"
#include "shard/store/store_chunk.h"
#include "shard/store/store_fanout.h"
#include "shard/store/store_fork.h"
#include "shard/store/store_orphan.h"
#include "shard/store/store_producer.h"
#include "shard/store/store_stream.h"
#include "shard/store/store_uid.h"
#include "shard/store/store_upkeep.h"
#include "shard/store/store_usage.h"
#include "tests/unit/shard/store/database.h"

static struct stream_row row_of(uint64_t uid, const char *name)
{
    return (struct stream_row){
        .uid = uid,
        .name = slice_str(name),
        .content_type = SLICE("text/plain"),
        .ttl_s = STORE_NONE,
        .expires_ms = STORE_NONE,
        .source_uid = STORE_NONE,
        .retain_ms = STORE_NONE,
    };
}

static void insert(struct database *d, uint64_t uid, const char *name, uint64_t bytes)
{
    struct stream_row row = row_of(uid, name);
    row.bytes = bytes;
    store_begin(d->store);
    store_stream_insert(d->store, &row);
}

/* ---- transactions and numbers ---- */

static void a_commit_is_whole_or_not_at_all(void **state)
{
    struct database *d = *state;
    struct stream_row row;
    assert_false(store_commit(d->store)); /* nothing was begun */
    assert_int_equal(store_commits(d->store)->sealed, 0);
    assert_int_equal(store_visible(d->store), 0);
    insert(d, 1, "p/a", 0);
    assert_int_equal(store_visible(d->store), 1);
    assert_true(store_commit(d->store));
    assert_int_equal(store_commits(d->store)->durable, 1);
    assert_int_equal(store_visible(d->store), 1);
    insert(d, 2, "p/b", 0);
    database_reopen(d);
    assert_true(store_stream_by_name(d->store, SLICE("p/a"), &row));
    assert_false(store_stream_by_name(d->store, SLICE("p/b"), &row));
}

/* Numbers are written down late: the journal says what was given, or the row that is inserted. */
static void uids_are_never_given_twice(void **state)
{
    struct database *d = *state;
    uint64_t first = store_next_uid(d->store, 3, 0), second = store_next_uid(d->store, 3, 0);
    assert_int_equal(layout_slot_of_uid(first), 3);
    assert_int_equal(second, first + 1);
    insert(d, second, "p/a", 0);
    store_commit(d->store);
    database_reopen(d);
    assert_int_equal(store_next_uid(d->store, 3, 0), second + 1);

    struct journal_entry entry = {.uid = second + 9, .time_ms = 1, .flags = ENTRY_CREATES};
    store_begin(d->store);
    journal_append(d->store, &entry);
    store_commit(d->store);
    database_reopen(d);
    store_uid_given(d->store, entry.uid); /* as recovery says */
    store_begin(d->store);
    assert_false(journal_drop(d->store, 1, 1));
    store_commit(d->store); /* the proof goes, the number is written */
    database_reopen(d);
    assert_int_equal(store_next_uid(d->store, 3, 0), second + 10);
}

/* A serial number is a life: the time, unless the slot has given that or a later one. */
static void a_uid_tells_a_life(void **state)
{
    struct database *d = *state;
    uint64_t now = 1764373190123;
    uint64_t first = store_next_uid(d->store, 7, now), again = store_next_uid(d->store, 7, now),
             back = store_next_uid(d->store, 7, now - 86400000), other = store_next_uid(d->store, 8, now - 1),
             wrong = store_next_uid(d->store, 8, layout_serial_at(UINT64_MAX)),
             none = store_next_uid(d->store, 9, layout_serial_at(5));
    assert_int_equal(layout_slot_of_uid(first), 7);
    assert_int_equal(layout_life_of_uid(first), now * LAYOUT_SLOTS + 7);
    assert_int_equal(layout_uid_of_life(layout_life_of_uid(first)), first);
    assert_int_equal(again, first + 1);
    assert_int_equal(back, first + 2); /* the clock went back */
    assert_int_equal(layout_life_of_uid(other), (now - 1) * LAYOUT_SLOTS + 8);
    assert_int_equal(wrong, other + 1); /* no clock is there */
    assert_int_equal(layout_life_of_uid(none), (uint64_t)LAYOUT_SERIAL_FIRST * LAYOUT_SLOTS + 9);
    assert_int_equal(layout_life_of_uid(((uint64_t)7 << LAYOUT_UID_BITS) + 12), 0); /* counted by an older streamd */
    /* streams of the same moment in two slots have two lives: one may become an ancestor of a stream in the other */
    assert_int_not_equal(layout_life_of_uid(store_next_uid(d->store, 10, now)),
                         layout_life_of_uid(store_next_uid(d->store, 11, now)));
    /* a fork's source has such a number, and the fork's must be later */
    uint64_t late = LAYOUT_SERIAL_LAST + 9;
    assert_int_equal(layout_serial_of_life(layout_life_of_uid(store_next_uid(d->store, 8, late))), late);
    assert_true(layout_life_of_uid(((uint64_t)1023 << LAYOUT_UID_BITS) + late) <= OFFSET_MAX);
}

/* A restored stream gets a life without a uid; no stream that follows has it too. */
static void a_life_of_a_restore_counts_as_given(void **state)
{
    struct database *d = *state;
    char room[LIVES_ONE];
    store_begin(d->store);
    uint64_t uid = store_next_uid(d->store, 7, 1764373190123);
    store_stream_set_lives(d->store,
                           &(struct stream_row){.uid = uid, .lives = lives_one(layout_life_of_uid(uid + 1), room)});
    store_commit(d->store);
    database_reopen(d);
    store_begin(d->store);
    assert_int_equal(store_next_uid(d->store, 7, 1764373190124), uid + 2);
}

/* ---- streams ---- */

static void rows_come_back_as_they_were(void **state)
{
    struct database *d = *state;
    struct stream_row row = row_of(7, "p/a"), back;
    row.closed = true;
    row.closer = SLICE("producer");
    row.has_stream_seq = true;
    row.stream_seq = SLICE("\0\xff");
    row.ttl_s = 60;
    row.accessed_ms = 1000;
    row.pin = UINT64_MAX - 5; /* 64 random bits */
    memset(row.reader_key, 'f', sizeof row.reader_key);
    store_begin(d->store);
    store_stream_insert(d->store, &row);
    assert_true(store_stream_by_uid(d->store, 7, &back));
    assert_true(slice_equal(back.name, row.name) && slice_equal(back.stream_seq, row.stream_seq));
    assert_true(back.closed && back.has_stream_seq && !back.is_public);
    assert_int_equal(back.pin, row.pin);
    assert_int_equal(back.expires_ms, STORE_NONE);
    assert_int_equal(stream_row_deadline(&back), 61000);
    assert_memory_equal(back.reader_key, row.reader_key, sizeof row.reader_key);
}

static bool stop_after_two(void *ctx, const struct stream_row *row)
{
    unsigned *seen = ctx;
    assert_int_equal(row->uid, *seen + 2); /* p/b, p/c */
    return ++*seen < 2;
}

static void streams_are_visited_by_name(void **state)
{
    struct database *d = *state;
    unsigned seen = 0;
    insert(d, 3, "p/c", 0);
    insert(d, 1, "p/a", 0);
    insert(d, 2, "p/b", 0);
    insert(d, 4, "p/d", 0);
    store_streams_from(d->store, SLICE("p/b"), stop_after_two, &seen);
    assert_int_equal(seen, 2);
}

static void expect_usage(struct database *d, const char *project, uint64_t streams, uint64_t bytes)
{
    uint64_t is_streams, is_bytes;
    store_usage(d->store, slice_str(project), &is_streams, &is_bytes);
    assert_int_equal(is_streams, streams);
    assert_int_equal(is_bytes, bytes);
}

static void projects_are_summed_up(void **state)
{
    struct database *d = *state;
    struct stream_row row;
    uint64_t streams, bytes;
    insert(d, 1, "p/a", 10);
    insert(d, 2, "p/b", 5);
    insert(d, 3, "q/a", 1);
    expect_usage(d, "p", 2, 15);
    assert_true(store_stream_by_uid(d->store, 1, &row));
    row.bytes = 30;
    store_stream_update(d->store, &row);
    expect_usage(d, "p", 2, 35);
    store_stream_soft_delete(d->store, 1); /* its bytes are held, it is no stream */
    expect_usage(d, "p", 1, 35);
    store_stream_set_deleting(d->store, 1);
    expect_usage(d, "p", 1, 5);
    store_usage_all(d->store, &streams, &bytes);
    assert_int_equal(streams, 2);
    assert_int_equal(bytes, 6);
}

static void time_makes_streams_expire(void **state)
{
    struct database *d = *state;
    struct stream_row row = row_of(1, "p/a");
    uint64_t uids[4];
    row.ttl_s = 1;
    row.accessed_ms = 5000;
    store_begin(d->store);
    store_stream_insert(d->store, &row);
    assert_int_equal(store_expired(d->store, 5999, uids, 4), 0);
    assert_int_equal(store_expired(d->store, 6000, uids, 4), 1);
    assert_int_equal(uids[0], 1);
    row.accessed_ms = 9000;
    store_stream_touch(d->store, &row);
    assert_int_equal(store_expired(d->store, 6000, uids, 4), 0);
}

/* Everything that a deleted stream had goes, slice by slice, and its segments' files become orphans. */
static void deleted_streams_leave_nothing(void **state)
{
    struct database *d = *state;
    struct stream_row row;
    struct extent extent;
    uint64_t epoch, seq;
    insert(d, 1, "p/a", 0);
    store_chunk_insert(d->store, 1, &(struct extent){.count = 1, .data = SLICE("x")});
    store_producer_put(d->store, 1, SLICE("p"), 2, 3);
    store_segment_insert(d->store, &(struct segment_row){.object = {1, 0, 77}, .end = 5});
    assert_true(store_producer(d->store, 1, SLICE("p"), &epoch, &seq));
    assert_false(store_deleting_any(d->store));
    store_stream_set_deleting(d->store, 1);
    unsigned slices = 0;
    for (; store_deleting_any(d->store); slices++)
        store_deleting_slice(d->store);
    assert_in_range(slices, 1, 10);
    assert_false(store_stream_by_uid(d->store, 1, &row));
    assert_false(store_chunk_at(d->store, 1, 0, &extent));
    assert_false(store_producer(d->store, 1, SLICE("p"), &epoch, &seq));
    assert_int_equal(store_orphan_count(d->store, 10), 1);
}

/* ---- segments, orphans, backups ---- */

static void count_orphan(void *ctx, const struct object *object, const struct orphan_place *place)
{
    unsigned *count = ctx;
    assert_int_equal(object->id, place->object.id);
    ++*count;
}

static void segments_are_found_and_become_orphans(void **state)
{
    struct database *d = *state;
    struct segment_row row;
    uint64_t size;
    unsigned count = 0;
    store_begin(d->store);
    for (uint64_t i = 0; i < 3; i++)
        store_segment_insert(d->store, &(struct segment_row){.object = {1, i * 10, UINT64_MAX - i},
                                                             .end = i * 10 + 10,
                                                             .size = 100,
                                                             .checksum = UINT64_MAX});
    assert_true(store_segment(d->store, 1, 15, &row));
    assert_int_equal(row.object.start, 10);
    assert_int_equal(row.object.id, UINT64_MAX - 1);
    assert_int_equal(row.checksum, UINT64_MAX);
    assert_int_equal(store_segments_count(d->store, 1, 2, &size), 2);
    assert_int_equal(size, 200);
    store_segments_orphan(d->store, 1, 0, 20);
    assert_true(store_segment_oldest(d->store, 1, &row));
    assert_int_equal(row.object.start, 20);
    assert_int_equal(store_orphans(d->store, &(struct orphan_place){0}, 10, count_orphan, &count), 2);
    assert_int_equal(count, 2);
}

/* A file that a backup may refer to is no orphan to be removed before the backup is gone. */
static void a_backup_holds_orphans(void **state)
{
    struct database *d = *state;
    unsigned count = 0;
    struct backup_file_row file;
    store_begin(d->store);
    store_segment_insert(d->store, &(struct segment_row){.object = {1, 0, 5}, .end = 10});
    store_backup_put(d->store, &(struct backup_file_row){.id = 100});
    store_segments_orphan(d->store, 1, 0, STORE_NONE);
    assert_int_equal(store_orphans(d->store, &(struct orphan_place){0}, 10, count_orphan, &count), 0);
    store_backups_gone(d->store, 0, 101);
    assert_true(store_backup_gone(d->store, &file));
    assert_int_equal(file.id, 100);
    assert_int_equal(store_orphans(d->store, &(struct orphan_place){0}, 10, count_orphan, &count), 1);
}

/* ---- forks, fan-out ---- */

static void count_pin(void *ctx, uint64_t source_uid, uint64_t pin, struct slice fork)
{
    unsigned *count = ctx;
    assert_int_equal(source_uid, 1);
    assert_int_equal(pin, UINT64_MAX - 1);
    assert_true(slice_equal(fork, SLICE("p/f")));
    ++*count;
}

static void pins_hold_until_they_are_deleted(void **state)
{
    struct database *d = *state;
    unsigned count = 0;
    store_begin(d->store);
    store_pin_insert(d->store, 1, UINT64_MAX - 1, SLICE("p/f"), 1000);
    assert_true(store_pinned(d->store, 1));
    store_pins_unconfirmed(d->store, 900, 1100, 10, count_pin, &count); /* made just now */
    assert_int_equal(count, 0);
    store_pins_unconfirmed(d->store, 1001, 1100, 10, count_pin, &count);
    assert_int_equal(count, 1);
    store_pin_confirm(d->store, 1, UINT64_MAX - 1);
    store_pins_unconfirmed(d->store, 1001, 1100, 10, count_pin, &count);
    assert_int_equal(count, 1);
    store_pin_delete(d->store, 1, UINT64_MAX - 1);
    assert_false(store_pinned(d->store, 1));
}

static void subscriptions_that_are_not_in_force_go_at_the_start(void **state)
{
    struct database *d = *state;
    struct subscription_row row;
    struct source_row source;
    store_begin(d->store);
    store_source_put(d->store, &(struct source_row){.source_uid = 1, .feed = UINT64_MAX, .name = SLICE("p/a")});
    store_source_put(d->store, &(struct source_row){.source_uid = 2, .feed = 5, .name = SLICE("p/b")});
    store_subscription_put(
        d->store, &(struct subscription_row){.source_uid = 1, .estuary_uid = 9, .from = 4, .until = STORE_NONE});
    store_subscription_put(d->store, &(struct subscription_row){
                                         .source_uid = 2, .estuary_uid = 9, .from = STORE_NONE, .until = STORE_NONE});
    store_subscriptions_clean(d->store);
    assert_true(store_subscription(d->store, 1, 9, &row));
    assert_int_equal(row.from, 4);
    assert_false(store_subscription(d->store, 2, 9, &row));
    assert_true(store_source(d->store, 1, &source));
    assert_int_equal(source.feed, UINT64_MAX);
    assert_false(store_source(d->store, 2, &source));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATABASE_TEST(a_commit_is_whole_or_not_at_all),
        DATABASE_TEST(uids_are_never_given_twice),
        DATABASE_TEST(a_uid_tells_a_life),
        DATABASE_TEST(a_life_of_a_restore_counts_as_given),
        DATABASE_TEST(rows_come_back_as_they_were),
        DATABASE_TEST(streams_are_visited_by_name),
        DATABASE_TEST(projects_are_summed_up),
        DATABASE_TEST(time_makes_streams_expire),
        DATABASE_TEST(deleted_streams_leave_nothing),
        DATABASE_TEST(segments_are_found_and_become_orphans),
        DATABASE_TEST(a_backup_holds_orphans),
        DATABASE_TEST(pins_hold_until_they_are_deleted),
        DATABASE_TEST(subscriptions_that_are_not_in_force_go_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
