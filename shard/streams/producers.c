/* The producers of a stream that were used last. What is newer than the store's is `dirty`: the journal has it until
 * the appends are flushed, and then the store gets it in the same transaction. So producers can be forgotten at any
 * time, and a recovery finds them in the journal again. */
#include "shard/streams/producers.h"

#include <stdlib.h>

#include "common/mem.h"
#include "shard/store/store_producer.h"
#include "shard/streams/streams.h"

#define PRODUCERS_KEPT 64 /* few enough to look through */

static struct producer *producers_find(struct stream *stream, struct slice id)
{
    for (size_t i = 0; i < stream->producer_count; i++)
        if (slice_equal(slice_of(stream->producers[i].id, stream->producers[i].id_len), id))
            return &stream->producers[i];
    return NULL;
}

/* Writes what is newer than the store and forgets them all. A recovery then finds in the journal what it has already.
 */
void producers_forget(struct streams *streams, struct stream *stream)
{
    for (size_t i = 0; i < stream->producer_count; i++) {
        struct producer *p = &stream->producers[i];
        if (p->dirty) {
            (void)stream_write(streams, stream);
            store_producer_put(streams->store, stream->row.uid, slice_of(p->id, p->id_len), p->epoch, p->seq);
        }
        free(p->id);
    }
    free(stream->producers);
    stream->producers = NULL;
    stream->producer_count = 0;
}

struct producer *producers_keep(struct streams *streams, struct stream *stream, struct slice id)
{
    struct producer *p = producers_find(stream, id);
    if (p)
        return p;
    /* A recovery writes nothing of a stream that the journal may yet delete. */
    if (stream->producer_count >= PRODUCERS_KEPT && !(streams->recovering && stream->unflushed))
        producers_forget(streams, stream);
    stream->producers = xrealloc(stream->producers, (stream->producer_count + 1) * sizeof *p);
    p = &stream->producers[stream->producer_count++];
    *p = (struct producer){.id = xslicedup(id), .id_len = id.len};
    return p;
}

/* A producer that the store has is kept too, and is not dirty: the next append of it needs no query. */
bool stream_producer(struct streams *streams, struct stream *stream, struct slice id, uint64_t *epoch, uint64_t *seq)
{
    struct producer *p = producers_find(stream, id);
    if (!p) {
        if (!store_producer(streams->store, stream->row.uid, id, epoch, seq))
            return false;
        p = producers_keep(streams, stream, id);
        p->epoch = *epoch;
        p->seq = *seq;
    }
    *epoch = p->epoch;
    *seq = p->seq;
    return true;
}

void producers_free(struct stream *stream)
{
    for (size_t i = 0; i < stream->producer_count; i++)
        free(stream->producers[i].id);
    free(stream->producers);
}
