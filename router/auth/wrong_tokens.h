/* How many wrong tokens each address has sent in this minute: looking at one costs work, so an address may not have
 * that done without limit (auth.failures). */
#ifndef ROUTER_AUTH_WRONG_TOKENS_H
#define ROUTER_AUTH_WRONG_TOKENS_H

#include <stdint.h>

#include "common/attr.h"

struct sockaddr_storage;

#define WRONG_TOKENS_PLACES 1024u

struct wrong_tokens {
    struct wrong_tokens_place *places; /* what hashes to a place replaces what was there */
};

void wrong_tokens_init(struct wrong_tokens *wrong);

/* A mark of the address of one host: an IPv4 address, or a /64 of IPv6. NULL: it is not known; all such share a place.
 */
uint64_t wrong_tokens_address(const struct sockaddr_storage *peer) MUSTUSE;

/* How many came from there in the minute of now_ms; and one more did. */
uint64_t wrong_tokens_count(struct wrong_tokens *wrong, uint64_t address, uint64_t now_ms) MUSTUSE;
void wrong_tokens_add(struct wrong_tokens *wrong, uint64_t address, uint64_t now_ms);

#endif
