/* Inherited bytes that another shard has: asked for to go on with a reading, and served to other shards. */
#ifndef SHARD_HANDLERS_REMOTE_READ_H
#define SHARD_HANDLERS_REMOTE_READ_H

#include "shard/peers/ask.h"

struct ancestor;
struct reading;
struct shard;
struct stream;

/* What is asked of the shards of ancestors: shard->asks[ASK_READ]. */
extern const struct ask_kind remote_read_questions;

/* Goes on with a reading whose next bytes are this ancestor's, and answers it in a later turn, or with 503 after
 * router.shard_wait. Takes the reading's page. */
void remote_read_begin(struct shard *shard, struct reading *reading, const struct stream *stream,
                       const struct ancestor *ancestor);

#endif
