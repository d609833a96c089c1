/* The journal is read once, in order, into streams in memory. An entry may be older than what the store has (its batch
 * was flushed, but not yet dropped), or of a stream that a later entry deletes; so nothing is written meanwhile.
 *
 *     entry                                      what recovery does
 *     creation, no row in the store              a stream in memory; its row is written when it is flushed
 *     append at or behind the row's `flushed`    pending again, as after the append itself (stream_apply)
 *     append before `flushed`                    passed over: a chunk has the bytes
 *     anything of a stream whose row is deleted  passed over: the janitor sweeps what is left
 *     deletion                                   the stream leaves memory, if an earlier entry brought it there
 *
 * Failure modes: a damaged batch ends the process for good (journal_recover). A crash during recovery costs nothing,
 * since the next one begins from the same rows. */
#include "shard/streams/recover.h"

#include <string.h>

#include "shard/store/entry.h"
#include "shard/store/journal.h"
#include "shard/store/store_stream.h"
#include "shard/store/store_uid.h"
#include "shard/streams/streams.h"
#include "shard/streams/unflushed.h"

/* NULL: the store has its row, and what came of it since. */
static struct stream *recover_creation(struct streams *streams, const struct journal_entry *entry)
{
    struct stream_row there;
    struct stream_row row = {
        .uid = entry->uid,
        .name = entry->name,
        .content_type = entry->content_type,
        .ttl_s = entry->ttl_s,
        .expires_ms = entry->expires_ms,
        .expires_text = entry->expires_text,
        .accessed_ms = entry->time_ms,
        .source_uid = STORE_NONE,
        .kind = (entry->flags & ENTRY_JSON) ? STREAM_KIND_JSON : 0,
        .is_public = (entry->flags & ENTRY_PUBLIC) != 0,
        .retention_s = entry->retention_s,
        .retention_bytes = entry->retention_bytes,
        .retain_ms = STORE_NONE,
    };
    if (entry->reader_key.len == READER_KEY_DIGITS)
        memcpy(row.reader_key, entry->reader_key.data, READER_KEY_DIGITS);
    store_uid_given(streams->store, entry->uid); /* also if the stream is gone: its number is not given again */
    if (store_stream_by_uid(streams->store, entry->uid, &there))
        return NULL;
    struct stream *stream = streams_add_new(streams, &row);
    stream_set_unflushed(streams, stream);
    return stream;
}

static void recover_entry(void *ctx, const struct journal_entry *entry)
{
    struct streams *streams = ctx;
    struct stream *stream = streams_by_uid(streams, entry->uid);
    if (entry->flags & ENTRY_DELETES) {
        if (stream) /* it came back with its creation, and goes again */
            streams_deleting(streams, stream);
        return;
    }
    if (!stream && (entry->flags & ENTRY_CREATES))
        stream = recover_creation(streams, entry);
    if (!stream || entry->start < stream->row.flushed)
        return; /* deleted since, or flushed already */
    stream_apply(streams, stream, entry);
    if (entry->time_ms > stream->row.accessed_ms)
        stream->row.accessed_ms = entry->time_ms;
    if (stream->row.accessed_ms > streams->recovered_ms)
        stream->row.accessed_ms = streams->recovered_ms; /* the clock was ahead */
}

void streams_recover(struct streams *streams, uint64_t now_ms)
{
    streams->recovering = true;
    streams->recovered_ms = now_ms;
    journal_recover(streams->store, recover_entry, streams);
    streams->recovering = false;
}
