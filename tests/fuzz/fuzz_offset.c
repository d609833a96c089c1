/* An offset that is accepted is its one spelling, and nothing but 33 right bytes is accepted. */
#include "common/offset.h"
#include "tests/fuzz/fuzz.h"

static bool well_formed(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (i == 16 ? data[i] != '_' : data[i] < '0' || data[i] > '9')
            return false;
    return size == OFFSET_LEN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct offset offset;
    char again[OFFSET_LEN];
    bool parsed = offset_parse(text, &offset);
    must(parsed == well_formed(data, size));
    if (parsed) {
        offset_print(again, offset);
        must(slice_equal(text, slice_of(again, OFFSET_LEN)));
    }
    return 0;
}
