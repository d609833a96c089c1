/* From a token's text to what it allows, or to the one fault that it has.
 *
 *     split --> decode head and claims --> read the head --> find the key that verifies --> read the claims
 *       |             |                        |                     |                          |
 *       MALFORMED     MALFORMED                TYPE, CRITICAL,       UNVERIFIED, ELSEWHERE      CLAIMS, SCOPE,
 * AUDIENCE, ALGORITHM                                        ISSUER, TIMES, EARLY, EXPIRED
 *
 * Nothing that the token says is believed before a key has verified it, except for the algorithm's name, which only
 * chooses among keys that are of that kind (RFC 8725 3.1: a public key is never used as an HMAC secret). The key id
 * orders the keys and decides nothing.
 *
 * Failure modes: each fault has its error code and its text in token.def. A text says what is wrong with the token that
 * the client has sent; it says nothing about the keys. EARLY and EXPIRED come with the claims, because a cache may
 * remember them until their time comes. */
#include "common/token.h"

#include <jwt.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base64.h"
#include "common/document.h"
#include "common/mem.h"
#include "common/words.h"

#define TIME_MAX 9007199254740991.0 /* 2^53-1: later ones are no numbers of seconds */

static const char *const token_names[] = {
    [SCOPE_NONE] = "", [SCOPE_READ] = "read", [SCOPE_WRITE] = "write", [SCOPE_MANAGE] = "manage"};

enum scope scope_of(struct slice text)
{
    for (enum scope scope = SCOPE_READ; scope <= SCOPE_MANAGE; scope++)
        if (slice_equal(text, slice_str(token_names[scope])))
            return scope;
    return SCOPE_NONE;
}

const char *scope_name(enum scope scope)
{
    return token_names[scope];
}

static const struct {
    enum error error;
    const char *text;
} token_faults[] = {
#define X(name, error, text) {ERR_##error, text},
#include "common/token.def"
#undef X
};

enum error token_fault_error(enum token_fault fault)
{
    return token_faults[fault].error;
}

const char *token_fault_text(enum token_fault fault)
{
    return token_faults[fault].text;
}

/* ---- members of the two objects ---- */

/* False: it comes twice (RFC 7515 4, RFC 7519 4). *item NULL: it does not come. */
static bool token_member(const cJSON *object, const char *name, const cJSON **item)
{
    const cJSON *each;
    *item = NULL;
    cJSON_ArrayForEach(each, object)
    {
        if (strcmp(each->string, name) != 0)
            continue;
        if (*item)
            return false;
        *item = each;
    }
    return true;
}

/* False: it comes twice, or is no text. *text NULL: it does not come. */
static bool token_text_member(const cJSON *object, const char *name, const char **text)
{
    const cJSON *item;
    bool once = token_member(object, name, &item);
    *text = cJSON_GetStringValue(item);
    return once && (!item || *text);
}

/* A NumericDate (RFC 7519 2), perhaps with a fraction. False: it comes twice, or is none. *time 0: it does not come. */
static bool token_time_member(const cJSON *object, const char *name, double *time)
{
    const cJSON *item;
    bool once = token_member(object, name, &item);
    *time = item ? cJSON_GetNumberValue(item) : 0; /* NaN if it is no number */
    return once && *time >= 0 && *time <= TIME_MAX;
}

/* ---- the three parts ---- */

struct parts {
    struct slice head, payload, signature, text; /* text: what is signed */
};

/* "head.payload.signature" */
static bool token_split(struct slice token, struct parts *parts)
{
    const char *first = token.len ? memchr(token.data, '.', token.len) : NULL;
    const char *last = token.len ? memrchr(token.data, '.', token.len) : NULL;
    if (!first || first == last)
        return false;
    parts->text = slice_of(token.data, (size_t)(last - token.data));
    parts->head = slice_of(token.data, (size_t)(first - token.data));
    parts->payload = slice_of(first + 1, (size_t)(last - first) - 1);
    parts->signature = slice_of(last + 1, token.len - parts->text.len - 1);
    return true;
}

/* The object in a part, or NULL. The caller deletes it. */
static cJSON *token_object_of(struct slice part)
{
    size_t len;
    char *text = xmalloc(part.len + 1);
    cJSON *object = base64_take_url(part, (uint8_t *)text, part.len, &len) ? document_parse(slice_of(text, len)) : NULL;
    free(text);
    if (cJSON_IsObject(object))
        return object;
    cJSON_Delete(object);
    return NULL;
}

