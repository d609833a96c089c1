/* Creating a stream, plain or as the fork of a source that has been pinned. */
#ifndef SHARD_HANDLERS_CREATE_H
#define SHARD_HANDLERS_CREATE_H

#include "shard/shard.h"
#include "common/attr.h"
#include "common/slice.h"

/* If a stream exists at the name, answers by comparing it with the request (PROTOCOL.md 5.1) and returns true; also if
 * the conditions of the request do not hold. */
bool create_answer_existing(struct shard *shard, struct asker asker, const struct wire_create *m) MUSTUSE;

/* A new plain stream, which is only in the journal yet. Nothing may be at the name. json: it holds JSON messages. */
struct stream *create_plain(struct shard *shard, struct slice name, struct slice content_type, bool json);

/* Creates the stream and answers. `source`: what the pinned source said, NULL for a plain stream; `pin` is its pin.
 * False: it was refused (and answered), so the pin is to be dropped. */
bool create_stream(struct shard *shard, struct asker asker, const struct wire_create *m,
                   const struct wire_pinned *source, uint64_t pin) MUSTUSE;

#endif
