/* Boundaries that can be read are spelled in the one way boundaries_add() spells them. */
#include "common/boundaries.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of((const char *)data, size), rest = all;
    struct buf again = {0};
    uint64_t length, time_ms = 0, told = 0;
    bool last;
    while (boundaries_next_at(&rest, &length, &last, &time_ms)) {
        boundaries_add_time(&again, &told, time_ms);
        boundaries_add(&again, length, last);
    }
    all.len -= rest.len;
    must(rest.data == all.data + all.len);
    must(slice_equal(buf_slice(&again), all));
    buf_clear(&again);
    return 0;
}
