/* Tokens as identity providers make them, and as nobody should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/token.h"
#include "tests/unit/base64url.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210"
#define NOW 1700000000
#define HS256 "{\"alg\":\"HS256\"}"
#define BASE "\"sub\":\"acme\",\"scope\":\"read\",\"exp\":1700000060"

/* The public keys of RFC 8037 A.2 and of RFC 7515 A.3. */
#define ED25519 "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"

static struct token_rules rules = {.project = {"acme", 4}, .now_ms = NOW * 1000ull, .audiences = "", .issuers = ""};

static char *sign(const char *secret, const char *head, const char *payload)
{
    uint8_t mac[KEY_MAC];
    struct buf token = {0};
    base64url_add(&token, slice_str(head));
    buf_add_byte(&token, '.');
    base64url_add(&token, slice_str(payload));
    key_sign(secret, buf_slice(&token), mac);
    buf_add_byte(&token, '.');
    base64url_add(&token, slice_of((char *)mac, sizeof mac));
    char *text = xslicedup(buf_slice(&token));
    buf_clear(&token);
    return text;
}

static struct token_verdict verify(const char *token)
{
    static char *secrets[] = {(char *)(uintptr_t)OTHER, (char *)(uintptr_t)SECRET};
    static const struct texts texts = {secrets, 2};
    static const struct jwks none;
    return token_verify(slice_str(token), &rules, &texts, &none);
}

static enum token_fault fault_of(const char *head, const char *payload)
{
    char *token = sign(SECRET, head, payload);
    struct token_verdict verdict = verify(token);
    bool told = verdict.fault == TOKEN_GOOD || verdict.fault == TOKEN_EARLY || verdict.fault == TOKEN_EXPIRED;
    assert_true(told == (verdict.claims.subject != NULL));
    claims_clear(&verdict.claims);
    free(token);
    return verdict.fault;
}

