/* Public keys of others: a JWK (RFC 7517) becomes what a verifier takes. */
#ifndef COMMON_KEY_H
#define COMMON_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

/* A JWK's texts; NULL: it does not have it. */
struct jwk {
    const char *kty, *crv, *n, *e, *x, *y;
};

/* Named after what each verifies; a secret verifies HS256. */
enum key_kind { KEY_NONE, KEY_SECRET, KEY_RS256, KEY_ES256, KEY_EDDSA };

/* The key as PEM, which the caller frees, and what it verifies: RSA of 2048 to 8192 bits for RS256, P-256 for ES256,
 * Ed25519 for EdDSA (RFC 8037). NULL: it is none of these, or damaged. */
char *key_pem(const struct jwk *jwk, enum key_kind *kind) MUSTUSE;

/* Base64url without padding (RFC 7515 2), into out. False: it is none, is empty, or is longer than room. */
bool key_decode(struct slice text, uint8_t *out, size_t room, size_t *len) MUSTUSE;

/* Whether `signature` is that of the KEY_EDDSA key `pem` over `text`. */
bool key_verify_eddsa(const char *pem, struct slice text, struct slice signature) MUSTUSE;

#endif
