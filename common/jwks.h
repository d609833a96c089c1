/* JSON Web Key Sets (RFC 7517 5): the public keys of whoever signs tokens elsewhere. */
#ifndef COMMON_JWKS_H
#define COMMON_JWKS_H

#include "common/attr.h"
#include "common/key.h"
#include "common/slice.h"

struct jwks {
    struct public_key {
        struct evp_pkey_st *key;
        char *pem; /* its text, by which it is known */
        char *kid; /* NULL: it has none */
        enum key_kind kind;
    } * keys;
    size_t count;
    size_t left_off; /* keys that would verify tokens, behind the last that there was room for */
};

/* Reads a set of at most so many keys. Strict, as for one that somebody has pasted: every key must be one that verifies
 * tokens here. Otherwise, as for one that was fetched, keys for other ends are passed over. NULL, and the caller clears
 * it; or what it should have been, a text to read after "must be", and jwks is empty. */
const char *jwks_parse(struct slice json, size_t most, bool strict, struct jwks *jwks) MUSTUSE;

void jwks_clear(struct jwks *jwks);

#endif
