/* A fork at position 7 of a fork (base 4) of a stream has [0,4) of the stream and [4,7) of the fork:
 *
 *     stream  0 1 2 3 4 5 6 ...
 *     fork          \_4 5 6 7 8 ...          lineage of the next: (stream, 4) (fork, 7)
 *     next                 \_7 8 ...
 *
 * So a read of inherited bytes asks the one shard that has them, however long the chain is. A row stores its lineage as
 * (uid, end) in 8 bytes each, little-endian, from the oldest ancestor to the newest. */
#include "shard/streams/lineage.h"

#include <endian.h>
#include <stdlib.h>

#include "common/mem.h"

#define ANCESTOR_SIZE 16

bool lineage_decode(struct slice stored, struct lineage *lineage)
{
    *lineage = (struct lineage){0};
    if (stored.len % ANCESTOR_SIZE != 0)
        return false;
    lineage->count = stored.len / ANCESTOR_SIZE;
    if (!lineage->count)
        return true;
    lineage->ancestors = xcalloc(lineage->count, sizeof *lineage->ancestors);
    for (size_t i = 0; i < lineage->count; i++) {
        uint64_t field[2];
        memcpy(field, stored.data + i * ANCESTOR_SIZE, sizeof field);
        lineage->ancestors[i] = (struct ancestor){le64toh(field[0]), le64toh(field[1])};
    }
    return true;
}

void lineage_clear(struct lineage *lineage)
{
    free(lineage->ancestors);
    *lineage = (struct lineage){0};
}

const struct ancestor *lineage_find(const struct lineage *lineage, uint64_t position)
{
    for (size_t i = 0; i < lineage->count; i++)
        if (position < lineage->ancestors[i].end)
            return &lineage->ancestors[i];
    return NULL;
}

static void lineage_ancestor_add(struct buf *stored, uint64_t uid, uint64_t end)
{
    uint64_t field[2] = {htole64(uid), htole64(end)};
    buf_add(stored, field, sizeof field);
}

bool lineage_of_fork(const struct lineage *source, uint64_t uid, uint64_t base, uint64_t position, size_t max,
                     struct buf *stored)
{
    size_t count = 0;
    uint64_t end = 0;
    for (size_t i = 0; i < source->count && end < position; i++, count++) {
        end = source->ancestors[i].end < position ? source->ancestors[i].end : position;
        lineage_ancestor_add(stored, source->ancestors[i].uid, end);
    }
    if (position > base) {
        lineage_ancestor_add(stored, uid, position);
        count++;
    }
    return count <= max;
}
