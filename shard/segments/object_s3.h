/* Objects of an S3-compatible store: libcurl in the event loop, signed requests, repeated when that may help. Names are
 * those behind s3.prefix, of A-Z a-z 0-9 - . _ / and shorter than OBJECT_NAME_MAX. */
#ifndef SHARD_SEGMENTS_OBJECT_S3_H
#define SHARD_SEGMENTS_OBJECT_S3_H

#include "shard/segments/objects.h"
#include "common/slice.h"

/* As objects_put() and its like. */
void s3_put(struct objects *objects, const char *name, struct slice bytes, objects_done *done, void *ctx);
void s3_remove(struct objects *objects, const char *name, objects_done *done, void *ctx);

/* error: ERR_NONE, and `bytes` are borrowed; SEGMENT_MISSING: there is no such object; or another, and failure says
 * why. */
typedef void s3_got(void *ctx, enum error error, const char *failure, struct slice bytes);

/* Reads an object of at most `most` bytes. */
void s3_get(struct objects *objects, const char *name, uint64_t most, s3_got *got, void *ctx);

/* As objects_fetch(). */
void s3_fetch(struct objects *objects, const struct segment_row *row, const char *cache, objects_fetched *done,
              void *ctx);

/* Asks whether the bucket is this server's, and says so in the log if it is not. */
void s3_own(struct objects *objects);
void s3_clear(struct objects *objects);

#endif
