/* Watchers: routers that get a stream's appends. What a turn appends to a watched stream is gathered and sent to each
 * of its watchers in one frame, which leaves with the answers, after the commit. */
#ifndef SHARD_STREAMS_WATCH_H
#define SHARD_STREAMS_WATCH_H

#include "shard/shard.h"

/* The router of this asker gets everything after the stream's tail, under the name `watch`. */
void watch_add(struct shard *shard, struct stream *stream, struct asker asker, uint64_t watch);

/* An append was applied: gathers it for the stream's watchers. */
void watch_appended(struct shard *shard, struct stream *stream, const struct journal_entry *entry);

/* Sends what is gathered of one stream, so that a read right after it begins where the events left off; or of all. */
void watch_notify(struct shard *shard, struct stream *stream);
void watch_notify_all(struct shard *shard);

/* The stream is gone: its watchers get that, and are watchers no more. */
void watch_deleted(struct shard *shard, struct stream *stream);

/* The router's process is gone, and its watches with it. */
void watch_router_gone(struct shard *shard, unsigned router);

#endif
