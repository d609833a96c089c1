#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/http_client.h"
#include "tests/unit/fake_s3.h"

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

/* ---- signatures ---- */

static void on_done(void *ctx, const struct http_client_answer *answer)
{
    assert_null(answer->failure);
    *(bool *)ctx = true;
}

static void add_header(struct buf *headers, const char *line)
{
    buf_add(headers, line, strlen(line) + 1);
}

/* The example "GET Object" of "Signature Calculations for the Authorization Header" in the API reference of Amazon S3.
 */
static void a_signature_of_the_reference(void **state)
{
    struct fake_s3 s3 = {0};
    struct http_client client = {.base = event_base_new(), .connections = 1};
    char url[64];
    bool done = false;
    (void)state;
    fake_s3_open(&s3, client.base);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/test.txt", s3.port);
    struct http_client_request request = {.url = url,
                                          .timeout_ms = 60000,
                                          .most = 1000,
                                          .method = "GET",
                                          .aws_sigv4 = "aws:amz:us-east-1:s3",
                                          .user = "AKIAIOSFODNN7EXAMPLE",
                                          .password = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                          .done = on_done,
                                          .ctx = &done};
    add_header(&request.headers, "Host: examplebucket.s3.amazonaws.com");
    add_header(&request.headers, "Range: bytes=0-9");
    add_header(&request.headers,
               "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    add_header(&request.headers, "X-Amz-Date: 20130524T000000Z");
    http_client_send(&client, &request);
    while (!done)
        event_base_loop(client.base, EVLOOP_ONCE);
    assert_non_null(strstr(buf_slice(&s3.head).data,
                           "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
                           "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
                           "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"));
    http_client_clear(&client);
    fake_s3_close(&s3);
    event_base_free(client.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redirections),
        cmocka_unit_test(redirections_that_are_not_followed),
        cmocka_unit_test(a_signature_of_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
