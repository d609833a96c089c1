/* Where the files of segments are kept: a folder, or an S3-compatible store with a folder as its cache. */
#ifndef SHARD_SEGMENTS_OBJECTS_H
#define SHARD_SEGMENTS_OBJECTS_H

#include "common/config.h"
#include "common/errors.h"
#include "common/http_client.h"
#include "common/list.h"
#include "common/metrics.h"
#include "common/slice.h"
#include "shard/segments/object_files.h"
#include "shard/segments/owner.h"
#include "common/attr.h"

struct objects {
    const struct config *cfg;
    struct event_base *base;
    struct worker *worker;
    struct http_client http_client;
    struct metrics *metrics;
    struct list requests, awaiting_owner; /* s3_request.h */
    bool stopping;
    bool puts_away;   /* new segments go to the store */
    bool away;        /* there may be segments in the store, which are fetched before they are read */
    uint64_t fetched; /* bytes, since the cache was last trimmed */
    bool unreachable; /* the last request failed; this was logged */
    struct owner owner;
    bool doubted;      /* the folder is not ours; this was logged */
    bool trusted;      /* the bucket is ours */
    bool marks_stores; /* that are used */
    bool asks_owner;   /* it is being asked whose it is */
    bool refused;      /* it is not ours; this was logged */
    size_t sample;     /* that is looked for there */
};

void objects_init(struct objects *objects, const struct config *cfg, struct event_base *base, struct worker *worker);
/* From now on nothing is missing, put or removed in stores that are not this server's, and those that it uses are
 * marked. Says in the log if one is not. Not called: they are believed. */
void objects_own(struct objects *objects, struct store *store);
/* The same, but no store is marked. */
void objects_know(struct objects *objects);
/* What is under way fails. */
void objects_clear(struct objects *objects);

/* Keeps a new file. When it is done the file is there to stay, and was read back whole and right. `file` stays the
 * caller's until then. */
void objects_put(struct objects *objects, const struct object *object, struct slice file, objects_done *done,
                 void *ctx);

/* Removes a file; none there is as good. */
void objects_remove(struct objects *objects, const struct object *object, objects_done *done, void *ctx);

/* Opens a file for reading. -1: errno; ENOENT: it is missing, or if there is a store it is to be fetched; ESTALE: the
 * folder is not this server's. *cached: it is in the cache, and may be fetched again. */
int objects_open(struct objects *objects, const struct object *object, bool *cached) MUSTUSE;

/* Removes it from the cache. */
void objects_uncache(const struct objects *objects, const struct object *object);

/* ERR_NONE: it can be opened now. SEGMENT_MISSING, SEGMENT_TRUNCATED, SEGMENT_UNAVAILABLE. */
typedef void objects_fetched(void *ctx, enum error error);

/* Fetches the file of a segment into the cache. */
void objects_fetch(struct objects *objects, const struct segment_row *row, objects_fetched *done, void *ctx);

#endif
