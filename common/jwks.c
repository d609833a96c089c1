/* Key sets as identity providers publish them (RFC 7517 5).
 *
 * Happy path: each key that can verify what we accept (RSA, EC P-256, Ed25519; use "sig" or none; key_ops with "verify"
 * or none) is decoded once and kept.
 *
 * Failure modes: in a set that somebody configures (strict) every key must be usable, and the error says what is wrong
 * with the first that is not. In a set that is fetched, keys of other kinds and uses are passed over, since providers
 * mix them. A set holds a bounded number of keys; left_off counts the others. */
#include "common/jwks.h"

#include <stdlib.h>

#include "common/document.h"
#include "common/mem.h"

/* A text, or nothing: what is something else is no text that could fit. */
static bool jwks_has_text(const cJSON *item, const char *name, const char **text)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(item, name);
    *text = cJSON_GetStringValue(member);
    return !member || *text;
}

/* A key may say whether it is for signatures (RFC 7517 4.2), for verifying them (4.3), and with which algorithm (4.4).
 * A key is for one thing (RFC 8725 3.1). */
static bool jwks_may_verify(const cJSON *item)
{
    const cJSON *each, *operations = cJSON_GetObjectItemCaseSensitive(item, "key_ops");
    bool verify = false;
    if (!cJSON_IsArray(operations))
        return !operations;
    cJSON_ArrayForEach(each, operations)
    {
        const char *operation = cJSON_GetStringValue(each);
        verify |= operation && strcmp(operation, "verify") == 0;
    }
    return verify;
}

/* NULL, or what it should have been. */
static const char *jwks_read_key(const cJSON *item, struct public_key *key)
{
    const char *use, *algorithm;
    const struct jwk jwk = {document_text(item, "kty"), document_text(item, "crv"), document_text(item, "n"),
                            document_text(item, "e"),   document_text(item, "x"),   document_text(item, "y")};
    if (cJSON_GetObjectItemCaseSensitive(item, "d"))
        return "a set of public keys: one has a d, which is private";
    if (!jwks_has_text(item, "use", &use) || (use && strcmp(use, "sig") != 0))
        return "a set of keys whose use, where there is one, is sig";
    if (!jwks_may_verify(item))
        return "a set of keys whose key_ops, where there are any, list verify";
    key->key = key_of(&jwk, &key->kind);
    if (!key->key)
        return "a set of keys that are RSA with 2048 to 8192 bits, EC on P-256, or OKP on Ed25519";
    if (!jwks_has_text(item, "alg", &algorithm) || (algorithm && key_kind_of(slice_str(algorithm)) != key->kind))
        return "a set of keys whose alg, where there is one, is RS256 for RSA, ES256 for EC, and EdDSA for OKP";
    const char *kid = document_text(item, "kid");
    key->pem = key_pem(key->key);
    key->kid = kid ? xstrdup(kid) : NULL;
    return NULL;
}

static void jwks_key_clear(struct public_key *key)
{
    key_free(key->key);
    free(key->pem);
    free(key->kid);
    *key = (struct public_key){0};
}

static const char *jwks_read_set(const cJSON *root, size_t most, bool strict, struct jwks *jwks)
{
    const cJSON *item, *keys = cJSON_GetObjectItemCaseSensitive(root, "keys");
    if (!cJSON_IsArray(keys))
        return "a JSON Web Key Set: an object with a list of keys";
    cJSON_ArrayForEach(item, keys)
    {
        struct public_key key = {0};
        const char *wrong = jwks_read_key(item, &key);
        if (!wrong && jwks->count < most) {
            jwks->keys = xrealloc(jwks->keys, (jwks->count + 1) * sizeof *jwks->keys);
            jwks->keys[jwks->count++] = key;
            continue;
        }
        /* A good key that finds no room is counted; a key that cannot be used is not. */
        jwks->left_off += !wrong;
        jwks_key_clear(&key);
        if (strict)
            return wrong ? wrong : "a set of fewer keys: up to 16";
    }
    return NULL;
}

const char *jwks_parse(struct slice json, size_t most, bool strict, struct jwks *jwks)
{
    cJSON *root = document_parse(json);
    *jwks = (struct jwks){0};
    const char *wrong = jwks_read_set(root, most, strict, jwks);
    cJSON_Delete(root);
    if (wrong)
        jwks_clear(jwks);
    return wrong;
}

void jwks_clear(struct jwks *jwks)
{
    for (size_t i = 0; i < jwks->count; i++)
        jwks_key_clear(&jwks->keys[i]);
    free(jwks->keys);
    *jwks = (struct jwks){0};
}
