/* Tokens: JWTs signed with HS256 by one of a project's secrets, or with RS256, ES256 or EdDSA by the owner of one of
 * its public keys. Claims: sub (the project), scope, exp, and stream_id when it is good for one stream, or with a '*'
 * at its end for all whose ids begin so. */
#ifndef COMMON_TOKEN_H
#define COMMON_TOKEN_H

#include <stdint.h>

#include "common/attr.h"
#include "common/project.h"

#define TOKEN_MAX 4096u /* longer ones are no tokens */

/* What a token allows; each includes those before it. */
enum scope { SCOPE_NONE, SCOPE_READ, SCOPE_WRITE, SCOPE_MANAGE };

/* SCOPE_NONE for what is none. */
enum scope scope_of(struct slice text);
const char *scope_name(enum scope scope);

struct claims {
    enum scope scope;
    uint64_t expires_s; /* Unix time */
    char *subject;
    char *stream_id; /* NULL: all streams */
};

/* False: it is not a token that one of these keys verifies, it is malformed, or it has expired at now_s. *key is the
 * one of them that verified it. The caller clears the claims. If all that is wrong is that it has expired,
 * claims->expires_s is when. */
bool token_verify(const char *token, const struct texts *secrets, const struct jwks *keys, uint64_t now_s,
                  struct claims *claims, const char **key) MUSTUSE;

/* The token says that a public key is what verifies it. */
bool token_wants_public_key(const char *token) MUSTUSE;
void claims_clear(struct claims *claims);

/* A token signed with `secret`; the caller frees it. NULL: it cannot be made. */
char *token_sign(const char *secret, const struct claims *claims) MUSTUSE;

#endif
