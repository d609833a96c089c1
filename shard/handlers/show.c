/* SHOW: the details of one stream, for operators. Counts stop at WIRE_SHOWN_MAX, so that one request
 * never walks millions of rows.
 *
 *     journal: pending appends in memory | chunks: counted in the row | segments: the row's bytes without the chunks'
 *
 * Names of producers and sources are cut off after the first hundred; the counts beside them are of all, up to that
 * limit. A stream that is not there is answered with an error and no details. */
#include "shard/handlers/listing.h"
#include "shard/peers/handlers.h"
#include "shard/streams/producers.h"
#include "shard/streams/reply.h"
#include "shard/store/store.h"
#include "shard/store/store_fanout.h"
#include "shard/store/store_fork.h"
#include "shard/store/store_producer.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_stream.h"
#include "shard/streams/pending.h"

#define FIRST 100u /* of producers and sources */

struct show {
    const struct stream *stream;
    struct wire_shown shown;
    struct buf facts, producers, sources;
    unsigned listed; /* producers */
};

static bool show_in_memory(const struct stream *stream, struct slice id)
{
    for (size_t i = 0; i < stream->producer_count; i++)
        if (slice_equal(slice_of(stream->producers[i].id, stream->producers[i].id_len), id))
            return true;
    return false;
}

static void show_list_producer(struct show *show, struct slice id, uint64_t epoch, uint64_t seq)
{
    if (show->listed++ < FIRST)
        wire_put_shown_producer(&show->producers,
                                &(struct wire_shown_producer){.name = id, .epoch = epoch, .seq = seq});
}

static bool show_on_stored_producer(void *ctx, struct slice id, uint64_t epoch, uint64_t seq)
{
    struct show *show = ctx;
    if (!show_in_memory(show->stream, id))
        show_list_producer(show, id, epoch, seq);
    return show->listed < FIRST;
}

/* Memory is newer than the store, which may not have the producer yet. */
static void show_producers(struct shard *shard, struct show *show)
{
    const struct stream *stream = show->stream;
    uint64_t epoch, seq, stored = store_producers_count(shard->store, stream->row.uid, WIRE_SHOWN_MAX);
    show->shown.producers = stored;
    for (size_t i = stream->producer_count; i-- > 0;) {
        const struct producer *p = &stream->producers[i];
        struct slice id = slice_of(p->id, p->id_len);
        show_list_producer(show, id, p->epoch, p->seq);
        if (show->shown.producers < WIRE_SHOWN_MAX && !store_producer(shard->store, stream->row.uid, id, &epoch, &seq))
            show->shown.producers++;
    }
    if (stored && show->listed < FIRST)
        store_producers(shard->store, stream->row.uid, show_on_stored_producer, show);
}

static void show_on_source(void *ctx, const struct subscription_row *row, struct slice name)
{
    struct show *show = ctx;
    if (row->until != STORE_NONE || show->shown.sources++ >= FIRST)
        return;
    buf_add_slice(&show->sources, name);
    buf_add_byte(&show->sources, 0);
}

static void show_tiers(struct shard *shard, struct show *show)
{
    const struct stream *stream = show->stream;
    struct wire_shown *shown = &show->shown;
    shown->journal_entries = stream->pending_count;
    for (size_t i = 0; i < stream->pending_count; i++)
        shown->journal_bytes += stream->pending[i].bytes;
    shown->chunk_messages = stream->row.chunk_messages;
    shown->chunk_bytes = stream->row.chunk_bytes;
    /* row.bytes is all that is flushed, so pending appends are in neither of the two. */
    shown->segment_bytes = stream->row.bytes - stream->row.chunk_bytes;
    shown->segments = store_segments_count(shard->store, stream->row.uid, WIRE_SHOWN_MAX, &shown->stored);
}

static void show_describe(struct shard *shard, struct show *show, uint64_t remaining_ms)
{
    const struct stream *stream = show->stream;
    char room[LIVES_ONE];
    const struct wire_listed_stream facts = listing_facts(&stream->row, stream, room);
    show->shown.base = stream->row.base;
    show->shown.remaining_ms = remaining_ms;
    show->shown.fork_source = stream->row.source_name;
    show->shown.forks = store_pins_count(shard->store, stream->row.uid, WIRE_SHOWN_MAX);
    show->shown.watchers = stream->watcher_count;
    for (const struct feed *feed = stream->feeds; feed; feed = feed->next)
        show->shown.subscribers += feed->row.subscribers;
    wire_put_listed_stream(&show->facts, &facts);
    show_tiers(shard, show);
    show_producers(shard, show);
    if (stream->row.kind & STREAM_KIND_ESTUARY)
        store_sources_of(shard->store, stream->row.uid, show_on_source, show);
}

void on_show(struct shard *shard, struct asker asker, const struct wire_show *m)
{
    enum error error = ERR_NONE;
    struct show show = {.stream = streams_live(&shard->streams, m->name, shard->now_ms, &error)};
    struct buf *out = asker_out(&shard->peers, asker);
    if (show.stream)
        show_describe(shard, &show, reply_describe(shard, show.stream, m->id).remaining_ms);
    show.shown.id = m->id;
    show.shown.error = (uint8_t)error;
    show.shown.stream = buf_slice(&show.facts);
    show.shown.first_producers = buf_slice(&show.producers);
    show.shown.first_sources = buf_slice(&show.sources);
    if (out)
        wire_put_shown(out, &show.shown);
    buf_clear(&show.facts);
    buf_clear(&show.producers);
    buf_clear(&show.sources);
}
