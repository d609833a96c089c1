/* How streams end: deleted, expired, or let go by their last fork (PROTOCOL.md 4.2, 5.4). */
#ifndef SHARD_HANDLERS_DELETE_H
#define SHARD_HANDLERS_DELETE_H

#include "shard/shard.h"

/* Deletes the stream: softly while forks pin it, otherwise for good (the pointer is then invalid). */
void delete_stream(struct shard *shard, struct stream *stream);

/* The same for an expired stream. Returns it if it lives on softly deleted, else NULL. */
struct stream *delete_expired(struct shard *shard, struct stream *stream);

/* A pin of this stream was let go: a softly deleted one goes for good with its last. */
void delete_unpinned(struct shard *shard, struct stream *stream);

#endif
