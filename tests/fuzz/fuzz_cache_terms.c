/* Whatever Cache-Control says, no-store in front of it or behind it counts, and no time is longer than the longest. */
#include "common/buf.h"
#include "router/auth/cache_terms.h"
#include "tests/fuzz/fuzz.h"

#define LONGEST_MS (((uint64_t)1 << 31) * 1000)

static uint64_t lasts(struct slice before, struct slice value, struct slice after)
{
    struct cache_terms terms = {0};
    struct buf all = {0};
    buf_add_slice(&all, before);
    buf_add_slice(&all, value);
    buf_add_slice(&all, after);
    cache_terms_add(&terms, SLICE("Cache-Control"), buf_slice(&all));
    buf_clear(&all);
    return cache_terms_ms(&terms, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice value = slice_of((const char *)bytes, size);
    must(lasts(SLICE(""), value, SLICE("")) <= LONGEST_MS);
    must(lasts(SLICE("no-store, "), value, SLICE("")) == 0);
    must(lasts(SLICE(""), value, SLICE(", no-store")) == 0);
    return 0;
}
