/* A file that is no segment is refused; one that is accepted says of itself what it holds. An input is tried as it is,
 * and once more with the checksums made right, so that what is behind them is reached. */
#include <string.h>
#include <xxhash.h>

#include "common/boundaries.h"
#include "shard/segments/segment.h"
#include "shard/store/extent.h"
#include "tests/fuzz/fuzz.h"

static void try(struct slice file)
{
    struct segment s;
    struct buf inflated = {0};
    uint64_t need, bytes = 0, position;
    if (!segment_parse(&s, file, file.len, &need)) {
        must(need == 0 || (need > file.len && file.len < SEGMENT_HEAD));
        return;
    }
    position = s.start;
    for (size_t i = 0; i < s.count; i++) {
        struct extent extent;
        const struct segment_block *b = &s.blocks[i];
        if (!segment_extent(&s, i, slice_of(file.data + s.boundaries_at + b->boundaries_at, b->boundaries),
                            slice_of(file.data + b->at, b->stored), &inflated, &extent)) {
            must(!segment_check(file));
            break;
        }
        must(extent.start == position && extent.count > 0 && segment_find(&s, position) == i);
        must(extent.data.len == b->bytes);
        position += extent.count;
        bytes += extent.data.len;
        must(i + 1 < s.count || (position == s.end && bytes == s.bytes));
    }
    buf_clear(&inflated);
    segment_clear(&s);
}

static uint64_t checksum(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return XXH3_64bits_withSeed(b, b_len, XXH3_64bits(a, a_len));
}

/* As far as its numbers point into the file. */
static void correct(char *file, size_t size)
{
    uint32_t count;
    uint64_t sum;
    memcpy(&count, file + 12, sizeof count);
    size_t front = SEGMENT_HEAD + (size_t)count * SEGMENT_ENTRY;
    if (front > size)
        return;
    for (size_t i = 0; i < count; i++) {
        char *entry = file + SEGMENT_HEAD + i * SEGMENT_ENTRY;
        uint64_t at;
        uint32_t stored, boundaries_at, boundaries;
        memcpy(&at, entry + 16, sizeof at);
        memcpy(&stored, entry + 24, sizeof stored);
        memcpy(&boundaries_at, entry + 32, sizeof boundaries_at);
        memcpy(&boundaries, entry + 36, sizeof boundaries);
        if (at > size || stored > size - at || front + boundaries_at > size ||
            boundaries > size - front - boundaries_at)
            continue;
        sum = checksum(file + front + boundaries_at, boundaries, file + at, stored);
        memcpy(entry + 40, &sum, sizeof sum);
    }
    sum = checksum(file, SEGMENT_HEAD - 8, file + SEGMENT_HEAD, front - SEGMENT_HEAD);
    memcpy(file + SEGMENT_HEAD - 8, &sum, sizeof sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try(slice_of((const char *)data, size));
    if (size < SEGMENT_HEAD)
        return 0;
    char *copy = malloc(size);
    memcpy(copy, data, size);
    correct(copy, size);
    try(slice_of(copy, size));
    free(copy);
    return 0;
}
