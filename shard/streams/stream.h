/* One stream in memory: the store's row, plus what the journal has beyond it. */
#ifndef SHARD_STREAMS_STREAM_H
#define SHARD_STREAMS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/list.h"
#include "common/lives.h"
#include "common/table.h"
#include "shard/store/store_stream.h"
#include "shard/streams/lineage.h"

struct fanout_wait;
struct feed;
struct journal_entry;
struct pending;
struct producer;
struct streams;
struct usage;

/* A router that wants to hear of this stream, under the name it gave. */
struct watcher {
    unsigned router;
    uint64_t watch;
};

struct stream {
    struct stream_row row; /* its slices point into memory of the stream's own */
    uint64_t tail;
    uint64_t bytes;      /* of its own messages, flushed or not */
    struct usage *usage; /* of its project */
    bool json;
    struct lineage lineage;
    char life[LIVES_ONE]; /* the list of its one life, if row.lives is empty */

    struct pending *pending; /* ascending, contiguous from row.flushed to tail */
    size_t pending_count, pending_cap;

    struct producer *producers;
    size_t producer_count;

    struct watcher *watchers;
    size_t watcher_count;

    struct feed *feeds;        /* the shards whose estuaries are subscribed to it */
    struct fanout_wait *waits; /* answers that wait for them */

    /* What this turn appended and the watchers have not got. */
    struct buf fresh;
    uint64_t fresh_from, fresh_time_ms;
    bool fresh_any, fresh_moved;

    bool aged;      /* what is in chunks is to become a segment however little it is, so that it can go in time */
    bool may_end;   /* listed in streams->may_end */
    bool unflushed; /* its row is only in the journal yet */
    bool touched;   /* listed in streams->touched: row.accessed_ms is newer than the store's */

    /* Of struct unflushed. */
    struct stream *unflushed_left, *unflushed_right;
    uint64_t unflushed_rank;

    struct table_node by_name, by_uid;
    struct list used;       /* of streams->used */
    struct list flush;      /* of streams->waiting or streams->flushing, while it has something pending */
    struct list fresh_link; /* of streams->fresh */
};

static inline bool stream_expired(const struct stream *stream, uint64_t now_ms)
{
    return stream->row.state == STREAM_LIVE && stream_row_deadline(&stream->row) <= now_ms;
}

/* Takes an append in the journal into account: tail, closure, Stream-Seq, producer, pending. It may also close only. */
void stream_apply(struct streams *streams, struct stream *stream, const struct journal_entry *entry);

/* Its lives. Borrowed until that changes. */
struct slice stream_lives(const struct stream *stream);

/* The spelling of one of its positions. */
struct offset stream_offset(const struct stream *stream, uint64_t position);

/* Forks hold its bytes, or shards whose estuaries still get them. */
bool stream_held(const struct streams *streams, const struct stream *stream) MUSTUSE;

/* The stream was deleted, but something holds it. */
void stream_soft_deleted(struct streams *streams, struct stream *stream);

/* The oldest segment is dropped: the stream begins at `earliest` now, and is so many bytes smaller. */
void stream_trimmed(struct streams *streams, struct stream *stream, uint64_t earliest, uint64_t bytes);

/* Marks the stream as read or written now. */
void stream_touch(struct streams *streams, struct stream *stream, uint64_t now_ms);

/* The expiry that was set in its row, as a text. */
void stream_set_expiry_text(struct stream *stream, struct slice text);

/* Texts of a row that is in memory. Most are empty: those cost nothing. */
struct slice stream_own(struct slice s) MUSTUSE;
void stream_disown(struct slice *s);
void stream_set_text(struct slice *text, struct slice value);

#endif
