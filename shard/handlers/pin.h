/* Pins hold a source's bytes for its forks (shard/handlers/fork.h): made, asked after and dropped in the source's
 * shard, released by the fork's. */
#ifndef SHARD_HANDLERS_PIN_H
#define SHARD_HANDLERS_PIN_H

#include <stdint.h>

struct shard;

/* In the transaction that ends a fork, or the bytes it has of its source: the source's shard is to drop the pin. */
void pin_release(struct shard *shard, uint64_t fork_uid, uint64_t source_uid, uint64_t pin);

/* By the upkeep: repeats UNPINs that were not answered; asks after pins that nobody has confirmed. */
void pin_upkeep(struct shard *shard);

#endif
