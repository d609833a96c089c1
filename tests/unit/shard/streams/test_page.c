/* Cutting extents of messages into pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/boundaries.h"
#include "shard/streams/page.h"
#include "shard/store/extent.h"

static struct buf boundaries;

/* A JSON extent of messages 1, 22, 333 (positions 10..13), the first two one append. */
static struct extent json_extent(void)
{
    buf_reset(&boundaries);
    boundaries_add(&boundaries, 2, false);
    boundaries_add(&boundaries, 3, true);
    boundaries_add(&boundaries, 4, true);
    return (struct extent){
        .start = 10, .count = 3, .time_ms = 7, .boundaries = buf_slice(&boundaries), .data = SLICE("1,22,333,")};
}

static void expect(struct page *page, const struct extent *extent, bool json, uint64_t upto, const char *data,
                   uint64_t next, bool full)
{
    assert_true(page_add_extent(page, extent, json, upto));
    assert_int_equal(buf_len(&page->data), strlen(data));
    if (*data)
        assert_memory_equal(buf_slice(&page->data).data, data, strlen(data));
    assert_int_equal(page->next, next);
    assert_int_equal(page->full, full);
    buf_clear(&page->data);
}

static void json_is_cut_between_messages(void **state)
{
    struct extent extent = json_extent();
    (void)state;
    expect(&(struct page){.next = 10, .max_bytes = 100}, &extent, true, 13, "1,22,333,", 13, false);
    expect(&(struct page){.next = 11, .max_bytes = 100}, &extent, true, 13, "22,333,", 13, false);
    expect(&(struct page){.next = 10, .max_bytes = 6}, &extent, true, 13, "1,22,", 12, true);
    expect(&(struct page){.next = 10, .max_bytes = 100}, &extent, true, 12, "1,22,", 12, false);
    expect(&(struct page){.next = 10, .max_bytes = 100, .max_messages = 1}, &extent, true, 13, "1,", 11, true);
    /* one larger message comes whole, also where a byte stream's would be cut */
    expect(&(struct page){.next = 12, .max_bytes = 2, .cut = true}, &extent, true, 13, "333,", 13, true);
}

static void bytes_may_be_read_from_the_middle(void **state)
{
    struct extent extent = {.start = 100, .count = 9, .data = SLICE("abcdefghi")};
    (void)state;
    expect(&(struct page){.next = 104, .max_bytes = 100}, &extent, false, 109, "efghi", 109, false);
    expect(&(struct page){.next = 104, .max_bytes = 100}, &extent, false, 107, "efg", 107, false);
    expect(&(struct page){.next = 104, .max_bytes = 3}, &extent, false, 109, "efghi", 109, true);
    expect(&(struct page){.next = 104, .max_bytes = 3, .cut = true}, &extent, false, 109, "efg", 107, true);
}

static void byte_messages_stay_whole(void **state)
{
    (void)state;
    buf_reset(&boundaries);
    boundaries_add(&boundaries, 4, true);
    boundaries_add(&boundaries, 5, true);
    struct extent extent = {.start = 0, .count = 9, .boundaries = buf_slice(&boundaries), .data = SLICE("aaaabbbbb")};
    expect(&(struct page){.max_bytes = 6}, &extent, false, 9, "aaaa", 4, true);
    expect(&(struct page){.next = 2, .max_bytes = 6}, &extent, false, 9, "aa", 4, true);
    expect(&(struct page){.next = 2, .max_bytes = 60, .max_messages = 1}, &extent, false, 9, "aa", 4, true);
    expect(&(struct page){.next = 4, .max_bytes = 60}, &extent, false, 6, "bb", 6, false);
}

/* count: of the marks that are left. */
static void expect_cut(struct extent extent, bool json, uint64_t from, uint64_t to, struct slice data, uint64_t start,
                       uint64_t count)
{
    assert_true(page_cut_extent(&extent, json, from, to));
    assert_true(slice_equal(extent.data, data));
    assert_int_equal(extent.start, start);
    assert_int_equal(extent.count, json ? count : data.len);
    uint64_t length, left = data.len;
    bool last;
    for (uint64_t i = 0; i < count; i++, left -= length)
        assert_true(boundaries_next(&extent.boundaries, &length, &last));
    assert_int_equal(extent.boundaries.len, 0);
    assert_int_equal(left, count ? 0 : data.len);
}

static void a_part_of_a_run_has_its_own_boundaries(void **state)
{
    struct extent extent = json_extent(), bytes = {.start = 100, .count = 9, .data = SLICE("abcdefghi")};
    (void)state;
    expect_cut(extent, true, 0, UINT64_MAX, SLICE("1,22,333,"), 10, 3);
    expect_cut(extent, true, 10, 13, SLICE("1,22,333,"), 10, 3);
    expect_cut(extent, true, 11, UINT64_MAX, SLICE("22,333,"), 11, 2);
    expect_cut(extent, true, 0, 12, SLICE("1,22,"), 10, 2);
    expect_cut(extent, true, 11, 12, SLICE("22,"), 11, 1);
    expect_cut(bytes, false, 103, 105, SLICE("de"), 103, 0);
    bytes.boundaries = extent.boundaries; /* ab cde fghi */
    expect_cut(bytes, false, 102, UINT64_MAX, SLICE("cdefghi"), 102, 2);
    expect_cut(bytes, false, 102, 105, SLICE("cde"), 102, 1);
    expect_cut(bytes, false, 101, 105, SLICE("bcde"), 101, 0);
    expect_cut(bytes, false, 103, 107, SLICE("defg"), 103, 0);
    extent.boundaries.len--;
    assert_false(page_cut_extent(&extent, true, 12, 13));
}

static void damaged_marks_are_found(void **state)
{
    struct page page = {.max_bytes = 4};
    (void)state;
    buf_reset(&boundaries);
    boundaries_add(&boundaries, 400, true);
    struct extent extent = {.start = 0, .count = 9, .boundaries = buf_slice(&boundaries), .data = SLICE("aaaabbbbb")};
    assert_false(page_add_extent(&page, &extent, false, 9));
    buf_clear(&page.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_cut_between_messages), cmocka_unit_test(bytes_may_be_read_from_the_middle),
        cmocka_unit_test(byte_messages_stay_whole),     cmocka_unit_test(a_part_of_a_run_has_its_own_boundaries),
        cmocka_unit_test(damaged_marks_are_found),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_clear(&boundaries);
    return failed;
}