/* ---- the head ---- */

/* "application/" may be left out (RFC 7515 4.1.9). Access tokens have at+jwt (RFC 9068 2.1). Whatever else names itself
 * was not made for this (RFC 8725 3.11). */
static bool token_type_fits(const char *type)
{
    static const char prefix[] = "application/";
    if (type && strncasecmp(type, prefix, sizeof prefix - 1) == 0)
        type += sizeof prefix - 1;
    return !type || strcasecmp(type, "JWT") == 0 || strcasecmp(type, "at+jwt") == 0;
}

/* What the token says that it is signed with; nothing of it is believed yet. */
static enum token_fault token_read_head(const cJSON *head, enum key_kind *kind, const char **kid)
{
    const cJSON *critical;
    const char *type, *algorithm;
    if (!token_text_member(head, "typ", &type) || !token_type_fits(type))
        return TOKEN_TYPE;
    if (!token_member(head, "crit", &critical) || critical) /* RFC 7515 4.1.11 */
        return TOKEN_CRITICAL;
    if (!token_text_member(head, "alg", &algorithm) || !algorithm)
        return TOKEN_ALGORITHM;
    *kind = key_kind_of(slice_str(algorithm));
    *kid = document_text(head, "kid");
    return *kind == KEY_NONE ? TOKEN_ALGORITHM : TOKEN_GOOD;
}

/* ---- the signature ---- */

static bool token_decode_signature(struct slice text, struct slice *signature)
{
    uint8_t *bytes = xmalloc(text.len + 1);
    *signature = slice_of((char *)bytes, 0);
    return base64_take_url(text, bytes, text.len, &signature->len);
}

static const char *token_find_secret(const struct texts *secrets, struct slice text, struct slice signature)
{
    for (size_t i = 0; i < secrets->count; i++)
        if (key_verify_secret(secrets->items[i], text, signature))
            return secrets->items[i];
    return NULL;
}

/* Those that the token names come first, which saves time and decides nothing. */
static const char *token_find_key(const struct jwks *keys, enum key_kind kind, const char *kid, struct slice text,
                                  struct slice signature)
{
    for (int named = 1; named >= 0; named--)
        for (size_t i = 0; i < keys->count; i++) {
            const struct public_key *key = &keys->keys[i];
            bool match = kid && key->kid && strcmp(kid, key->kid) == 0;
            if (key->kind == kind && match == (named == 1) && key_verify(kind, key->key, text, signature))
                return key->pem;
        }
    return NULL;
}

/* ---- the claims ---- */

/* The most that a list of scopes names (RFC 8693 4.2). */
static enum scope token_best_scope(const char *text)
{
    enum scope best = SCOPE_NONE;
    for (enum scope scope = SCOPE_READ; text && scope <= SCOPE_MANAGE; scope++)
        if (words_have(text, slice_str(token_names[scope])))
            best = scope;
    return best;
}

/* The audience is good, names others, or is no audience. */
static enum token_fault token_check_audience(const cJSON *claims, const char *audiences, bool needed)
{
    const cJSON *audience, *each;
    bool named = false;
    if (!token_member(claims, "aud", &audience))
        return TOKEN_CLAIMS;
    if (!audience)
        return needed && *audiences ? TOKEN_AUDIENCE : TOKEN_GOOD;
    if (cJSON_IsString(audience))
        return words_have(audiences, slice_str(audience->valuestring)) ? TOKEN_GOOD : TOKEN_AUDIENCE;
    if (!cJSON_IsArray(audience))
        return TOKEN_CLAIMS;
    cJSON_ArrayForEach(each, audience)
    {
        if (!cJSON_IsString(each))
            return TOKEN_CLAIMS;
        named |= words_have(audiences, slice_str(each->valuestring));
    }
    return named ? TOKEN_GOOD : TOKEN_AUDIENCE;
}

static enum token_fault token_check_issuer(const cJSON *claims, const char *issuers, bool needed)
{
    const char *issuer;
    if (!token_text_member(claims, "iss", &issuer))
        return TOKEN_CLAIMS;
    if (!*issuers || (!issuer && !needed) || (issuer && words_have(issuers, slice_str(issuer))))
        return TOKEN_GOOD;
    return TOKEN_ISSUER;
}

