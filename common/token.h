/* Tokens: JWTs signed with HS256 by one of a project's secrets, or with RS256, ES256 or EdDSA by the owner of one of
 * its public keys. Claims: sub (the project), scope, exp, and stream_id when it is good for one stream, or with a '*'
 * at its end for all whose ids begin so. nbf, aud and iss count too (RFC 7519 4.1). */
#ifndef COMMON_TOKEN_H
#define COMMON_TOKEN_H

#include <stdint.h>

#include "common/attr.h"
#include "common/errors.h"
#include "common/project.h"

/* The scopes of tokens; each includes those before it. */
enum scope { SCOPE_NONE, SCOPE_READ, SCOPE_WRITE, SCOPE_MANAGE };

/* SCOPE_NONE for what is none. */
enum scope scope_of(struct slice text);
const char *scope_name(enum scope scope);

struct claims {
    enum scope scope;
    uint64_t expires_s; /* Unix time */
    double from_ms;     /* the same in ms; 0: it has counted all along */
    char *subject;
    char *stream_id; /* NULL: all streams */
};

enum token_fault {
#define X(name, error, text) TOKEN_##name,
#include "common/token.def"
#undef X
};

enum error token_fault_error(enum token_fault fault);
const char *token_fault_text(enum token_fault fault);

/* The rules that a token must meet. An aud must name one of `audiences`, an iss one of `issuers`, both separated by
 * spaces; without issuers any iss will do. If there are audiences or issuers, a token that a public key verifies has to
 * name one: such a key may sign for others, too. */
struct token_rules {
    struct slice project;
    uint64_t now_ms, leeway_ms; /* Unix time; what exp and nbf may be off */
    const char *audiences, *issuers;
};

struct token_verdict {
    enum token_fault fault;
    enum key_kind kind;   /* what verifies it, by its own words */
    const char *key;      /* the one that did; NULL: none */
    struct claims claims; /* if the fault is TOKEN_GOOD, TOKEN_EARLY or TOKEN_EXPIRED; the caller clears them */
};

/* A secret verifies HS256 and nothing else, a public key the one algorithm of its kind: which keys are tried is the
 * token's choice, what they verify is not. */
struct token_verdict token_verify(struct slice token, const struct token_rules *rules, const struct texts *secrets,
                                  const struct jwks *keys) MUSTUSE;

void claims_clear(struct claims *claims);

/* A token signed with `secret`; the caller frees it. */
char *token_sign(const char *secret, const struct claims *claims) MUSTUSE;

#endif
