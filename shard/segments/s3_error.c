/* A store answers an error with a status and a body of XML, of which only the code is read:
 *
 *     <Error><Code>NoSuchKey</Code><Message>...</Message></Error>
 *
 *     missing      404 with NoSuchKey: the object is not in the bucket
 *     transient    no answer, 408, 429, 5xx, or a code below: the same request may succeed later
 *     final        anything else: a key without rights, a bucket that is not there */
#include "shard/segments/s3_error.h"

#include <ctype.h>
#include <string.h>

#include "common/http_client.h"

void s3_error_code(const struct http_client_answer *answer, char code[S3_CODE_MAX])
{
    static const char tag[] = "<Code>";
    struct slice body = answer->body;
    const char *at = body.data ? memmem(body.data, body.len, tag, sizeof tag - 1) : NULL;
    size_t len = 0;
    for (at = at ? at + sizeof tag - 1 : NULL; at && at < body.data + body.len && isalnum((unsigned char)*at); at++)
        if (len < S3_CODE_MAX - 1)
            code[len++] = *at;
    code[len] = '\0';
}

static bool s3_error_has_code(const struct http_client_answer *answer, const char *const *codes)
{
    char code[S3_CODE_MAX];
    s3_error_code(answer, code);
    while (*codes && strcmp(*codes, code) != 0)
        codes++;
    return *codes;
}

/* A bucket that is not there, a proxy and a web server answer 404 too: only the code says that the object is missing.
 */
bool s3_error_is_missing(const struct http_client_answer *answer)
{
    static const char *const codes[] = {"NoSuchKey", NULL};
    return !answer->failure && answer->status == 404 && s3_error_has_code(answer, codes);
}

/* The codes are those that the AWS clients repeat a request for, whatever the status. */
bool s3_error_is_transient(const struct http_client_answer *answer)
{
    static const char *const codes[] = {"RequestTimeout",
                                        "RequestTimeoutException",
                                        "InternalError",
                                        "SlowDown",
                                        "ServiceUnavailable",
                                        "OperationAborted",
                                        "Throttling",
                                        "ThrottlingException",
                                        "RequestLimitExceeded",
                                        "BandwidthLimitExceeded",
                                        "RequestThrottled",
                                        "PriorRequestNotComplete",
                                        "IncompleteBody",
                                        "TooManyRequests",
                                        "RequestThrottledException",
                                        NULL};
    return answer->failure || answer->status >= 500 || answer->status == 429 || answer->status == 408 ||
           s3_error_has_code(answer, codes);
}
