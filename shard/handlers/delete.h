/* How streams end: deleted, expired, or released by the last that held them (PROTOCOL.md 4.2, 5.4). */
#ifndef SHARD_HANDLERS_DELETE_H
#define SHARD_HANDLERS_DELETE_H

#include "common/slice.h"

struct shard;
struct stream;

/* Deletes the stream: softly while something holds its bytes, otherwise for good (the pointer is then invalid). */
void delete_stream(struct shard *shard, struct stream *stream);

/* Before a stream of this name is made. If an expired one is still there it goes now, because two streams never have
 * one name. The caller has found no live stream of the name in this turn, and nothing holds what is there. */
void delete_expired(struct shard *shard, struct slice name);

/* The step of a turn: ends the streams that it found expired or released. In the same transaction as what released
 * them, or nobody would know of them after a crash. */
void delete_turn(struct shard *shard);

#endif
