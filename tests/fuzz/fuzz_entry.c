/* A batch's heads that can be read are spelled in the one way entry_add() spells them, and never reach past their data.
 */
#include "common/buf.h"
#include "shard/store/entry.h"
#include "tests/fuzz/fuzz.h"

/* The first byte says how many of the others are heads. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (!size)
        return 0;
    size_t heads_len = bytes[0] < size - 1 ? bytes[0] : size - 1;
    struct slice heads = slice_of((const char *)bytes + 1, heads_len);
    struct slice data = slice_of(heads.data + heads_len, size - 1 - heads_len);
    const char *taken = data.data;
    while (heads.len) {
        struct journal_entry entry = {0};
        struct buf again = {0};
        struct slice before = heads;
        if (!entry_take(&heads, &data, &entry))
            break;
        if (!(entry.flags & ENTRY_SAME)) {
            must(entry.boundaries.data == taken && entry.data.data == taken + entry.boundaries.len);
            taken = entry.data.data + entry.data.len;
        }
        must(taken == data.data);
        entry_add(&again, &entry);
        must(slice_equal(buf_slice(&again), slice_of(before.data, (size_t)(heads.data - before.data))));
        buf_clear(&again);
    }
    return 0;
}
