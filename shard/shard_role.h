/* The functions that main.c puts into struct role. */
#ifndef SHARD_ROLE_H
#define SHARD_ROLE_H

#include "shard/shard.h"
#include "common/slice.h"

void shard_start(void *ctx, struct event_base *base, const struct config *cfg, unsigned index);
void shard_peer(void *ctx, enum role_kind kind, unsigned index, int fd);
void shard_backup(void *ctx, enum backup_step step, struct slice text);
void shard_turn(void *ctx);
void shard_leave(void *ctx);
void shard_stop(void *ctx);

/* After role_run(): closes the database cleanly. */
void shard_close(struct shard *shard);

#endif