#define expect(fault, head, payload)                                                                                   \
    assert_string_equal(token_fault_text(fault_of(head, payload)), token_fault_text(TOKEN_##fault))
#define expect_claims(fault, claims) expect(fault, HS256, "{" claims "}")

static void heads(void **state)
{
    (void)state;
    static const char *const good[] = {"JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"};
    static const char *const bad[] = {"", "JWS", "dpop+jwt", "logout+jwt", "application/", "text/jwt", "at+jwt "};
    char head[100];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(head, sizeof head, "{\"alg\":\"HS256\",\"typ\":\"%s\"}", good[i]);
        expect(GOOD, head, "{" BASE "}");
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(head, sizeof head, "{\"alg\":\"HS256\",\"typ\":\"%s\"}", bad[i]);
        expect(TYPE, head, "{" BASE "}");
    }
    expect(GOOD, HS256, "{" BASE "}");
    expect(TYPE, "{\"alg\":\"HS256\",\"typ\":7}", "{" BASE "}");
    expect(TYPE, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"typ\":\"JWT\"}", "{" BASE "}");
    expect(CRITICAL, "{\"alg\":\"HS256\",\"crit\":[\"x\"]}", "{" BASE "}");
    expect(CRITICAL, "{\"alg\":\"HS256\",\"crit\":null}", "{" BASE "}");
    expect(ALGORITHM, "{\"alg\":\"none\"}", "{" BASE "}");
    expect(ALGORITHM, "{\"alg\":\"hs256\"}", "{" BASE "}");
    expect(ALGORITHM, "{\"alg\":\"HS512\"}", "{" BASE "}");
    expect(ALGORITHM, "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "{" BASE "}");
    expect(ALGORITHM, "{\"alg\":[\"HS256\"]}", "{" BASE "}");
    expect(ALGORITHM, "{}", "{" BASE "}");
    expect(UNVERIFIED, "{\"alg\":\"RS256\"}", "{" BASE "}");
    expect(MALFORMED, "[]", "{" BASE "}");
    expect(MALFORMED, HS256 "x", "{" BASE "}");
    expect(MALFORMED, HS256, "[" BASE "]");
    expect(MALFORMED, HS256, "{\"sub\":\"acme\\u0000\"}");
    static const char *const texts[] = {"",    ".",     "..",      "...",     "a",
                                        "a.b", "a.b.c", "e30.e30", "e30.e3.", "%65%79.e30.x"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(verify(texts[i]).fault, TOKEN_MALFORMED);
}

#define TIMES(times) "{\"sub\":\"acme\",\"scope\":\"read\"," times "}"

static void times(void **state)
{
    (void)state;
    expect(GOOD, HS256, TIMES("\"exp\":1700000001"));
    expect(GOOD, HS256, TIMES("\"exp\":1700000001.5"));
    expect(GOOD, HS256, TIMES("\"exp\":1e10"));
    expect(GOOD, HS256, TIMES("\"exp\":9007199254740991"));
    expect(EXPIRED, HS256, TIMES("\"exp\":1700000000"));
    expect(EXPIRED, HS256, TIMES("\"exp\":1700000000.9"));
    expect(EXPIRED, HS256, TIMES("\"exp\":1"));
    expect(TIMES, HS256, TIMES("\"x\":0"));
    static const char *const bad[] = {"1e300", "1e999", "-1",           "-1e300", "\"1700000060\"",
                                      "null",  "true",  "[1700000060]", "{}"};
    static const char *const names[] = {"exp", "nbf", "iat"};
    char payload[200];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (size_t j = 0; j < 3; j++) {
            snprintf(payload, sizeof payload, "{\"sub\":\"acme\",\"scope\":\"read\",%s\"%s\":%s}",
                     j ? "\"exp\":2e9," : "", names[j], bad[i]);
            expect(TIMES, HS256, payload);
        }
    expect_claims(TIMES, BASE ",\"exp\":1700000060");
    expect_claims(GOOD, BASE ",\"nbf\":1700000000,\"iat\":1699999999.25");
    expect_claims(GOOD, BASE ",\"nbf\":0,\"iat\":1800000000");
    expect_claims(EARLY, BASE ",\"nbf\":1700000000.001");
    expect_claims(EARLY, BASE ",\"nbf\":1700001800");
    rules.now_ms += 1;
    expect_claims(GOOD, BASE ",\"nbf\":1700000000.001");
    rules.leeway_ms = 10000;
    expect_claims(GOOD, BASE ",\"nbf\":1700000010.0");
    expect_claims(EARLY, BASE ",\"nbf\":1700000010.5");
    expect(GOOD, HS256, TIMES("\"exp\":1699999991"));
    expect(EXPIRED, HS256, TIMES("\"exp\":1699999990.9"));
    rules.leeway_ms = 0;
    rules.now_ms -= 1;
}

static void claims(void **state)
{
    (void)state;
    char *token =
        sign(SECRET, HS256, "{\"sub\":\"x\",\"scope\":\"openid read email write\",\"exp\":2e9,\"stream_id\":\"s*\"}");
    struct token_verdict verdict = verify(token);
    assert_int_equal(verdict.fault, TOKEN_GOOD);
    assert_int_equal(verdict.claims.scope, SCOPE_WRITE);
    assert_int_equal(verdict.claims.expires_s, 2000000000);
    assert_string_equal(verdict.claims.subject, "x");
    assert_string_equal(verdict.claims.stream_id, "s*");
    assert_string_equal(verdict.key, SECRET);
    claims_clear(&verdict.claims);
    free(token);
    static const char *const scopes[] = {"\"root\"", "\"\"", "\"Read\"", "\"read:x\"", "[\"read\"]", "null", "1"};
    char payload[100];
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        snprintf(payload, sizeof payload, "{\"sub\":\"acme\",\"exp\":2e9,\"scope\":%s}", scopes[i]);
        expect(SCOPE, HS256, payload);
    }
    expect(SCOPE, HS256, "{\"sub\":\"acme\",\"exp\":2e9}");
    expect_claims(SCOPE, BASE ",\"scope\":\"manage\"");
    expect(CLAIMS, HS256, "{\"scope\":\"read\",\"exp\":2e9}");
    expect_claims(CLAIMS, BASE ",\"sub\":\"acme\"");
    expect_claims(CLAIMS, BASE ",\"stream_id\":7");
    expect_claims(CLAIMS, BASE ",\"stream_id\":null");
    expect_claims(CLAIMS, BASE ",\"iss\":7");
}

static void audiences(void **state)
{
    (void)state;
    expect_claims(AUDIENCE, BASE ",\"aud\":\"billing\"");
    expect_claims(AUDIENCE, BASE ",\"aud\":[\"billing\"]");
    expect_claims(AUDIENCE, BASE ",\"aud\":[]");
    expect_claims(AUDIENCE, BASE ",\"aud\":\"\"");
    expect_claims(GOOD, BASE ",\"iss\":\"https://any\"");
    rules.audiences = "streams https://streams.example";
    rules.issuers = "https://id.example/ other";
    expect_claims(GOOD, BASE);
    expect_claims(GOOD, BASE ",\"aud\":\"streams\",\"iss\":\"other\"");
    expect_claims(GOOD, BASE ",\"aud\":[\"x\",\"https://streams.example\"],\"iss\":\"https://id.example/\"");
    expect_claims(AUDIENCE, BASE ",\"aud\":\"stream\"");
    expect_claims(AUDIENCE, BASE ",\"aud\":\"streams https://streams.example\"");
    expect_claims(AUDIENCE, BASE ",\"aud\":[\"Streams\"]");
    expect_claims(CLAIMS, BASE ",\"aud\":[\"streams\",1]");
    expect_claims(CLAIMS, BASE ",\"aud\":{\"streams\":1}");
    expect_claims(CLAIMS, BASE ",\"aud\":null");
    expect_claims(CLAIMS, BASE ",\"aud\":\"streams\",\"aud\":\"streams\"");
    expect_claims(ISSUER, BASE ",\"iss\":\"https://id.example\"");
    expect_claims(ISSUER, BASE ",\"iss\":\"\"");
    rules.audiences = rules.issuers = "";
}

/* What is found without a key is what the token's bearer knows. */
static void strangers(void **state)
{
    (void)state;
    char *own = sign("another secret of thirty-two bytes", HS256, "{" BASE "}");
    char *elsewhere = sign("another secret of thirty-two bytes", HS256, "{\"sub\":\"other\"}");
    assert_int_equal(verify(own).fault, TOKEN_UNVERIFIED);
    assert_int_equal(verify(elsewhere).fault, TOKEN_ELSEWHERE);
    assert_null(verify(own).key);
    own[strlen(own) - 1] = 0;
    assert_int_equal(verify(own).fault, TOKEN_UNVERIFIED);
    free(own);
    free(elsewhere);
}

/* A public key's own text is no secret, and a secret is no public key. */
static void confusion(void **state)
{
    struct jwks keys;
    const struct texts no_secrets = {0};
    (void)state;
    assert_null(jwks_parse(SLICE("{\"keys\":[" ED25519 "]}"), 1, true, &keys));
    static const char *const heads[] = {HS256, "{\"alg\":\"EdDSA\"}", "{\"alg\":\"Ed25519\"}", "{\"alg\":\"RS256\"}"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        char *token = sign(keys.keys[0].pem, heads[i], "{" BASE "}");
        struct token_verdict verdict = token_verify(slice_str(token), &rules, &no_secrets, &keys);
        assert_int_equal(verdict.fault, TOKEN_UNVERIFIED);
        assert_int_equal(verdict.kind, i == 0 ? KEY_SECRET : i == 3 ? KEY_RS256 : KEY_EDDSA);
        free(token);
    }
    jwks_clear(&keys);
}

static void own_tokens(void **state)
{
    (void)state;
    struct claims claims = {.scope = SCOPE_MANAGE, .expires_s = 2000000000, .subject = (char *)(uintptr_t) "a\"b"};
    char *token = token_sign(SECRET, &claims);
    struct token_verdict verdict = verify(token);
    assert_int_equal(verdict.fault, TOKEN_GOOD);
    assert_int_equal(verdict.claims.scope, SCOPE_MANAGE);
    assert_string_equal(verdict.claims.subject, "a\"b");
    assert_null(verdict.claims.stream_id);
    claims_clear(&verdict.claims);
    free(token);
}

static void texts(void **state)
{
    (void)state;
    for (enum token_fault fault = TOKEN_GOOD; fault <= TOKEN_OTHER_ORIGIN; fault++) {
        const char *text = token_fault_text(fault);
        assert_null(strpbrk(text, "\"\\"));
        assert_true(fault == TOKEN_GOOD || *text);
        assert_true(fault == TOKEN_GOOD || error_status(token_fault_error(fault)) >= 400);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),      cmocka_unit_test(times),     cmocka_unit_test(claims),
        cmocka_unit_test(audiences),  cmocka_unit_test(strangers), cmocka_unit_test(confusion),
        cmocka_unit_test(own_tokens), cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
