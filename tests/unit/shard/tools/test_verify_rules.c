/* The rules of `streamd verify`: what is whole passes, and each thing that may be wrong is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/boundaries.h"
#include "common/layout.h"
#include "shard/streams/lineage.h"
#include "shard/tools/verify_rules.h"
#include "shard/store/extent.h"
#include "shard/store/store.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_stream.h"

/* An extent with these lengths as its boundaries. */
static struct extent extent_of(struct buf *boundaries, const char *data, uint64_t count, const uint64_t *lengths,
                               size_t n)
{
    buf_reset(boundaries);
    for (size_t i = 0; i < n; i++)
        boundaries_add(boundaries, lengths[i], i + 1 == n);
    return (struct extent){.start = 10, .count = count, .boundaries = buf_slice(boundaries), .data = slice_str(data)};
}

static void runs_of_json(void **state)
{
    struct buf boundaries = {0};
    struct verify_sum sum = {0};
    struct extent extent = extent_of(&boundaries, "1,[2],{\"a\":3},", 3, (uint64_t[]){2, 4, 8}, 3);
    (void)state;
    assert_null(verify_extent(&extent, true, 0, &sum));
    assert_int_equal(sum.bytes, 14);
    assert_int_equal(sum.messages, 3);
    sum = (struct verify_sum){0};
    assert_null(verify_extent(&extent, true, 12, &sum)); /* from there on */
    assert_int_equal(sum.bytes, 8);
    assert_int_equal(sum.messages, 1);
    extent.count = 4;
    assert_string_equal(verify_extent(&extent, true, 0, &sum), "it does not hold as many positions as it says");
    extent = extent_of(&boundaries, "1,[2}, ", 2, (uint64_t[]){2, 4}, 2);
    assert_string_equal(verify_extent(&extent, true, 0, &sum), "a message is not JSON");
    extent = extent_of(&boundaries, "1;2,", 2, (uint64_t[]){2, 2}, 2);
    assert_string_equal(verify_extent(&extent, true, 0, &sum), "a message is not JSON");
    extent = extent_of(&boundaries, "1,2,", 1, (uint64_t[]){2}, 1);
    assert_string_equal(verify_extent(&extent, true, 0, &sum), "its boundaries end before its data");
    extent = extent_of(&boundaries, "1,", 2, (uint64_t[]){2, 2}, 2);
    assert_string_equal(verify_extent(&extent, true, 0, &sum), "its boundaries go beyond its data");
    extent = extent_of(&boundaries, "1,", 1, (uint64_t[]){0}, 1);
    assert_string_equal(verify_extent(&extent, true, 0, &sum), "its boundaries go beyond its data");
    buf_clear(&boundaries);
}

static void runs_of_bytes(void **state)
{
    struct buf boundaries = {0};
    struct verify_sum sum = {0};
    struct extent extent = extent_of(&boundaries, "hello", 5, NULL, 0); /* one message that is one append */
    (void)state;
    assert_null(verify_extent(&extent, false, 0, &sum));
    assert_int_equal(sum.messages, 1);
    extent = extent_of(&boundaries, "hello", 5, (uint64_t[]){2, 3}, 2);
    assert_null(verify_extent(&extent, false, 0, &sum));
    assert_int_equal(sum.messages, 3);
    assert_int_equal(sum.bytes, 10);
    extent.count = 6;
    assert_non_null(verify_extent(&extent, false, 0, &sum));
    extent.boundaries = SLICE("\xff");
    assert_string_equal(verify_extent(&extent, false, 0, &sum), "its boundaries are damaged");
    extent = (struct extent){.start = 10};
    assert_null(verify_extent(&extent, false, 0, &sum));
    buf_clear(&boundaries);
}

static struct stream_row good_row(void)
{
    struct slice name = SLICE("demo/x");
    return (struct stream_row){
        .uid = ((uint64_t)layout_slot_of_whole(name) << LAYOUT_UID_BITS) + 7,
        .name = name,
        .content_type = SLICE("text/plain"),
        .source_uid = STORE_NONE,
        .earliest = 5,
        .offloaded = 20,
        .flushed = 30,
    };
}

