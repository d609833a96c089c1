/* Where the files of segments are kept: a folder. Whatever waits for a disk is done by the worker. */
#ifndef SHARD_OBJECTS_H
#define SHARD_OBJECTS_H

#include "common/config.h"
#include "common/slice.h"
#include "shard/store.h"
#include "shard/worker.h"

#define OBJECT_NAME_MAX 80

struct objects {
    const struct config *cfg;
    struct worker *worker;
};

/* Called once, in a turn. failure: NULL, or why not. */
typedef void objects_done(void *ctx, const char *failure);

void objects_init(struct objects *objects, const struct config *cfg, struct worker *worker);

/* "slot/uid-start-id.seg", in hexadecimal digits. */
void object_name(char name[OBJECT_NAME_MAX], const struct object *object);

/* Keeps a new file. When it is done the file is on disk, and was read back whole and right. `file` stays the caller's
 * until then. */
void objects_put(struct objects *objects, const struct object *object, struct slice file, objects_done *done,
                 void *ctx);

/* Removes a file; none there is as good. */
void objects_remove(struct objects *objects, const struct object *object, objects_done *done, void *ctx);

/* Opens a file that was put, for reading. -1: errno; ENOENT: it is missing. */
int objects_open(const struct objects *objects, const struct object *object) MUSTUSE;

#endif
