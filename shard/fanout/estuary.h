/* Estuaries: what a DELIVER brings is written into every estuary that is subscribed to its source, once, in the
 * transaction that moves the source's position (on_deliver() and the other messages of the source's shard). */
#ifndef SHARD_FANOUT_ESTUARY_H
#define SHARD_FANOUT_ESTUARY_H

struct shard;
struct stream;

/* In the transaction that ends an estuary: all its subscriptions end with it. */
void estuary_unsubscribe_all(struct shard *shard, const struct stream *stream);

#endif
