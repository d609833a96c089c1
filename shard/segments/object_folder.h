/* The folder of segments, segment.directory: where it is, and whether it is this server's. */
#ifndef SHARD_SEGMENTS_OBJECT_FOLDER_H
#define SHARD_SEGMENTS_OBJECT_FOLDER_H

#include <stdbool.h>

#include "common/attr.h"
#include "shard/segments/object_files.h"

struct objects;

const char *object_folder_path(const struct objects *objects, char out[OBJECT_ROOT_MAX]);

/* Whether the folder is this server's; the log says if it is not. */
bool object_folder_is_ours(struct objects *objects) MUSTUSE;

/* Whether segments that the database knew at the start are in the folder. */
bool object_folder_has_samples(const struct objects *objects) MUSTUSE;

/* At the start: the folder is marked as this server's if it has its segments. The log says if it is not ours. */
void object_folder_claim(struct objects *objects);

#endif
