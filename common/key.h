/* Keys that verify tokens: a project's own secrets, and public keys of others, which come as JWKs (RFC 7517). */
#ifndef COMMON_KEY_H
#define COMMON_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

/* A JWK's texts; NULL: it does not have it. */
struct jwk {
    const char *kty, *crv, *n, *e, *x, *y;
};

/* Named after what each verifies; a secret verifies HS256. */
enum key_kind { KEY_NONE, KEY_SECRET, KEY_RS256, KEY_ES256, KEY_EDDSA };

struct evp_pkey_st; /* libcrypto's EVP_PKEY */

/* The key, and what it verifies: RSA of 2048 to 8192 bits for RS256, P-256 for ES256, Ed25519 for EdDSA (RFC 8037).
 * NULL: it is none of these, or damaged. The caller frees it. */
struct evp_pkey_st *key_of(const struct jwk *jwk, enum key_kind *kind) MUSTUSE;
void key_free(struct evp_pkey_st *key);

/* The key's text as PEM; the same for the same key. The caller frees it. */
char *key_pem(struct evp_pkey_st *key) MUSTUSE;

/* The kind of key that an algorithm wants (RFC 7518 3.1, RFC 8037, RFC 9864). KEY_NONE: it is not supported. */
enum key_kind key_kind_of(struct slice algorithm) MUSTUSE;

/* Whether `signature` is that of the public key, which is of this kind, over `text`. */
bool key_verify(enum key_kind kind, struct evp_pkey_st *key, struct slice text, struct slice signature) MUSTUSE;

/* Verifies an HMAC by a secret. */
bool key_verify_secret(const char *secret, struct slice text, struct slice signature) MUSTUSE;

#define KEY_MAC 32u

/* The signature of a secret. */
void key_sign(const char *secret, struct slice text, uint8_t mac[KEY_MAC]);

#endif
