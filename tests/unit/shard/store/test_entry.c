/* The heads of a batch: what recovery needs of each append. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/buf.h"
#include "shard/store/entry.h"
#include "shard/store/store.h"

static struct journal_entry full(void)
{
    return (struct journal_entry){
        .uid = (uint64_t)1023 << 44 | 77,
        .start = UINT64_MAX >> 1,
        .count = 3,
        .flags = ENTRY_CLOSES | ENTRY_STREAM_SEQ | ENTRY_PRODUCER | ENTRY_CREATES,
        .name = SLICE("p/s"),
        .content_type = SLICE("application/json"),
        .expires_text = SLICE("2030-01-01T00:00:00Z"),
        .ttl_s = STORE_NONE,
        .expires_ms = 1893456000000,
        .retention_s = 86400,
        .retention_bytes = 5,
        .stream_seq = SLICE("0001"),
        .producer = SLICE("writer"),
        .epoch = 5,
        .producer_seq = 9,
        .boundaries = SLICE("mmm"),
        .data = SLICE("1,22,333,"),
    };
}

static void expect_equal(const struct journal_entry *got, const struct journal_entry *want)
{
    assert_true(got->uid == want->uid && got->start == want->start && got->count == want->count);
    assert_int_equal(got->flags, want->flags);
    assert_true(slice_equal(got->stream_seq, want->stream_seq) && slice_equal(got->producer, want->producer));
    assert_true(slice_equal(got->name, want->name) && slice_equal(got->content_type, want->content_type) &&
                slice_equal(got->expires_text, want->expires_text));
    assert_true(got->ttl_s == want->ttl_s && got->expires_ms == want->expires_ms);
    assert_true(got->retention_s == want->retention_s && got->retention_bytes == want->retention_bytes);
    assert_true(got->epoch == want->epoch && got->producer_seq == want->producer_seq);
    assert_true(slice_equal(got->boundaries, want->boundaries) && slice_equal(got->data, want->data));
}

static void test_round_trip(void **state)
{
    (void)state;
    struct journal_entry plain = {.uid = 1, .count = 4, .data = SLICE("abcd")},
                         close = {.uid = 1, .start = 4, .flags = ENTRY_CLOSES}, all = full();
    struct buf heads = {0};
    entry_add(&heads, &plain);
    entry_add(&heads, &close);
    entry_add(&heads, &all);
    struct slice in = buf_slice(&heads), data = SLICE("abcdmmm1,22,333,");
    const struct journal_entry *const want[] = {&plain, &close, &all};
    for (size_t i = 0; i < 3; i++) {
        struct journal_entry got = {0};
        assert_true(entry_take(&in, &data, &got));
        expect_equal(&got, want[i]);
    }
    assert_int_equal(in.len, 0);
    assert_int_equal(data.len, 0);
    buf_clear(&heads);
}

/* Cut anywhere, or with less data than it says, it is refused. */
static void test_damaged(void **state)
{
    (void)state;
    struct journal_entry all = full(), got;
    struct buf heads = {0};
    entry_add(&heads, &all);
    for (size_t len = 0; len < buf_len(&heads); len++) {
        struct slice in = slice_of(heads.data, len), data = SLICE("mmm1,22,333,");
        assert_false(entry_take(&in, &data, &got));
    }
    struct slice in = buf_slice(&heads), data = SLICE("mmm1,22,333");
    assert_false(entry_take(&in, &data, &got));
    buf_clear(&heads);
}

/* What is on disk. */
static void test_stored_bytes(void **state)
{
    (void)state;
    struct journal_entry entry = {.uid = 300,
                                  .start = 2,
                                  .count = 1,
                                  .flags = ENTRY_PRODUCER,
                                  .producer = SLICE("p"),
                                  .epoch = 128,
                                  .producer_seq = 1,
                                  .data = SLICE("1,")};
    struct buf heads = {0};
    entry_add(&heads, &entry);
    assert_true(slice_equal(buf_slice(&heads), SLICE("\xac\x02\x02\x01\x04\x00\x02\x01p\x80\x01\x01")));
    buf_clear(&heads);
}

/* Several streams get the same bytes, which are there once. */
static void test_the_same_bytes(void **state)
{
    (void)state;
    struct journal_entry first = {.uid = 1, .count = 4, .flags = ENTRY_SHARED, .data = SLICE("abcd")},
                         second = {.uid = 2,
                                   .start = 9,
                                   .count = 4,
                                   .flags = ENTRY_SHARED | ENTRY_SAME,
                                   .data = SLICE("abcd")};
    struct buf heads = {0};
    entry_add(&heads, &first);
    size_t begin = buf_len(&heads);
    entry_add(&heads, &second);
    struct slice in = buf_slice(&heads), data = SLICE("abcd");
    struct journal_entry got = {0};
    assert_true(entry_take(&in, &data, &got));
    assert_true(entry_take(&in, &data, &got));
    expect_equal(&got, &second);
    assert_int_equal(in.len + data.len, 0);

    struct journal_entry none = {0};
    in = slice_of(heads.data + begin, buf_len(&heads) - begin);
    assert_false(entry_take(&in, &data, &none)); /* there is none before it */
    buf_clear(&heads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_stored_bytes),
        cmocka_unit_test(test_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
