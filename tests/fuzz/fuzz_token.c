/* Whatever a token says, it is verified only with a key of the project, and then its claims are whole. */
#include <stdlib.h>

#include "common/mem.h"
#include "common/token.h"
#include "tests/fuzz/fuzz.h"

static char *const secrets[] = {"0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"};

/* The public key of RFC 8037 A.2. */
#define ed25519 "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct texts all = {(char **)(uintptr_t)secrets, 2};
    static struct jwks keys;
    struct claims claims;
    const char *key;
    if (size > TOKEN_MAX)
        return 0;
    if (!keys.count)
        must(jwks_parse(SLICE(ed25519), true, &keys));
    char *token = xslicedup(slice_of((const char *)bytes, size));
    if (token_verify(token, &all, &keys, 1, &claims, &key)) {
        must(claims.scope != SCOPE_NONE && claims.subject && claims.expires_s > 1 && key);
        claims_clear(&claims);
    } else {
        must(!claims.subject && !claims.stream_id);
    }
    free(token);
    return 0;
}
