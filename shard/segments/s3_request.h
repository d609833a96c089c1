/* Operations on objects of an S3-compatible store: libcurl in the event loop, signed requests, repeated where that may
 * help. Used by object_s3.c and s3_owner.c, which decide what may be asked for. */
#ifndef SHARD_SEGMENTS_S3_REQUEST_H
#define SHARD_SEGMENTS_S3_REQUEST_H

#include "common/list.h"
#include "shard/segments/object_s3.h"
#include "shard/store/store_segment.h"

#define S3_URL_MAX 4096

enum s3_step { S3_PUT, S3_READ_BACK, S3_REMOVE, S3_GET, S3_FETCH };

/* Owned by its objects; freed when it ends. Exactly one of done, fetched and got is set. */
struct s3_request {
    struct list link; /* objects->requests, or ->awaiting_owner */
    struct objects *objects;
    char name[OBJECT_NAME_MAX];
    struct object object; /* of a fetch */
    enum s3_step step;
    struct slice file; /* of a put */
    uint64_t size;     /* of a fetch; of a get: the most */
    uint64_t checksum; /* of a fetch */
    struct buf whole;  /* of a fetch: the parts that have come */
    char cache[OBJECT_ROOT_MAX];
    unsigned attempt;
    char url[S3_URL_MAX], location[S3_URL_MAX]; /* of the last request, and where its answer points to */
    unsigned redirects;                         /* in a row */
    uint64_t began_ms;                          /* monotonic */
    uint64_t asked_us;                          /* the last time */
    struct event *again;
    bool missing; /* the object is, if the bucket is ours */

    /* Called when the object is missing, before that is believed; NULL: it is. True: somebody else sends or ends the
     * request later. */
    bool (*doubt)(struct s3_request *r);
    objects_done *done;
    objects_fetched *fetched;
    s3_got *got;
    void *ctx;
};

/* An operation that begins with this step. The caller sets what belongs to it, and sends it. */
struct s3_request *s3_request_new(struct objects *objects, const char *name, enum s3_step step, void *ctx);

/* Sends the request of the current step, now or after a pause. */
void s3_request_send(struct s3_request *r);
void s3_request_send_after(struct s3_request *r, uint64_t ms);

/* Ends it: the callback, and the request is gone. failure: NULL, or why. */
void s3_request_end(struct s3_request *r, const char *failure, enum error error);

/* Where an object is. */
void s3_request_url(const struct config *cfg, const char *name, char *out, size_t size);

#endif
