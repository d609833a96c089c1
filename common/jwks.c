#include "common/jwks.h"

#include <stdlib.h>

#include "common/document.h"
#include "common/mem.h"

static bool read_key(const cJSON *item, struct public_key *key)
{
    const struct jwk jwk = {document_text(item, "kty"), document_text(item, "crv"), document_text(item, "n"),
                            document_text(item, "e"),   document_text(item, "x"),   document_text(item, "y")};
    const char *use = document_text(item, "use");
    if (!cJSON_IsObject(item) || document_text(item, "d")) /* a private key has no business here */
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
