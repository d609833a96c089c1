/* Orphans: files that are there, or may be, and that no segment is. They are the write-ahead of files: a row is durable
 * before its file is made, and stays until the file is a segment or is removed. */
#ifndef SHARD_STORE_STORE_ORPHAN_H
#define SHARD_STORE_STORE_ORPHAN_H

#include "shard/store/store_segment.h"

void store_orphan_put(struct store *store, const struct object *object);
void store_orphan_delete(struct store *store, const struct object *object);
/* How many there are, counted up to max. */
uint64_t store_orphan_count(struct store *store, unsigned max);

/* A place in the order of all orphans: those of older backups come first. */
struct orphan_place {
    uint64_t backup;
    struct object object;
};
typedef void store_orphan_visit(void *ctx, const struct object *object, const struct orphan_place *place);
/* Up to max of those behind `place` that no backup refers to any more; returns how many. */
unsigned store_orphans(struct store *store, const struct orphan_place *place, unsigned max, store_orphan_visit *visit,
                       void *ctx);

#endif
