/* Segments on their way from the object store into the cache, and the readings that are suspended until they arrive. */
#ifndef SHARD_SEGMENTS_FETCH_H
#define SHARD_SEGMENTS_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/errors.h"
#include "common/list.h"
#include "shard/store/store_segment.h"

struct objects;

#define FETCHES_MAX 256       /* segments on their way */
#define FETCH_WAITS_MAX 4096  /* readings that wait for them */
#define FETCH_FAILURES_MAX 16 /* failures that are remembered */

/* Embedded in what waits, which stays until resume() is called or the wait is cancelled. */
struct fetch_wait {
    struct list link; /* of its fetch */
    /* Called once, from the event loop: the segment is there, or could not be had; a new look tells. ctx is that of
     * fetches_init(), or NULL if the shard stops: then there is nothing to do but to free what waited. */
    void (*resume)(struct fetch_wait *wait, void *ctx);
};

/* A segment that could not be fetched a moment ago. */
struct fetch_failure {
    struct object object;
    enum error error;
    uint64_t until_ms;
};

struct fetches {
    struct store *store;
    struct objects *objects;
    struct list under_way;
    unsigned count, waits;
    struct fetch_failure failures[FETCH_FAILURES_MAX];
    size_t last_failure;
    bool stopped;
    void (*wake)(void *ctx);
    void *ctx;
};

/* wake: called after waits were resumed, so that a turn follows. */
void fetches_init(struct fetches *fetches, struct store *store, struct objects *objects, void (*wake)(void *ctx),
                  void *ctx);

/* Nobody is resumed from now on: what waits is freed when its fetch ends. */
void fetches_stop(struct fetches *fetches);

/* Fetches a segment, unless it is on its way already, and some of those behind it. With `wait`, that is resumed when
 * the segment arrives or fails. False: it is not on its way, or too many wait; `wait` is not kept. */
bool fetch_segment(struct fetches *fetches, const struct object *object, struct fetch_wait *wait) MUSTUSE;

/* The wait is not resumed any more. */
void fetch_cancel(struct fetches *fetches, struct fetch_wait *wait);

/* Why the segment could not be fetched in the last second; ERR_NONE: it may be tried. */
enum error fetch_failed(const struct fetches *fetches, const struct object *object) MUSTUSE;

#endif
