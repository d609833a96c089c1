/* After a start: the streams that the journal knows more of than the store. */
#ifndef SHARD_STREAMS_RECOVER_H
#define SHARD_STREAMS_RECOVER_H

#include <stdint.h>

struct streams;

/* Reads the journal into memory: every stream that is in it, its tail, closure, Stream-Seq, producers and bytes. now_ms
 * is Unix time. */
void streams_recover(struct streams *streams, uint64_t now_ms);

#endif
