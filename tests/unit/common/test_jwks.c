/* Keys of others: which they are, what they are for, and the signatures of the RFCs' own examples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/base64.h"
#include "common/jwks.h"
#include "tests/unit/base64url.h"

/* RFC 7515 A.3, RFC 8037 A.2, and one of 2048 bits that signed TEXT. */
#define EC                                                                                                             \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_"   \
    "tue659LNpXW6pCyStikYjKIWI5a0\""
#define OKP "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define RSA                                                                                                            \
    "\"kty\":\"RSA\",\"e\":\"AQAB\","                                                                                  \
    "\"n\":\"1n3vWE5I3TavEv48WCh9do4OTbkKekQCUgvSJ3jJL67Q-rErOmpFztqnTXQSrlJ92J3tkuClpd6ZJhOrexXJw-PPyAmtBHelqLoz448U" \
    "GB62SqwOTKsgxs9-ehvxqPGVC3d_6J6YPQXnS2UWhqFDiiXSwbkmIB6yEnBykA5jyu1lajBJgXhQzC8UGoCFMMbVRFUwImAxyQwUwKEgqOVQuJwW" \
    "kCWSpyFSz-vCMf6kiuDv8Il4GwfzyANUGHRg8n0c44UE6eCY3ys4_aDlLrk02cG-gyM6zB8QXCm2FUcweJQ2Q7EgpfFz2Ea4cJFPV1ShCYA4v4MV" \
    "TNRQon3dEsFzWw\""
#define TEXT "eyJhbGciOiJSUzI1NiJ9.e30"
#define RSA_SIGNATURE                                                                                                  \
    "yXqQJXyp3njY0wicDHrgR9_TrEnEXSG3181P8UwTpDgG5J8p2Wyvzf_DL-pCHKWK3L5YriHzf9HxcRxGKAPrwskMVxE4xnhvf69EQLB34qbxFa4u" \
    "U6Pg-6Dm9n-9tcDFC2lQmCsD4JXpCR4CxOlzfWjLFc4FBhiYXjy84TPxWbIuN1_DX3It-Fg9Pt-L3pW0bQgqwJZ1y3Cd44zPhh7bT-QvHrkAXjto" \
    "J-mIfWn5XJ0VXIfbh260Teo2EZvkaeD3BS_1hjB52eHhLzlCPLIaImGWJQbNH_U8fnV1m8hZfTjKVyKgsvYnrrefnEMdX8z3aKI5tMZoYdRDLIs5" \
    "CSvyvg"
#define EC_TEXT                                                                                                        \
    "eyJhbGciOiJFUzI1NiJ9."                                                                                            \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl"                     \
    "fQ"
#define EC_SIGNATURE "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define OKP_TEXT "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
#define OKP_SIGNATURE "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

static const char *parse(const char *key, bool strict, struct jwks *keys)
{
    char text[1500];
    snprintf(text, sizeof text, "{\"keys\":[%s]}", key);
    return jwks_parse(slice_str(text), 2, strict, keys);
}

/* One for other ends is refused where somebody gives it, and passed over where it was fetched. */
static void expect_unfit(const char *key, const char *why)
{
    struct jwks keys;
    const char *wrong = parse(key, true, &keys);
    assert_non_null(wrong);
    assert_non_null(strstr(wrong, why));
    assert_null(parse(key, false, &keys));
    assert_int_equal(keys.count, 0);
    jwks_clear(&keys);
}

static void expect_fit(const char *key, enum key_kind kind)
{
    struct jwks keys;
    assert_null(parse(key, true, &keys));
    assert_int_equal(keys.count, 1);
    assert_int_equal(keys.keys[0].kind, kind);
    jwks_clear(&keys);
}

static void what_they_are_for(void **state)
{
    (void)state;
    expect_fit("{" RSA "}", KEY_RS256);
    expect_fit("{" RSA ",\"use\":\"sig\",\"alg\":\"RS256\",\"key_ops\":[\"verify\"],\"x5c\":[\"AAAA\"]}", KEY_RS256);
    expect_fit("{" EC ",\"alg\":\"ES256\"}", KEY_ES256);
    expect_fit("{" OKP ",\"alg\":\"EdDSA\"}", KEY_EDDSA);
    expect_fit("{" OKP ",\"alg\":\"Ed25519\",\"key_ops\":[\"sign\",\"verify\"]}", KEY_EDDSA);
    static const char *const algorithms[] = {"\"RSA-OAEP\"", "\"PS256\"", "\"RS384\"", "\"ES256\"", "\"HS256\"",
                                             "\"rs256\"",    "\"\"",      "7",         "null",      "[\"RS256\"]"};
    char key[700];
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        snprintf(key, sizeof key, "{" RSA ",\"alg\":%s}", algorithms[i]);
        expect_unfit(key, "alg");
    }
    static const char *const operations[] = {"[\"encrypt\"]", "[\"sign\"]", "[]",   "\"verify\"",
                                             "[\"Verify\"]",  "[1]",        "null", "{\"verify\":1}"};
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        snprintf(key, sizeof key, "{" EC ",\"key_ops\":%s}", operations[i]);
        expect_unfit(key, "key_ops");
    }
    static const char *const uses[] = {"\"enc\"", "\"SIG\"", "\"\"", "null", "[\"sig\"]"};
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        snprintf(key, sizeof key, "{" OKP ",\"use\":%s}", uses[i]);
        expect_unfit(key, "use");
    }
    expect_unfit("{" EC ",\"alg\":\"ECDH-ES\"}", "alg");
    expect_unfit("{" EC ",\"key_ops\":[\"deriveKey\"]}", "key_ops");
    expect_unfit("{" EC ",\"d\":\"AAAA\"}", "private");
    expect_unfit("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
                 "Ed25519");
    expect_unfit("{\"kty\":\"oct\",\"k\":\"AAAA\"}", "RSA");
    expect_unfit("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "2048");
    expect_unfit("7", "RSA");
}

