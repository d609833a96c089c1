/* Tokens that were verified for a project, wrong ones too: verifying costs up to a millisecond, finding one here costs
 * a SHA-256. A fixed number of places; what hashes to a place replaces what was there, but a wrong token never a good
 * one. No token is kept, only its digest. */
#ifndef ROUTER_AUTH_TOKEN_CACHE_H
#define ROUTER_AUTH_TOKEN_CACHE_H

#include <stdint.h>

#include "common/attr.h"
#include "common/token.h"

#define TOKEN_CACHE_PLACES 1024u
#define TOKEN_CACHE_DIGEST 32 /* SHA-256 */

struct evp_md_st;
struct evp_md_ctx_st;

/* What a token is found by. */
struct token_cache_key {
    uint64_t project; /* a mark; 0: the place is free */
    unsigned char digest[TOKEN_CACHE_DIGEST];
};

struct cached_token {
    struct token_cache_key by;
    enum token_fault fault; /* never TOKEN_EARLY or TOKEN_EXPIRED: the clock says these each time */
    enum key_kind kind;
    struct claims claims; /* TOKEN_GOOD */
    uint64_t key;         /* a mark of the one that verified it; 0: none did */
};

struct token_cache {
    struct cached_token *good, *wrong; /* TOKEN_CACHE_PLACES each */
    struct evp_md_st *sha256;
    struct evp_md_ctx_st *hash;
};

void token_cache_init(struct token_cache *cache);
void token_cache_free(struct token_cache *cache);

/* project: a mark. */
struct token_cache_key token_cache_key(const struct token_cache *cache, struct slice token, uint64_t project) MUSTUSE;

/* NULL: it is not known. What is returned holds until the next put or forget. */
const struct cached_token *token_cache_find(const struct token_cache *cache, const struct token_cache_key *key) MUSTUSE;

/* Takes the verdict's claims. */
const struct cached_token *token_cache_put(struct token_cache *cache, const struct token_cache_key *key,
                                           const struct token_verdict *verdict);

/* Keys have changed: what they verified counts no more. */
void token_cache_forget(struct token_cache *cache);

#endif
