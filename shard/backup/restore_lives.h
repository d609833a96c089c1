/* The lives of streams that are restored: what a server acknowledged after its backup is lost, and a reader that has it
 * must not go on in what is appended instead. */
#ifndef SHARD_BACKUP_RESTORE_LIVES_H
#define SHARD_BACKUP_RESTORE_LIVES_H

#include <stdint.h>

struct config;
struct role;
struct store;

/* Gives each stream of a restored database that can still grow another life behind its tail. now_ms: Unix time, later
 * than all lives that the lost server can have given. */
void restore_lives(struct store *store, const struct config *cfg, struct role *role, uint64_t now_ms);

#endif
