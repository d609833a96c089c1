#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/http_client.h"

static void expect(const char *home, const char *location, const char *wanted)
{
    char *to = http_client_redirect("https://s3.example.org/bucket/key", location, home);
    if (wanted)
        assert_string_equal(to, wanted);
    else
        assert_null(to);
    free(to);
}

static void redirections(void **state)
{
    (void)state;
    static const char home[] = "https://s3.example.org";
    expect(home, "https://s3-2.example.org/bucket/key", "https://s3-2.example.org/bucket/key");
    expect(home, "https://bucket.s3.example.org:8443/key?a=b", "https://bucket.s3.example.org:8443/key?a=b");
    expect(home, "/elsewhere?there", "https://s3.example.org/elsewhere?there");
    expect("https://s3.amazonaws.com/", "https://b.s3-eu-west-1.amazonaws.com/key",
           "https://b.s3-eu-west-1.amazonaws.com/key");
    expect("http://127.0.0.1:9000", "http://127.0.0.1:9001/b", "http://127.0.0.1:9001/b");
    expect("http://localhost", "https://bucket.localhost/b", "https://bucket.localhost/b");
}

/* It would get a signature that is not for it, and a token. */
static void redirections_that_are_not_followed(void **state)
{
    (void)state;
    static const char home[] = "https://s3.example.org";
    expect(home, "http://s3.example.org/bucket/key", NULL);
    expect(home, "https://evil.org/bucket/key", NULL);
    expect(home, "https://s3.example.org.evil.org/", NULL);
    expect(home, "https://evilexample.org/", NULL);
    expect(home, "https://user@s3.example.org/", NULL);
    expect(home, "ftp://s3.example.org/", NULL);
    expect(home, "https://", NULL);
    expect("https://example.org", "https://other.org/", NULL);
    expect("https://amazonaws.com.evil.org", "https://s3.amazonaws.com/", NULL);
    expect("http://127.0.0.1", "http://1.127.0.0.1/", NULL);
    expect("http://127.0.0.1", "http://127.0.0.2/", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redirections),
        cmocka_unit_test(redirections_that_are_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
