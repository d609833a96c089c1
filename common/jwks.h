/* JSON Web Key Sets (RFC 7517 5): the public keys of whoever signs tokens elsewhere. */
#ifndef COMMON_JWKS_H
#define COMMON_JWKS_H

#include "common/attr.h"
#include "common/key.h"
#include "common/slice.h"

#define JWKS_KEYS_MAX 16u

struct jwks {
    struct public_key {
        char *pem;
        enum key_kind kind;
    } * keys;
    size_t count;
};

/* Reads a set. Strict, as for one that somebody has pasted: every key must be one that verifies tokens here. Otherwise,
 * as for one that was fetched: keys for other ends are passed over, and so are those past JWKS_KEYS_MAX. False: it is
 * no set, and jwks is empty. The caller clears it. */
bool jwks_parse(struct slice json, bool strict, struct jwks *jwks) MUSTUSE;

void jwks_clear(struct jwks *jwks);

#endif
