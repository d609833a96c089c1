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

/* A turn at a given time: Unix time, and the monotonic one of shard->ticks_ms. A test of deadlines has a clock of its
 * own, so that nothing is due before the test says so, however slow the machine is. */
void shard_turn_at(struct shard *shard, uint64_t now_ms, uint64_t ticks_ms);

/* After role_run(): closes the database cleanly. */
void shard_close(struct shard *shard);

#endif
