/* Which bytes of an outgoing buffer may leave: each belongs to the commit of the turn that put it there, or of an
 * earlier one that the turn has seen, and leaves when that commit is durable. */
#ifndef SHARD_PEERS_RELEASE_H
#define SHARD_PEERS_RELEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

/* Positions count the bytes that went through the buffer since it was empty and new. Zeroed at the start. */
struct release {
    uint64_t sealed;  /* bytes before this position belong to a commit that was sealed */
    uint64_t upto;    /* bytes before this position may leave */
    struct buf marks; /* what waits: struct release_mark, oldest first. Empty while commits are durable at once */
};

/* Everything up to `end` that is in no commit yet belongs to this one. Commits up to `durable` are durable. Neither
 * number ever goes down. */
void release_seal(struct release *release, uint64_t end, uint64_t commit, uint64_t durable);

/* The position up to which bytes may leave when all commits up to this one are durable. */
uint64_t release_upto(struct release *release, uint64_t durable);

/* The buffer is a new one. */
void release_clear(struct release *release);

#endif
