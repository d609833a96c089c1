/* Where a read begins that names no offset: so many messages back, or at a time. A seek goes back from `at` through the
 * own bytes of one stream after the other, from the newest to the oldest. */
#ifndef SHARD_STREAMS_SEEK_H
#define SHARD_STREAMS_SEEK_H

#include "shard/segments/outcome.h"
#include "shard/streams/streams.h"

struct seek {
    uint8_t from;      /* WIRE_FROM_TAIL, WIRE_FROM_BEFORE or WIRE_FROM_SINCE */
    bool taken;        /* a message lies behind `at` already */
    bool done;         /* `at` is where the read begins */
    uint64_t at;       /* what lies before this position is not looked at yet */
    uint64_t messages; /* back: so many more */
    uint64_t bytes;    /* back: of so many bytes together at most, but one message comes whole */
    uint64_t since_ms; /* WIRE_FROM_SINCE */
    uint64_t looks;    /* rows, chunks, blocks and appends that were looked at: what it has cost */
};

/* Goes on in the stream's own bytes [floor, at). Not done: it goes on before `floor`, which is `at` now. NEEDS_SEGMENT:
 * begin anew when the segment is there. A failure behind a message that was taken ends the seek there. */
struct outcome seek_own(struct seek *seek, struct streams *streams, const struct stream *stream,
                        uint64_t floor) MUSTUSE;

#endif
