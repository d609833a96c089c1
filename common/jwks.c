#include "common/jwks.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "common/document.h"
#include "common/mem.h"

static const char *text_of(const cJSON *key, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(key, name));
}

static bool read_key(const cJSON *item, struct public_key *key)
{
    const struct jwk jwk = {text_of(item, "kty"), text_of(item, "crv"), text_of(item, "n"),
                            text_of(item, "e"),   text_of(item, "x"),   text_of(item, "y")};
    const char *use = text_of(item, "use");
    if (!cJSON_IsObject(item) || text_of(item, "d")) /* a private key has no business here */
        return false;
    if (use && strcmp(use, "sig") != 0)
        return false;
    key->pem = key_pem(&jwk, &key->kind);
    return key->pem != NULL;
}

static bool read_set(const cJSON *root, bool strict, struct jwks *jwks)
{
    const cJSON *item, *keys = cJSON_GetObjectItemCaseSensitive(root, "keys");
    if (!cJSON_IsArray(keys))
        return false;
    jwks->keys = xcalloc(JWKS_KEYS_MAX, sizeof *jwks->keys);
    cJSON_ArrayForEach(item, keys)
    {
        bool room = jwks->count < JWKS_KEYS_MAX;
        if (room && read_key(item, &jwks->keys[jwks->count]))
            jwks->count++;
        else if (strict)
            return false;
    }
    return true;
}

bool jwks_parse(struct slice json, bool strict, struct jwks *jwks)
{
    cJSON *root = document_parse(json);
    *jwks = (struct jwks){0};
    bool good = read_set(root, strict, jwks);
    cJSON_Delete(root);
    if (!good)
        jwks_clear(jwks);
    return good;
}

void jwks_clear(struct jwks *jwks)
{
    for (size_t i = 0; i < jwks->count; i++)
        free(jwks->keys[i].pem);
    free(jwks->keys);
    *jwks = (struct jwks){0};
}
