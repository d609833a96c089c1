/* One estuary as its owner sees it: its state, its renewal and its end. */
#ifndef SHARD_HANDLERS_ESTUARY_ADMIN_H
#define SHARD_HANDLERS_ESTUARY_ADMIN_H

#include "common/errors.h"

struct asker;
struct shard;
struct stream;
struct wire_estuary_state;

/* An estuary that a subscription made lives for another estuary.ttl. Other streams keep their own expiry. */
void estuary_admin_renew(struct shard *shard, struct stream *stream);

/* Answers, if the process that asked is still there. */
void estuary_admin_answer(struct shard *shard, struct asker asker, const struct wire_estuary_state *m);
void estuary_admin_refuse(struct shard *shard, struct asker asker, enum error error);

#endif
