/* The producers of a stream (PROTOCOL.md 5.2.1): those used last in memory, all in the store. */
#ifndef SHARD_STREAMS_PRODUCERS_H
#define SHARD_STREAMS_PRODUCERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

struct stream;
struct streams;

/* A producer's newest accepted append. */
struct producer {
    char *id;
    size_t id_len;
    uint64_t epoch, seq;
    bool dirty; /* newer than the store's */
};

/* The producer's state, from memory or from the store. False: never seen. */
bool stream_producer(struct streams *streams, struct stream *stream, struct slice id, uint64_t *epoch,
                     uint64_t *seq) MUSTUSE;

/* The producer in memory, where it is put if need be. Borrowed until the next call for this stream. */
struct producer *producers_keep(struct streams *streams, struct stream *stream, struct slice id);

/* Writes what is newer than the store's and forgets all of them; or only forgets. */
void producers_forget(struct streams *streams, struct stream *stream);
void producers_free(struct stream *stream);

#endif
