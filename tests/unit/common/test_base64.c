/* Base64 in both alphabets, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base64.h"

/* RFC 4648 10, and bytes that need the last two digits. */
static const char *const texts[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar", "\xff\xfe\xfd"};
static const char *const codes[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy", "//79"};

static void bytes_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buf code = {0}, bytes = {0};
        base64_add(&code, slice_str(texts[i]));
        assert_true(slice_equal(buf_slice(&code), slice_str(codes[i])));
        assert_true(base64_take(&bytes, slice_str(codes[i])));
        assert_true(slice_equal(buf_slice(&bytes), slice_str(texts[i])));
        buf_clear(&code);
        buf_clear(&bytes);
    }
}

static void padding_may_lack(void **state)
{
    static const char *const bad[] = {"Zm 8", "Zm9v\n", "Zm-_",     "\x80m9v",  "Z",    "Zm9vY", "Z===",
                                      "====", "Zg=",    "Zg==Zg==", "Zm9v====", "Zg=a", "Zm9v=", "Zm9v=ignored"};
    struct buf bytes = {0};
    (void)state;
    assert_true(base64_take(&bytes, SLICE("Zg")));
    assert_true(base64_take(&bytes, SLICE("Zm9vYmE")));
    assert_true(slice_equal(buf_slice(&bytes), SLICE("ffooba")));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(base64_take(&bytes, slice_str(bad[i])));
    buf_clear(&bytes);
}

static void long_texts(void **state)
{
    char text[1000];
    struct buf code = {0}, bytes = {0};
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    for (size_t len = 180; len < sizeof text; len++) {
        buf_reset(&code);
        buf_reset(&bytes);
        base64_add(&code, slice_of(text, len));
        assert_int_equal(buf_len(&code), (len + 2) / 3 * 4);
        assert_true(base64_take(&bytes, buf_slice(&code)));
        assert_true(slice_equal(buf_slice(&bytes), slice_of(text, len)));
    }
    buf_clear(&code);
    buf_clear(&bytes);
}

static void url(void **state)
{
    static const char *const good[] = {"Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy", "__79"};
    static const char *const bad[] = {"", "Z", "Zm9vY", "Zg==", "Zm 8", "Zm9v\n", "Zm+/", "Zm9vYmFyZm9v"};
    uint8_t bytes[8];
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(base64_take_url(slice_str(good[i]), bytes, sizeof bytes, &len));
        assert_true(slice_equal(slice_of((char *)bytes, len), slice_str(texts[i + 1])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(base64_take_url(slice_str(bad[i]), bytes, sizeof bytes, &len));
    assert_true(base64_take_url(SLICE("Zm9v"), bytes, 3, &len));
    assert_false(base64_take_url(SLICE("Zm9v"), bytes, 2, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_come_back), cmocka_unit_test(padding_may_lack),
                                       cmocka_unit_test(long_texts), cmocka_unit_test(url)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
