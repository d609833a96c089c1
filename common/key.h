/* Public keys of others: a JWK (RFC 7517) becomes what a verifier takes. */
#ifndef COMMON_KEY_H
#define COMMON_KEY_H

#include "common/attr.h"

/* A JWK's texts; NULL: it does not have it. */
struct jwk {
    const char *kty, *crv, *n, *e, *x, *y;
};

enum key_kind { KEY_NONE, KEY_RS256, KEY_ES256 };

/* The key as PEM, which the caller frees, and what it verifies: RSA of 2048 to 8192 bits for RS256, P-256 for ES256.
 * NULL: it is none of these, or damaged. */
char *key_pem(const struct jwk *jwk, enum key_kind *kind) MUSTUSE;

#endif
