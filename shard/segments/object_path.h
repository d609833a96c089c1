/* The name of a segment's file, and the file in a folder: of a store, or of the cache. */
#ifndef SHARD_SEGMENTS_OBJECT_PATH_H
#define SHARD_SEGMENTS_OBJECT_PATH_H

#include <stdbool.h>

#include "common/attr.h"
#include "shard/store/store_segment.h"

#define OBJECT_NAME_MAX 80
#define OBJECT_ROOT_MAX 4200
#define OBJECT_SLOT_DIGITS 3 /* the part of a name in front of the slash */

/* "slot/uid-start-id.seg", in hexadecimal digits. */
void object_name(char name[OBJECT_NAME_MAX], const struct object *object);

static inline bool object_same(const struct object *a, const struct object *b)
{
    return a->uid == b->uid && a->start == b->start && a->id == b->id;
}

/* Opens a file for reading. -1: errno; ENOENT: it is not there. */
int object_path_open(const char *root, const struct object *object) MUSTUSE;

/* Removes a file here and now, without a word about how that went. */
void object_path_unlink(const char *root, const struct object *object);

#endif