static void large_sets(void **state)
{
    struct jwks keys;
    (void)state;
    assert_null(parse("{" EC ",\"kid\":\"a\"},{},{" OKP ",\"kid\":7},{" EC "},{" EC ",\"use\":\"enc\"}", false, &keys));
    assert_int_equal(keys.count, 2);
    assert_int_equal(keys.left_off, 1);
    assert_string_equal(keys.keys[0].kid, "a");
    assert_null(keys.keys[1].kid);
    jwks_clear(&keys);
    assert_non_null(strstr(parse("{" EC "},{" OKP "},{" EC "}", true, &keys), "fewer"));
    assert_non_null(jwks_parse(SLICE("{}"), 2, false, &keys));
    assert_non_null(jwks_parse(SLICE("[]"), 2, false, &keys));
    assert_non_null(jwks_parse(SLICE("{\"keys\":[]} x"), 2, false, &keys));
}

static bool verify(const char *key, const char *text, const char *signature)
{
    struct jwks keys;
    uint8_t bytes[256];
    size_t len;
    assert_null(parse(key, true, &keys));
    assert_true(base64_take_url(slice_str(signature), bytes, sizeof bytes, &len));
    bool good = key_verify(keys.keys[0].kind, keys.keys[0].key, slice_str(text), slice_of((char *)bytes, len));
    assert_false(key_verify(keys.keys[0].kind, keys.keys[0].key, slice_str(text), slice_of((char *)bytes, len - 1)));
    bytes[len / 2] ^= 1;
    assert_false(key_verify(keys.keys[0].kind, keys.keys[0].key, slice_str(text), slice_of((char *)bytes, len)));
    jwks_clear(&keys);
    return good;
}

static void signatures(void **state)
{
    (void)state;
    assert_true(verify("{" RSA "}", TEXT, RSA_SIGNATURE));
    assert_true(verify("{" EC "}", EC_TEXT, EC_SIGNATURE));
    assert_true(verify("{" OKP "}", OKP_TEXT, OKP_SIGNATURE));
    assert_false(verify("{" RSA "}", TEXT ".", RSA_SIGNATURE));
    assert_false(verify("{" EC "}", TEXT, EC_SIGNATURE));
    assert_false(verify("{" OKP "}", TEXT, OKP_SIGNATURE));
    static const char zeros[64];
    struct jwks keys;
    assert_null(parse("{" EC "}", true, &keys)); /* CVE-2022-21449 */
    assert_false(key_verify(KEY_ES256, keys.keys[0].key, SLICE(TEXT), slice_of(zeros, sizeof zeros)));
    assert_false(key_verify(KEY_NONE, keys.keys[0].key, SLICE(TEXT), slice_of(zeros, sizeof zeros)));
    assert_false(key_verify(KEY_SECRET, keys.keys[0].key, SLICE(TEXT), slice_of(zeros, sizeof zeros)));
    jwks_clear(&keys);
}

static void secrets(void **state)
{
    static const char secret[] = "0123456789abcdef0123456789abcdef";
    uint8_t mac[KEY_MAC];
    struct buf text = {0};
    (void)state;
    key_sign(secret, SLICE(TEXT), mac);
    base64url_add(&text, slice_of((char *)mac, sizeof mac));
    assert_true(slice_equal(buf_slice(&text), SLICE("iIq5VRiIUpZxozBuJ2j0hNv8dec2cOearQP7n0EAymI")));
    assert_true(key_verify_secret(secret, SLICE(TEXT), slice_of((char *)mac, sizeof mac)));
    assert_false(key_verify_secret(secret, SLICE(TEXT), slice_of((char *)mac, 16)));
    assert_false(key_verify_secret(secret, SLICE(TEXT), (struct slice){0}));
    buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_they_are_for), cmocka_unit_test(large_sets),
                                       cmocka_unit_test(signatures), cmocka_unit_test(secrets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
