/* The steps of every append, from a client or from a source. */
#ifndef SHARD_FANOUT_APPEND_H
#define SHARD_FANOUT_APPEND_H

#include "common/detail.h"
#include "common/wire.h"
#include "shard/fanout/body.h"
#include "shard/shard.h"

struct verdict {
    enum error error;
    bool duplicate;      /* was done before; without an error it succeeds without doing anything */
    uint64_t epoch, seq; /* what the answer says of the producer */
};

/* What is known of the producer of an append. */
struct known {
    bool any;
    uint64_t epoch, seq; /* its newest accepted append */
};

/* An APPEND within a turn: looked at first, which changes nothing; then done, if it may be. */
struct appending {
    struct wire_append m;  /* borrowed; its data in stored form */
    struct stream *stream; /* NULL: there is none, and verdict.error says why */
    struct body body;      /* of what the shard took apart */
    struct known known;
    struct verdict verdict;
    struct detail detail;
};

/* Checks it in the protocol's order (PROTOCOL.md 5.2, 5.2.1). */
void append_look(struct shard *shard, const struct wire_append *m, struct appending *a);

/* Does what was looked at, in this turn's transaction. Nothing may have happened to the stream since, and verdict.error
 * is ERR_NONE. */
void append_do(struct shard *shard, struct appending *a);

/* What the answer says of it, before the fan-out. Its slices point into *a. */
struct wire_appended append_answer(const struct appending *a);

void append_clear(struct appending *a);

/* Appends the entry at the stream's tail, in this turn's transaction, and lets its watchers know. The caller has filled
 * in what is appended: count, flags and what belongs to them, boundaries, data. */
void append_entry(struct shard *shard, struct stream *stream, struct journal_entry *entry);

#endif