static void rows(void **state)
{
    struct stream_row row = good_row();
    struct layout layout = {0};
    (void)state;
    assert_null(verify_row(&layout, &row));
    assert_int_equal(verify_first(&row), 5);
    row.offloaded = 31;
    assert_string_equal(verify_row(&layout, &row), "its positions are not in order");
    row = good_row();
    row.earliest = 21;
    assert_string_equal(verify_row(&layout, &row), "its positions are not in order");
    row = good_row();
    row.flushed = UINT64_MAX;
    assert_string_equal(verify_row(&layout, &row), "its positions are not in order");
    row = good_row();
    row.name = SLICE("demo/y");
    assert_string_equal(verify_row(&layout, &row), "its number is not of its name's slot");
    row.uid = UINT64_MAX;
    assert_string_equal(verify_row(&layout, &row), "its number is not of its name's slot");
    row.name = (struct slice){0};
    assert_string_equal(verify_row(&layout, &row), "it has no name, or no content type");
    row.state = (enum stream_state)9;
    assert_string_equal(verify_row(&layout, &row), "its state is unknown");
}

static void forks(void **state)
{
    struct buf lineage = {0};
    struct stream_row row = good_row();
    const struct layout layout = {0};
    (void)state;
    row.base = 12;
    assert_string_equal(verify_row(&layout, &row), "its own bytes begin late, and it is no fork");
    row.source_uid = row.uid + 1;
    assert_string_equal(verify_row(&layout, &row), "its lineage does not end where its own bytes begin");
    assert_true(lineage_of_fork(&(struct lineage){0}, row.source_uid, 0, 12, 8, &lineage));
    row.lineage = buf_slice(&lineage);
    assert_null(verify_row(&layout, &row));
    assert_int_equal(verify_first(&row), 12);
    row.earliest = 14;
    assert_int_equal(verify_first(&row), 14);
    row.lineage.len--;
    assert_string_equal(verify_row(&layout, &row), "its lineage is damaged");
    buf_clear(&lineage);
}

static void segments(void **state)
{
    struct buf file = {0};
    struct segment_draft draft = {
        .segment = {.uid = 9, .start = 3, .end = 3, .json = true}, .max_messages = 10, .max_bytes = 1000};
    struct buf boundaries = {0};
    struct extent extent = extent_of(&boundaries, "1,2,", 2, (uint64_t[]){2, 2}, 2);
    (void)state;
    extent.start = 3;
    assert_true(segment_add(&draft, &extent));
    segment_seal(&draft, false, &file);
    const struct segment *s = &draft.segment;
    struct segment_row row = {
        .object = {9, 3, 1}, .end = 5, .size = s->size, .checksum = s->checksum, .bytes = 4, .messages = 2};
    assert_null(verify_segment_row(&row, true));
    assert_null(verify_segment_file(&row, true, buf_slice(&file)));
    assert_string_equal(verify_segment_file(&row, false, buf_slice(&file)), "its file is of another segment");
    assert_string_equal(verify_segment_file(&row, true, slice_of(file.data, buf_len(&file) - 1)),
                        "its file has another size");
    row.checksum++;
    assert_string_equal(verify_segment_file(&row, true, buf_slice(&file)), "its file has another checksum");
    row.checksum--;
    file.data[buf_len(&file) - 1] ^= 1;
    assert_string_equal(verify_segment_file(&row, true, buf_slice(&file)), "its file is damaged");
    file.data[0] ^= 1;
    assert_string_equal(verify_segment_file(&row, true, buf_slice(&file)),
                        "its file is no segment, or its beginning is damaged");
    row.end = 6;
    assert_string_equal(verify_segment_row(&row, true), "it does not hold as many positions as it says");
    row.end = 3;
    assert_string_equal(verify_segment_row(&row, true), "it holds nothing");
    segment_draft_clear(&draft);
    buf_clear(&file);
    buf_clear(&boundaries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_of_json), cmocka_unit_test(runs_of_bytes), cmocka_unit_test(rows),
        cmocka_unit_test(forks),        cmocka_unit_test(segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
