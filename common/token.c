#include "common/token.h"

#include <errno.h>
#include <jwt.h>
#include <stdlib.h>

#include "common/document.h"
#include "common/mem.h"

static const char *const names[] = {
    [SCOPE_NONE] = "", [SCOPE_READ] = "read", [SCOPE_WRITE] = "write", [SCOPE_MANAGE] = "manage"};

/* libjwt's name of it; EdDSA it does not know. */
static const struct {
    const char *name;
    enum key_kind kind;
    jwt_alg_t algorithm;
} algorithms[] = {
    {"HS256", KEY_SECRET, JWT_ALG_HS256},
    {"RS256", KEY_RS256, JWT_ALG_RS256},
    {"ES256", KEY_ES256, JWT_ALG_ES256},
    {"EdDSA", KEY_EDDSA, JWT_ALG_INVAL},
};

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

/* The parts of "head.payload.signature". */
static bool split(struct slice token, struct slice *head, struct slice *payload, struct slice *signature)
{
    const char *first = memchr(token.data, '.', token.len), *last = memrchr(token.data, '.', token.len);
    if (!first || first == last)
        return false;
    *head = slice_of(token.data, (size_t)(first - token.data));
    *payload = slice_of(first + 1, (size_t)(last - first) - 1);
    *signature = slice_of(last + 1, token.len - (size_t)(last - token.data) - 1);
    return true;
}

/* What the token says it is signed with; nothing of it is believed yet. */
static enum key_kind kind_of(const char *token)
{
    char text[TOKEN_MAX];
    size_t len;
    struct slice head, payload, signature;
    enum key_kind kind = KEY_NONE;
    if (!split(slice_str(token), &head, &payload, &signature) || !key_decode(head, (uint8_t *)text, sizeof text, &len))
        return KEY_NONE;
    cJSON *json = cJSON_ParseWithLength(text, len);
    const char *name = document_text(json, "alg");
    if (cJSON_GetObjectItemCaseSensitive(json, "crit")) /* RFC 7515 4.1.11: nothing that must be understood is */
        name = NULL;
    for (size_t i = 0; name && i < sizeof algorithms / sizeof algorithms[0]; i++)
        if (strcmp(name, algorithms[i].name) == 0)
            kind = algorithms[i].kind;
    cJSON_Delete(json);
    return kind;
}

static jwt_t *decode(const char *token, const char *key, enum key_kind kind)
{
    jwt_t *jwt = NULL;
    if (jwt_decode(&jwt, token, (const unsigned char *)key, (int)strlen(key)) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        if (algorithms[i].kind == kind && algorithms[i].algorithm == jwt_get_alg(jwt))
            return jwt;
    jwt_free(jwt);
    return NULL;
}

/* libjwt knows no EdDSA: OpenSSL verifies it, and libjwt reads what it says. */
static jwt_t *decode_eddsa(const char *token, const char *key)
{
    char text[TOKEN_MAX + 1];
    uint8_t bytes[64];
    size_t len;
    struct slice head, payload, signature;
    jwt_t *jwt = NULL;
    if (!split(slice_str(token), &head, &payload, &signature) || !key_decode(signature, bytes, sizeof bytes, &len) ||
        !key_verify_eddsa(key, slice_of(token, head.len + 1 + payload.len), slice_of((char *)bytes, len)) ||
        !key_decode(payload, (uint8_t *)text, TOKEN_MAX, &len) || memchr(text, 0, len) || jwt_new(&jwt) != 0)
        return NULL;
    text[len] = 0;
    if (jwt_add_grants_json(jwt, text) == 0)
        return jwt;
    jwt_free(jwt);
    return NULL;
}

/* A secret verifies HS256 and nothing else, a public key the one algorithm of its kind: which keys are tried is the
 * token's choice, what they verify is not. */
static jwt_t *decode_with_any(const char *token, const struct texts *secrets, const struct jwks *keys, const char **key)
{
    enum key_kind kind = kind_of(token);
    jwt_t *jwt = NULL;
    for (size_t i = 0; i < secrets->count && !jwt && kind == KEY_SECRET; i++) {
        *key = secrets->items[i];
        jwt = decode(token, *key, kind);
    }
    for (size_t i = 0; i < keys->count && !jwt; i++) {
        if (keys->keys[i].kind != kind)
            continue;
        *key = keys->keys[i].pem;
        jwt = kind == KEY_EDDSA ? decode_eddsa(token, *key) : decode(token, *key, kind);
    }
    return jwt;
}

bool token_wants_public_key(const char *token)
{
    enum key_kind kind = kind_of(token);
    return kind != KEY_NONE && kind != KEY_SECRET;
}

bool token_verify(const char *token, const struct texts *secrets, const struct jwks *keys, uint64_t now_s,
                  struct claims *claims, const char **key)
{
    *claims = (struct claims){0};
    jwt_t *jwt = decode_with_any(token, secrets, keys, key);
    bool whole = jwt && read_claims(jwt, claims);
    uint64_t expires_s = whole ? claims->expires_s : 0;
    jwt_free(jwt);
    if (whole && expires_s > now_s)
        return true;
    claims_clear(claims);
    claims->expires_s = expires_s;
    return false;
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
