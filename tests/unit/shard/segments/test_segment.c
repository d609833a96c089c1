/* The file format of segments: what is put in comes out, and no damage does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/boundaries.h"
#include "shard/segments/segment.h"
#include "shard/store/extent.h"

/* An extent of `count` JSON messages of `length` bytes each, every second one the last of its append. */
static struct extent json_extent(struct buf *data, struct buf *boundaries, uint64_t start, uint64_t count,
                                 size_t length)
{
    buf_reset(data);
    buf_reset(boundaries);
    for (uint64_t i = 0; i < count; i++) {
        size_t before = buf_len(data);
        char number[32];
        buf_add(data, number, (size_t)snprintf(number, sizeof number, "%llu", (unsigned long long)(start + i)));
        while (buf_len(data) - before < length - 1)
            buf_add_byte(data, ' ');
        buf_add_byte(data, ',');
        boundaries_add(boundaries, length, i & 1);
    }
    return (struct extent){.start = start,
                           .count = count,
                           .time_ms = 1000 + start,
                           .boundaries = buf_slice(boundaries),
                           .data = buf_slice(data)};
}

static struct segment_draft draft_at(uint64_t start, bool json, uint64_t messages, uint64_t bytes)
{
    return (struct segment_draft){.segment = {.uid = 7, .start = start, .end = start, .json = json},
                                  .max_messages = messages,
                                  .max_bytes = bytes};
}

/* All of the segment's extents hold, one after the other, what `data` says. */
static void expect_content(struct slice file, uint64_t start, uint64_t end, struct slice data)
{
    struct segment s;
    struct buf inflated = {0};
    uint64_t need, position = start;
    size_t at = 0;
    assert_true(segment_check(file));
    assert_true(segment_parse(&s, file, file.len, &need));
    assert_int_equal(s.start, start);
    assert_int_equal(s.end, end);
    for (size_t i = 0; i < s.count; i++) {
        struct extent extent;
        const struct segment_block *b = &s.blocks[i];
        assert_true(segment_extent(&s, i, slice_of(file.data + s.boundaries_at + b->boundaries_at, b->boundaries),
                                   slice_of(file.data + b->at, b->stored), &inflated, &extent));
        assert_int_equal(extent.start, position);
        assert_int_equal(segment_find(&s, position), i);
        position += extent.count;
        assert_int_equal(segment_find(&s, position - 1), i);
        assert_true(at + extent.data.len <= data.len);
        assert_memory_equal(extent.data.data, data.data + at, extent.data.len);
        at += extent.data.len;
    }
    assert_int_equal(position, end);
    assert_int_equal(at, data.len);
    buf_clear(&inflated);
    segment_clear(&s);
}

static void json_goes_in_and_out(void **state)
{
    (void)state;
    struct buf data = {0}, boundaries = {0}, all = {0};
    for (unsigned compress = 0; compress < 2; compress++) {
        struct segment_draft draft = draft_at(100, true, 100000, 64 << 20);
        struct buf file = {0};
        buf_reset(&all);
        for (uint64_t start = 100; start < 5100; start += 500) {
            struct extent extent = json_extent(&data, &boundaries, start, 500, 80);
            assert_true(segment_add(&draft, &extent));
            buf_add_slice(&all, extent.data);
        }
        assert_false(draft.full);
        segment_seal(&draft, compress, &file);
        assert_int_equal(draft.segment.messages, 5000);
        assert_true(draft.segment.count > 5);
        expect_content(buf_slice(&file), 100, 5100, buf_slice(&all));
        assert_true(compress ? buf_len(&file) < buf_len(&all) / 4 : buf_len(&file) > buf_len(&all));
        assert_int_equal(draft.segment.blocks[0].time_ms,
                         1600); /* the newest of its 819 messages is of the second extent */
        segment_draft_clear(&draft);
        buf_clear(&file);
    }
    buf_clear(&data);
    buf_clear(&boundaries);
    buf_clear(&all);
}

static void a_draft_keeps_its_limits(void **state)
{
    (void)state;
    struct buf data = {0}, boundaries = {0};
    struct extent extent = json_extent(&data, &boundaries, 0, 100, 10);
    struct segment_draft few = draft_at(0, true, 30, 1 << 20), small = draft_at(0, true, 1000, 55),
                         tiny = draft_at(0, true, 1000, 5), later = draft_at(40, true, 1000, 1 << 20);
    assert_true(segment_add(&few, &extent) && few.full);
    assert_int_equal(few.segment.end, 30);
    assert_true(segment_add(&small, &extent) && small.full);
    assert_int_equal(small.segment.end, 5);
    assert_true(segment_add(&tiny, &extent) && tiny.full); /* one message is always in it */
    assert_int_equal(tiny.segment.end, 1);
    assert_true(segment_add(&later, &extent) && !later.full); /* the extent begins before it */
    assert_int_equal(later.segment.messages, 60);
    segment_draft_clear(&few);
    segment_draft_clear(&small);
    segment_draft_clear(&tiny);
    segment_draft_clear(&later);
    buf_clear(&data);
    buf_clear(&boundaries);
}

