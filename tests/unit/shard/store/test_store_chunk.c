/* Chunks are found by position, and chunks of references give the bytes they stand for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/buf.h"
#include "shard/store/store_chunk.h"
#include "shard/store/store_shared.h"
#include "shard/store/store_slot.h"
#include "tests/unit/shard/store/database.h"

static void insert(struct database *d, uint64_t uid, uint64_t start, const char *data)
{
    store_begin(d->store);
    store_chunk_insert(d->store, uid,
                       &(struct extent){.start = start, .count = strlen(data), .time_ms = 7, .data = slice_str(data)});
}

static void expect_at(struct database *d, uint64_t uid, uint64_t position, uint64_t start, const char *data)
{
    struct extent extent;
    assert_true(store_chunk_at(d->store, uid, position, &extent));
    assert_int_equal(extent.start, start);
    assert_true(slice_equal(extent.data, slice_str(data)));
}

static void chunks_are_found_by_position(void **state)
{
    struct database *d = *state;
    struct extent extent;
    insert(d, 1, 10, "abc");
    insert(d, 1, 13, "de");
    insert(d, 2, 0, "other");
    insert(d, 1, 20, "far");
    expect_at(d, 1, 10, 10, "abc");
    expect_at(d, 1, 12, 10, "abc");
    expect_at(d, 1, 13, 13, "de");
    expect_at(d, 1, 0, 10, "abc");  /* the next after it */
    expect_at(d, 1, 16, 20, "far"); /* over a gap */
    assert_false(store_chunk_at(d->store, 1, 23, &extent));
    assert_false(store_chunk_at(d->store, 3, 0, &extent));
}

static void the_newest_is_replaced_while_it_is_short(void **state)
{
    struct database *d = *state;
    struct extent extent;
    int64_t row;
    insert(d, 1, 0, "abc");
    insert(d, 1, 3, "de");
    assert_false(store_chunk_last(d->store, 1, 2, &row, &extent)); /* it has two bytes */
    assert_true(store_chunk_last(d->store, 1, 3, &row, &extent));
    assert_int_equal(extent.start, 3);
    store_chunk_replace(d->store, row, &(struct extent){.start = 3, .count = 4, .data = SLICE("defg")});
    expect_at(d, 1, 6, 3, "defg");
}

static void chunks_below_a_position_are_dropped(void **state)
{
    struct database *d = *state;
    for (uint64_t i = 0; i < 5; i++)
        insert(d, 1, i * 2, "ab");
    assert_true(store_chunks_drop(d->store, 1, 7, 2)); /* [6, 8) is not below 7 */
    assert_true(store_chunks_drop(d->store, 1, 7, 2));
    assert_false(store_chunks_drop(d->store, 1, 7, 2));
    expect_at(d, 1, 0, 6, "ab");
}

/* A chunk of two references: bytes of three and of two positions. */
static void insert_references(struct database *d, uint64_t uid, uint64_t start)
{
    struct buf refs = {0};
    store_begin(d->store);
    store_shared_ref(d->store, shared_id(4, 0), &(struct extent){.data = SLICE("abc")});
    store_shared_ref(d->store, shared_id(5, 8), &(struct extent){.data = SLICE("de")});
    shared_ref_add(&refs, shared_id(4, 0), 3);
    shared_ref_add(&refs, shared_id(5, 8), 2);
    store_chunk_insert(d->store, uid, &(struct extent){.start = start, .count = 5, .boundaries = buf_slice(&refs)});
    buf_clear(&refs);
}

static void references_give_the_bytes_they_stand_for(void **state)
{
    struct database *d = *state;
    insert_references(d, 1, 10);
    expect_at(d, 1, 10, 10, "abc");
    expect_at(d, 1, 12, 10, "abc");
    expect_at(d, 1, 13, 13, "de");
}

static void shared_bytes_go_with_their_last_reference(void **state)
{
    struct database *d = *state;
    insert_references(d, 1, 0);
    insert_references(d, 2, 0);
    assert_true(store_chunks_drop(d->store, 1, 5, 8));
    expect_at(d, 2, 0, 0, "abc"); /* the other stream has them still */
    assert_true(store_chunks_drop(d->store, 2, 5, 8));
    insert_references(d, 3, 0);
    expect_at(d, 3, 4, 3, "de");
}

static void a_slot_that_moves_gets_bytes_of_its_own(void **state)
{
    struct database *d = *state;
    struct extent extent;
    insert_references(d, 1, 0);
    store_commit(d->store);
    assert_true(store_slot_expand(d->store, 0));
    store_commit(d->store);
    assert_false(store_slot_expand(d->store, 0));
    expect_at(d, 1, 0, 0, "abc");
    expect_at(d, 1, 4, 3, "de");
    int64_t row;
    assert_true(store_chunk_last(d->store, 1, 100, &row, &extent));
    assert_int_equal(extent.data.len, 2); /* as it is stored */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATABASE_TEST(chunks_are_found_by_position),
        DATABASE_TEST(the_newest_is_replaced_while_it_is_short),
        DATABASE_TEST(chunks_below_a_position_are_dropped),
        DATABASE_TEST(references_give_the_bytes_they_stand_for),
        DATABASE_TEST(shared_bytes_go_with_their_last_reference),
        DATABASE_TEST(a_slot_that_moves_gets_bytes_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
