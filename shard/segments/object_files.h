/* Files of segments in a folder: of the store itself, or of the cache of another one. The worker does what waits for a
 * disk. */
#ifndef SHARD_SEGMENTS_OBJECT_FILES_H
#define SHARD_SEGMENTS_OBJECT_FILES_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"
#include "shard/segments/object_path.h"
#include "shard/segments/worker.h"
#include "shard/store/store_segment.h"

/* Called once, in a turn. failure: NULL, or why not. */
typedef void objects_done(void *ctx, const char *failure);

struct owner;

/* Puts a file that is to stay: it is on disk when this is done, and was read back whole and right. `file` stays the
 * caller's until then. The folder is marked as the owner's. */
void files_put(struct worker *worker, const char *root, const struct owner *owner, const struct object *object,
               struct slice file, objects_done *done, void *ctx);

/* Puts a file that may be lost; *file is taken. It is checked before: "damaged" unless it is a good segment with this
 * checksum. Then what was not read for longest goes, if there are more than about `most` bytes (0: that is not looked
 * at). A folder that has an owner is a store, and no cache. */
void files_cache(struct worker *worker, const char *root, const struct object *object, struct buf *file,
                 uint64_t checksum, uint64_t most, objects_done *done, void *ctx);

/* Removes a file. None there is as good, if the folder is the owner's; NULL: in any case. */
void files_remove(struct worker *worker, const char *root, const struct owner *owner, const struct object *object,
                  objects_done *done, void *ctx);

#endif
