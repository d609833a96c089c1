/* Whether the bucket is this server's: an object of another server's bucket is not missing, and nothing is put or
 * removed there. shard/segments/owner.h says how a store is marked. */
#ifndef SHARD_SEGMENTS_S3_OWNER_H
#define SHARD_SEGMENTS_S3_OWNER_H

#include <stdbool.h>

#include "common/attr.h"

struct objects;
struct s3_request;

/* Asks, unless that is known, and says so in the log if the bucket is not ours. */
void s3_owner_find(struct objects *objects);

/* Sends a request that changes the bucket once it is known to be ours; ends it with a failure if it is not. */
void s3_owner_send(struct s3_request *r);

/* For s3_request.doubt: true if it is yet to be found out whose the bucket is; the request ends after that. */
bool s3_owner_doubt(struct s3_request *r) MUSTUSE;

#endif
