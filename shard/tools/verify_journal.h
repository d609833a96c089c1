/* The journal of a database that is looked at: what it says of streams, one entry after the other. */
#ifndef SHARD_TOOLS_VERIFY_JOURNAL_H
#define SHARD_TOOLS_VERIFY_JOURNAL_H

#include <stdint.h>

#include "common/slice.h"

struct store_look;
struct verify;

struct journal_check {
    struct verify *v;
    struct store_look *look;
    uint64_t batches; /* how many were looked at */
    int64_t last;     /* the number of the last one */
};

/* A visitor of store_look_journal(); ctx is a struct journal_check. After the streams. */
void verify_batch(void *ctx, int64_t seq, struct slice heads, struct slice data);

#endif