static enum token_fault token_check_times(const cJSON *all, const struct token_rules *rules, struct claims *claims)
{
    double expires, from, made;
    if (!token_time_member(all, "exp", &expires) || !token_time_member(all, "nbf", &from) ||
        !token_time_member(all, "iat", &made) || expires < 1)
        return TOKEN_TIMES;
    claims->expires_s = (uint64_t)expires;
    claims->from_ms = from * 1000;
    if (claims->from_ms > (double)(rules->now_ms + rules->leeway_ms))
        return TOKEN_EARLY;
    return claims->expires_s + rules->leeway_ms / 1000 > rules->now_ms / 1000 ? TOKEN_GOOD : TOKEN_EXPIRED;
}

static enum token_fault token_read_claims(const cJSON *all, const struct token_rules *rules, bool foreign,
                                          struct claims *claims)
{
    const char *scope, *subject, *stream;
    if (!token_text_member(all, "sub", &subject) || !subject || !token_text_member(all, "stream_id", &stream))
        return TOKEN_CLAIMS;
    if (!token_text_member(all, "scope", &scope) || token_best_scope(scope) == SCOPE_NONE)
        return TOKEN_SCOPE;
    enum token_fault fault = token_check_audience(all, rules->audiences, foreign);
    if (fault == TOKEN_GOOD)
        fault = token_check_issuer(all, rules->issuers, foreign);
    if (fault == TOKEN_GOOD)
        fault = token_check_times(all, rules, claims);
    if (fault != TOKEN_GOOD && fault != TOKEN_EARLY && fault != TOKEN_EXPIRED)
        return fault;
    claims->scope = token_best_scope(scope);
    claims->subject = xstrdup(subject);
    claims->stream_id = stream ? xstrdup(stream) : NULL;
    return fault;
}

/* No key verifies it. Its own words may say why. */
static enum token_fault token_why_unverified(const cJSON *claims, struct slice project)
{
    const char *subject;
    bool elsewhere = token_text_member(claims, "sub", &subject) && subject && !slice_equal(slice_str(subject), project);
    return elsewhere ? TOKEN_ELSEWHERE : TOKEN_UNVERIFIED;
}

/* ---- all of it ---- */

static void token_verify_parts(const struct parts *parts, const cJSON *head, const cJSON *claims,
                               const struct token_rules *rules, const struct texts *secrets, const struct jwks *keys,
                               struct token_verdict *verdict)
{
    struct slice signature;
    const char *kid;
    verdict->fault = token_read_head(head, &verdict->kind, &kid);
    if (verdict->fault != TOKEN_GOOD)
        return;
    bool foreign = verdict->kind != KEY_SECRET;
    if (token_decode_signature(parts->signature, &signature))
        verdict->key = foreign ? token_find_key(keys, verdict->kind, kid, parts->text, signature)
                               : token_find_secret(secrets, parts->text, signature);
    free((char *)(uintptr_t)signature.data);
    verdict->fault = verdict->key ? token_read_claims(claims, rules, foreign, &verdict->claims)
                                  : token_why_unverified(claims, rules->project);
}

struct token_verdict token_verify(struct slice token, const struct token_rules *rules, const struct texts *secrets,
                                  const struct jwks *keys)
{
    struct token_verdict verdict = {.fault = TOKEN_MALFORMED};
    struct parts parts;
    if (!token_split(token, &parts))
        return verdict;
    cJSON *head = token_object_of(parts.head), *claims = token_object_of(parts.payload);
    if (head && claims)
        token_verify_parts(&parts, head, claims, rules, secrets, keys, &verdict);
    cJSON_Delete(head);
    cJSON_Delete(claims);
    return verdict;
}

void claims_clear(struct claims *claims)
{
    free(claims->subject);
    free(claims->stream_id);
    *claims = (struct claims){0};
}

/* libjwt signs; what it cannot verify (at+jwt, fractions, EdDSA) is verified above, by one path for all tokens. */
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
    char *token = made ? jwt_encode_str(jwt) : NULL;
    jwt_free(jwt);
    return token;
}
