/* What an answer of an S3-compatible store says that is no success: its code, whether the object is missing, whether
 * the same request may succeed later. */
#ifndef SHARD_SEGMENTS_S3_ERROR_H
#define SHARD_SEGMENTS_S3_ERROR_H

#include <stdbool.h>

#include "common/attr.h"

struct http_client_answer;

#define S3_CODE_MAX 64

/* The code in the XML of an error; "" if there is none, as in the answer of something else in front of the store. */
void s3_error_code(const struct http_client_answer *answer, char code[S3_CODE_MAX]);

/* The object is not there. */
bool s3_error_is_missing(const struct http_client_answer *answer) MUSTUSE;

/* The request may be repeated. Also true if there is no answer. */
bool s3_error_is_transient(const struct http_client_answer *answer) MUSTUSE;

#endif