static void bytes_keep_their_messages(void **state)
{
    (void)state;
    struct segment_draft draft = draft_at(50, false, 3, 1 << 20);
    struct buf boundaries = {0}, file = {0};
    struct extent bare = {.start = 50, .count = 5, .data = SLICE("aaaaa")};
    boundaries_add(&boundaries, 2, true);
    boundaries_add(&boundaries, 3, false);
    boundaries_add(&boundaries, 4, true);
    struct extent more = {.start = 55, .count = 9, .boundaries = buf_slice(&boundaries), .data = SLICE("bbcccdddd")};
    assert_true(segment_add(&draft, &bare));
    assert_true(segment_add(&draft, &more));
    assert_true(draft.full);
    assert_int_equal(draft.segment.end, 60);
    segment_seal(&draft, true, &file);
    expect_content(buf_slice(&file), 50, 60, SLICE("aaaaabbccc"));
    struct extent damaged = {.start = 0, .count = 9, .boundaries = buf_slice(&boundaries), .data = SLICE("bbccc")};
    struct segment_draft other = draft_at(0, false, 1000, 1 << 20), gap = draft_at(10, false, 10, 1 << 20);
    assert_false(segment_add(&other, &damaged));
    assert_false(segment_add(&gap, &bare));
    segment_draft_clear(&draft);
    segment_draft_clear(&other);
    segment_draft_clear(&gap);
    buf_clear(&boundaries);
    buf_clear(&file);
}

static void a_message_larger_than_a_block(void **state)
{
    (void)state;
    size_t size = 3 * SEGMENT_BLOCK + 5;
    struct buf data = {0}, file = {0};
    struct segment_draft draft = draft_at(0, false, 1000, 4 << 20);
    for (size_t i = 0; i < size; i++)
        buf_add_byte(&data, (uint8_t)(i * i >> 7));
    for (uint64_t start = 0; start < 3 * size; start += size) {
        struct extent extent = {.start = start, .count = size, .data = buf_slice(&data)};
        assert_true(segment_add(&draft, &extent));
    }
    segment_seal(&draft, true, &file);
    assert_int_equal(draft.segment.count, 3);
    struct buf all = {0};
    for (unsigned i = 0; i < 3; i++)
        buf_add_slice(&all, buf_slice(&data));
    expect_content(buf_slice(&file), 0, 3 * size, buf_slice(&all));
    segment_draft_clear(&draft);
    buf_clear(&data);
    buf_clear(&file);
    buf_clear(&all);
}

/* Every byte that is changed is noticed, and every cut. */
static void damage_is_found(void **state)
{
    (void)state;
    struct buf data = {0}, boundaries = {0}, file = {0};
    struct segment_draft draft = draft_at(3, true, 100000, 64 << 20);
    struct extent extent = json_extent(&data, &boundaries, 3, 40, 20);
    assert_true(segment_add(&draft, &extent));
    segment_seal(&draft, true, &file);
    struct slice whole = buf_slice(&file);
    for (size_t i = 0; i < whole.len; i++) {
        file.data[i] ^= 0x10;
        assert_false(segment_check(whole));
        file.data[i] ^= 0x10;
        assert_false(segment_check(slice_of(whole.data, i)));
    }
    assert_true(segment_check(whole));

    struct segment s;
    uint64_t need;
    assert_false(segment_parse(&s, slice_of(whole.data, 10), whole.len, &need));
    assert_int_equal(need, SEGMENT_HEAD);
    assert_false(segment_parse(&s, slice_of(whole.data, SEGMENT_HEAD), whole.len, &need));
    assert_int_equal(need, SEGMENT_HEAD + SEGMENT_ENTRY);
    assert_true(segment_parse(&s, slice_of(whole.data, (size_t)need), whole.len, &need));
    segment_clear(&s);
    segment_draft_clear(&draft);
    buf_clear(&data);
    buf_clear(&boundaries);
    buf_clear(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_goes_in_and_out),      cmocka_unit_test(a_draft_keeps_its_limits),
        cmocka_unit_test(bytes_keep_their_messages), cmocka_unit_test(a_message_larger_than_a_block),
        cmocka_unit_test(damage_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
