#include "common/token.h"

#include <errno.h>
#include <jwt.h>
#include <stdlib.h>

#include "common/mem.h"

static const char *const names[] = {
    [SCOPE_NONE] = "", [SCOPE_READ] = "read", [SCOPE_WRITE] = "write", [SCOPE_MANAGE] = "manage"};

enum scope scope_of(struct slice text)
{
    for (enum scope scope = SCOPE_READ; scope <= SCOPE_MANAGE; scope++)
        if (slice_equal(text, slice_str(names[scope])))
            return scope;
    return SCOPE_NONE;
}

const char *scope_name(enum scope scope)
{
    return names[scope];
}

static char *text_claim(jwt_t *jwt, const char *name)
{
    const char *text = jwt_get_grant(jwt, name);
    return text ? xstrdup(text) : NULL;
}

/* A claim that is there but is not a text must not pass for one that is not there. */
static bool has_claim(jwt_t *jwt, const char *name)
{
    char *json = jwt_get_grants_json(jwt, name);
    free(json);
    return json != NULL;
}

static bool read_claims(jwt_t *jwt, struct claims *claims)
{
    const char *scope = jwt_get_grant(jwt, "scope");
    errno = 0;
    long expires = jwt_get_grant_int(jwt, "exp");
    if (errno || expires <= 0 || !scope)
        return false;
    claims->scope = scope_of(slice_str(scope));
    claims->expires_s = (uint64_t)expires;
    claims->subject = text_claim(jwt, "sub");
    claims->stream_id = text_claim(jwt, "stream_id");
    return claims->scope != SCOPE_NONE && claims->subject && (claims->stream_id || !has_claim(jwt, "stream_id"));
}

/* What the token says it is signed with; nothing of it is believed yet. */
static jwt_alg_t algorithm_of(const char *token)
{
    jwt_t *jwt = NULL;
    if (jwt_decode(&jwt, token, NULL, 0) != 0)
        return JWT_ALG_NONE;
    const char *name = jwt_get_header(jwt, "alg"); /* without a key jwt_get_alg() knows of none */
    jwt_alg_t algorithm = name ? jwt_str_alg(name) : JWT_ALG_NONE;
    jwt_free(jwt);
    return algorithm;
}

static jwt_t *decode(const char *token, const char *key, jwt_alg_t algorithm)
{
    jwt_t *jwt = NULL;
    if (jwt_decode(&jwt, token, (const unsigned char *)key, (int)strlen(key)) != 0)
        return NULL;
    if (jwt_get_alg(jwt) == algorithm)
        return jwt;
    jwt_free(jwt);
    return NULL;
}

/* A secret verifies HS256 and nothing else, a public key the one algorithm of its kind: which keys are tried is the
 * token's choice, what they verify is not. */
static jwt_t *decode_with_any(const char *token, const struct project *project, const char **key)
{
    static const jwt_alg_t algorithms[] = {[KEY_RS256] = JWT_ALG_RS256, [KEY_ES256] = JWT_ALG_ES256};
    jwt_alg_t algorithm = algorithm_of(token);
    jwt_t *jwt = NULL;
    for (size_t i = 0; i < project->secrets.count && !jwt && algorithm == JWT_ALG_HS256; i++) {
        *key = project->secrets.items[i];
        jwt = decode(token, *key, JWT_ALG_HS256);
    }
    for (size_t i = 0; i < project->key_count && !jwt; i++) {
        if (algorithms[project->keys[i].kind] != algorithm)
            continue;
        *key = project->keys[i].pem;
        jwt = decode(token, *key, algorithm);
    }
    return jwt;
}

bool token_verify(const char *token, const struct project *project, uint64_t now_s, struct claims *claims,
                  const char **key)
{
    *claims = (struct claims){0};
    jwt_t *jwt = decode_with_any(token, project, key);
    bool good = jwt && read_claims(jwt, claims) && claims->expires_s > now_s;
    jwt_free(jwt);
    if (!good)
        claims_clear(claims);
    return good;
}

void claims_clear(struct claims *claims)
{
    free(claims->subject);
    free(claims->stream_id);
    *claims = (struct claims){0};
}

char *token_sign(const char *secret, const struct claims *claims)
{
    jwt_t *jwt;
    if (jwt_new(&jwt) != 0)
        return NULL;
    bool made = jwt_add_grant(jwt, "sub", claims->subject) == 0 &&
                jwt_add_grant(jwt, "scope", scope_name(claims->scope)) == 0 &&
                jwt_add_grant_int(jwt, "exp", (long)claims->expires_s) == 0 &&
                (!claims->stream_id || jwt_add_grant(jwt, "stream_id", claims->stream_id) == 0) &&
                jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret, (int)strlen(secret)) == 0;
    char *encoded = made ? jwt_encode_str(jwt) : NULL;
    jwt_free(jwt);
    return encoded;
}
