#include "router/auth/token_cache.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "router/auth/mark.h"

void token_cache_init(struct token_cache *cache)
{
    cache->good = xcalloc(TOKEN_CACHE_PLACES, sizeof *cache->good);
    cache->wrong = xcalloc(TOKEN_CACHE_PLACES, sizeof *cache->wrong);
    /* SHA256() would look the algorithm up each time, which takes longer than most tokens do. */
    cache->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    cache->hash = EVP_MD_CTX_new();
}

static void token_cache_clear(struct cached_token *place)
{
    claims_clear(&place->claims);
    *place = (struct cached_token){0};
}

void token_cache_forget(struct token_cache *cache)
{
    for (unsigned i = 0; i < TOKEN_CACHE_PLACES; i++) {
        token_cache_clear(&cache->good[i]);
        token_cache_clear(&cache->wrong[i]);
    }
}

void token_cache_free(struct token_cache *cache)
{
    token_cache_forget(cache);
    free(cache->good);
    free(cache->wrong);
    EVP_MD_CTX_free(cache->hash);
    EVP_MD_free(cache->sha256);
    *cache = (struct token_cache){0};
}

struct token_cache_key token_cache_key(const struct token_cache *cache, struct slice token, uint64_t project)
{
    struct token_cache_key key = {.project = project};
    if (EVP_DigestInit_ex2(cache->hash, cache->sha256, NULL) != 1 ||
        EVP_DigestUpdate(cache->hash, token.data, token.len) != 1 ||
        EVP_DigestFinal_ex(cache->hash, key.digest, NULL) != 1)
        fatalx("libcrypto has no SHA-256");
    return key;
}

/* The place comes from the digest. The digest of another's token is not known, so nobody can aim at its place. */
static struct cached_token *token_cache_place(struct cached_token *places, const struct token_cache_key *key)
{
    uint64_t number;
    memcpy(&number, key->digest, sizeof number);
    return &places[number % TOKEN_CACHE_PLACES];
}

static const struct cached_token *token_cache_look(struct cached_token *places, const struct token_cache_key *key)
{
    const struct cached_token *place = token_cache_place(places, key);
    bool same = place->by.project == key->project && memcmp(place->by.digest, key->digest, sizeof key->digest) == 0;
    return same ? place : NULL;
}

const struct cached_token *token_cache_find(const struct token_cache *cache, const struct token_cache_key *key)
{
    const struct cached_token *good = token_cache_look(cache->good, key);
    return good ? good : token_cache_look(cache->wrong, key);
}

const struct cached_token *token_cache_put(struct token_cache *cache, const struct token_cache_key *key,
                                           const struct token_verdict *verdict)
{
    /* A token that is early or expired now is right otherwise: its claims are kept, and the clock decides each time. */
    bool timely = verdict->fault != TOKEN_EARLY && verdict->fault != TOKEN_EXPIRED;
    enum token_fault fault = timely ? verdict->fault : TOKEN_GOOD;
    struct cached_token *place = token_cache_place(fault == TOKEN_GOOD ? cache->good : cache->wrong, key);
    token_cache_clear(place);
    *place = (struct cached_token){
        .by = *key,
        .fault = fault,
        .kind = verdict->kind,
        .claims = verdict->claims,
        .key = verdict->key ? auth_mark(slice_str(verdict->key)) : 0,
    };
    return place;
}
