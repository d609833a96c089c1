/* Whatever a token says, it is verified only with a key of the project, and then its claims are whole. */
#include "common/token.h"
#include "tests/fuzz/fuzz.h"

static char *const secrets[] = {"0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"};

/* The public key of RFC 8037 A.2. */
#define ed25519                                                                                                        \
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct texts all = {(char **)(uintptr_t)secrets, 2};
    const struct token_rules rules = {.project = SLICE("acme"), .now_ms = 1000, .audiences = "a", .issuers = ""};
    static struct jwks keys;
    if (!keys.count)
        must(!jwks_parse(SLICE(ed25519), 1, true, &keys));
    struct token_verdict verdict = token_verify(slice_of((const char *)bytes, size), &rules, &all, &keys);
    struct claims *claims = &verdict.claims;
    if (verdict.fault == TOKEN_GOOD)
        must(claims->scope != SCOPE_NONE && claims->subject && claims->expires_s > 1 && verdict.key);
    else if (verdict.fault != TOKEN_EARLY && verdict.fault != TOKEN_EXPIRED)
        must(!claims->subject && !claims->stream_id);
    claims_clear(claims);
    return 0;
}
