/* Segments as objects of an S3-compatible store: libcurl in the event loop, signed requests, repeated when that may
 * help. */
#ifndef SHARD_OBJECT_S3_H
#define SHARD_OBJECT_S3_H

#include "shard/objects.h"

/* As objects_put() and its like. */
void s3_put(struct objects *objects, const struct object *object, struct slice file, objects_done *done, void *ctx);
void s3_remove(struct objects *objects, const struct object *object, objects_done *done, void *ctx);
void s3_fetch(struct objects *objects, const struct object *object, uint64_t size, const char *cache,
              objects_fetched *done, void *ctx);
void s3_clear(struct objects *objects);

#endif
