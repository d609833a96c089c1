/* Keys verify signatures: HMAC secrets by libcrypto, public keys as EVP_PKEY made once from their JWK.
 *
 * Comparison of MACs takes the same time for every wrong one (CRYPTO_memcmp). RSA keys below 2048 bits and curves other
 * than P-256 are refused when they are read, not when they are used. */
#include "common/key.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "common/base64.h"
#include "common/log.h"
#include "common/mem.h"

#define NUMBER_MAX 1024u /* bytes of an RSA modulus of 8192 bits */
#define COORDINATE 32u   /* of P-256, and of Ed25519 */

enum key_kind key_kind_of(struct slice algorithm)
{
    static const struct {
        struct slice name;
        enum key_kind kind;
    } all[] = {
        {{"HS256", 5}, KEY_SECRET}, {{"RS256", 5}, KEY_RS256},   {{"ES256", 5}, KEY_ES256},
        {{"EdDSA", 5}, KEY_EDDSA},  {{"Ed25519", 7}, KEY_EDDSA},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (slice_equal(all[i].name, algorithm))
            return all[i].kind;
    return KEY_NONE;
}

/* ---- a JWK becomes a key ---- */

static bool key_decode_base64(const char *text, uint8_t *out, size_t room, size_t *len)
{
    *len = 0;
    return text && base64_take_url(slice_str(text), out, room, len);
}

static EVP_PKEY *key_from_params(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *params = build ? OSSL_PARAM_BLD_to_param(build) : NULL;
    if (context && params && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *key_rsa_key(const struct jwk *jwk)
{
    uint8_t n[NUMBER_MAX], e[8];
    size_t n_len, e_len;
    if (!key_decode_base64(jwk->n, n, sizeof n, &n_len) || !key_decode_base64(jwk->e, e, sizeof e, &e_len))
        return NULL;
    BIGNUM *modulus = BN_bin2bn(n, (int)n_len, NULL), *exponent = BN_bin2bn(e, (int)e_len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (BN_num_bits(modulus) >= 2048 && BN_is_odd(exponent) && !BN_is_one(exponent) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        key = key_from_params("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

static EVP_PKEY *key_ec_key(const struct jwk *jwk)
{
    uint8_t point[1 + 2 * COORDINATE] = {4}; /* not compressed */
    size_t x_len, y_len;
    if (!jwk->crv || strcmp(jwk->crv, "P-256") != 0 || !key_decode_base64(jwk->x, point + 1, COORDINATE, &x_len) ||
        !key_decode_base64(jwk->y, point + 1 + COORDINATE, COORDINATE, &y_len) || x_len != COORDINATE ||
        y_len != COORDINATE)
        return NULL;
    /* The point is 0x04, x, y (SEC 1, 2.3.3); libcrypto checks that it lies on the curve. */
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
        key = key_from_params("EC", build);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static EVP_PKEY *key_ed_key(const struct jwk *jwk)
{
    uint8_t x[COORDINATE];
    size_t len;
    if (!jwk->crv || strcmp(jwk->crv, "Ed25519") != 0 || !key_decode_base64(jwk->x, x, sizeof x, &len) ||
        len != sizeof x)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, len);
}

EVP_PKEY *key_of(const struct jwk *jwk, enum key_kind *kind)
{
    *kind = KEY_NONE;
    if (jwk->kty && strcmp(jwk->kty, "RSA") == 0) {
        *kind = KEY_RS256;
        return key_rsa_key(jwk);
    }
    if (jwk->kty && strcmp(jwk->kty, "EC") == 0) {
        *kind = KEY_ES256;
        return key_ec_key(jwk);
    }
    if (jwk->kty && strcmp(jwk->kty, "OKP") == 0) {
        *kind = KEY_EDDSA;
        return key_ed_key(jwk);
    }
    return NULL;
}

void key_free(EVP_PKEY *key)
{
    EVP_PKEY_free(key);
}

char *key_pem(EVP_PKEY *key)
{
    char *text;
    BIO *out = BIO_new(BIO_s_mem());
    if (!out || PEM_write_bio_PUBKEY(out, key) != 1)
        fatalx("libcrypto cannot print a key");
    long len = BIO_get_mem_data(out, &text);
    char *pem = xslicedup(slice_of(text, (size_t)len));
    BIO_free(out);
    return pem;
}

/* ---- signatures ---- */

static bool key_verify_digest(EVP_PKEY *key, const EVP_MD *digest, struct slice text, struct slice signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1 &&
                EVP_DigestVerify(context, (const uint8_t *)signature.data, signature.len, (const uint8_t *)text.data,
                                 text.len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error(); /* or a later TLS connection would take this for its own */
    return good;
}

/* A JWT has the two numbers of the signature one behind the other (RFC 7518 3.4), OpenSSL wants them in DER. */
static bool key_verify_ecdsa(EVP_PKEY *key, struct slice text, struct slice signature)
{
    const uint8_t *bytes = (const uint8_t *)signature.data;
    uint8_t *der = NULL;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    if (signature.len != 2 * COORDINATE || !pair) {
        ECDSA_SIG_free(pair);
        return false;
    }
    BIGNUM *r = BN_bin2bn(bytes, COORDINATE, NULL), *s = BN_bin2bn(bytes + COORDINATE, COORDINATE, NULL);
    /* The pair owns both numbers after set0(). */
    if (ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
    }
    int len = i2d_ECDSA_SIG(pair, &der);
    bool good = len > 0 && key_verify_digest(key, EVP_sha256(), text, slice_of((char *)der, (size_t)len));
    OPENSSL_free(der);
    ECDSA_SIG_free(pair);
    return good;
}

void key_sign(const char *secret, struct slice text, uint8_t mac[KEY_MAC])
{
    if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)text.data, text.len, mac, NULL))
        fatalx("libcrypto has no HMAC");
}

bool key_verify_secret(const char *secret, struct slice text, struct slice signature)
{
    uint8_t mac[KEY_MAC];
    key_sign(secret, text, mac);
    /* The length is no secret; only the bytes are compared in constant time. */
    return signature.len == sizeof mac && CRYPTO_memcmp(mac, signature.data, sizeof mac) == 0;
}

bool key_verify(enum key_kind kind, EVP_PKEY *key, struct slice text, struct slice signature)
{
    switch (kind) {
    case KEY_RS256:
        return key_verify_digest(key, EVP_sha256(), text, signature);
    case KEY_ES256:
        return key_verify_ecdsa(key, text, signature);
    case KEY_EDDSA:
        return key_verify_digest(key, NULL, text, signature);
    case KEY_SECRET:
    case KEY_NONE:
        break;
    }
    return false;
}
