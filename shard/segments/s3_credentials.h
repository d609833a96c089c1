/* The key that requests to the object store are signed with. It is read anew for each request, so it may be changed
 * while the server runs. */
#ifndef SHARD_SEGMENTS_S3_CREDENTIALS_H
#define SHARD_SEGMENTS_S3_CREDENTIALS_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/config.h"

#define S3_KEY_MAX 512
#define S3_TOKEN_MAX 4096

struct s3_credentials {
    char key[S3_KEY_MAX], secret[S3_KEY_MAX];
    char token[S3_TOKEN_MAX]; /* of a session; "": none */
};

/* False: there are none, or not both of key and secret. The caller wipes them after use. */
bool s3_credentials_find(const struct config *cfg, struct s3_credentials *credentials) MUSTUSE;

#endif
