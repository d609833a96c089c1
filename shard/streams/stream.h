/* The streams a shard has in memory: those in use now, and those used last. What is not here is in the store; what is
 * here is the store's row, plus what the log holds beyond it. */
#ifndef SHARD_STREAMS_STREAM_H
#define SHARD_STREAMS_STREAM_H

#include "common/errors.h"
#include "shard/segments/segments.h"
#include "shard/streams/feeds.h"
#include "shard/streams/lineage.h"
#include "shard/streams/unflushed.h"
#include "shard/streams/usage.h"
#include "shard/store/extent.h"
#include "shard/store/store_stream.h"

struct batch;
struct journal_entry;

#define RETENTION_PARTS 4 /* at least: segments that what a stream is to keep is in */

/* One append not yet settled: where its bytes lie. */
struct pending {
    struct batch *batch; /* holds a reference */
    uint64_t start, count;
    uint32_t at, boundaries, bytes; /* in batch->data: at `at` its marks, then its data */
    bool shared;                    /* with other streams */
};

/* A producer's newest accepted append (PROTOCOL.md 5.2.1). */
struct producer {
    char *id;
    size_t id_len;
    uint64_t epoch, seq;
    bool dirty; /* newer than the store's */
};

/* A router that wants to hear of this stream, under the name it gave. */
struct watcher {
    unsigned router;
    uint64_t watch;
};

struct stream {
    struct stream_row row; /* its slices point into memory of the stream's own */
    uint64_t tail;
    uint64_t bytes;      /* of its own messages, settled or not */
    struct usage *usage; /* of its project */
    bool json;
    struct lineage lineage;

    struct pending *pending; /* ascending, contiguous from row.settled to tail */
    size_t pending_count, pending_cap;

    struct producer *producers;
    size_t producer_count;

    struct watcher *watchers;
    size_t watcher_count;

    struct feed *feeds;        /* the shards whose estuaries are subscribed to it */
    struct fanout_wait *waits; /* answers that wait for them */

    /* What this turn appended and the watchers have not been told. */
    struct buf fresh;
    uint64_t fresh_from, fresh_time_ms;
    bool fresh_any, fresh_moved;

    bool aged;      /* what is in chunks is to become a segment however little it is, so that it can go in time */
    bool may_end;   /* listed in streams->may_end */
    bool unflushed; /* its row is only in the log yet */
    bool touched;   /* row.accessed_ms is newer than the store's */

    /* Of struct unwritten. */
    struct stream *unflushed_left, *unflushed_right;
    uint64_t unflushed_rank;

    struct stream *by_name, *by_uid;      /* hash chains */
    struct stream *used_prev, *used_next; /* by last use, newest first */
    struct stream_list *flush_list;       /* the list it is on while it has something pending, or NULL */
    struct stream *flush_prev, *flush_next;
    struct stream *fresh_next, *touched_next;
    bool is_fresh;
};

struct stream_list {
    struct stream *first, *last;
};

struct streams {
    struct store *store;
    const struct config *cfg;
    struct usages usages;
    struct feeds feeds;
    struct segments segments;
    struct stream **by_name, **by_uid; /* tables of `buckets` chains; a power of two */
    size_t buckets, count;
    struct stream *newest, *oldest;
    /* Streams with something pending: one list has those of the generation that is being settled, until nothing of
     * theirs is of its batches; the other has the rest. They change roles when a generation begins. */
    struct stream_list flush_lists[2];
    struct stream_list *flushing, *waiting;
    struct unflushed unflushed;
    struct stream *fresh_first;
    struct stream *touched_first;
    struct buf may_end;                      /* uids of streams that may have to end, once each */
    uint64_t journal_entries, journal_bytes; /* what waits to be settled */
    uint64_t backlog;                        /* hot bytes of the streams that are due */
    bool due_any;                            /* one may be that nobody works on */
    bool recovering;
    uint64_t recovered_ms; /* Unix time of the recovery */
};

/* Its segments are initialised by whoever has streams that are read. */
void streams_init(struct streams *streams, struct store *store, const struct config *cfg);
void streams_clear(struct streams *streams);

/* Reads the log into memory: every stream that is in it, its tail, closure, Stream-Seq, producers and bytes. now_ms is
 * Unix time. */
void streams_recover(struct streams *streams, uint64_t now_ms);

/* The stream, from memory or from the store; NULL if there is none. Also soft-deleted ones, and by uid condemned ones
 * as long as they are there. */
struct stream *streams_by_name(struct streams *streams, struct slice name);
struct stream *streams_by_uid(struct streams *streams, uint64_t uid);

/* The same, but only if it is in memory, and without counting as a use: the store may be in the middle of a query. */
struct stream *streams_peek(const struct streams *streams, struct slice name);

/* The live stream of a name, as a request sees it at now_ms. NULL: *error is STREAM_NOT_FOUND, or STREAM_GONE if forks
 * or subscribers still hold its bytes. An expired stream is not there any more: it is listed as one that may end. */
struct stream *streams_live(struct streams *streams, struct slice name, uint64_t now_ms, enum error *error);

/* A fork or a shard of subscribers holds the stream no more. A soft-deleted one is listed as one that may end. */
void streams_released(struct streams *streams, struct stream *stream);

/* Forks hold its bytes, or shards whose estuaries still get them. */
bool stream_held(const struct streams *streams, const struct stream *stream) MUSTUSE;

/* Appends are refused, because too much waits to become segments. */
bool streams_backlogged(const struct streams *streams) MUSTUSE;

/* Makes a stream from its row, which is in the store. */
struct stream *streams_add(struct streams *streams, const struct stream_row *row);

/* The same for a new one, whose row is inserted or logged after this and in the same transaction. */
struct stream *streams_add_new(struct streams *streams, const struct stream_row *row);

/* Its row is only in the log yet. */
void stream_set_unflushed(struct streams *streams, struct stream *stream);

/* Inserts the row of a stream that only the log has, in the transaction that is open. False: it was there. */
bool stream_write(struct streams *streams, struct stream *stream);

/* A stream was deleted, and is forgotten: its project does not have it any more. */
void streams_deleting(struct streams *streams, struct stream *stream);

/* A stream was deleted, but forks hold it. */
void stream_soft_deleted(struct streams *streams, struct stream *stream);

/* Lets the longest unused streams go until at most `keep` are left, except those something still needs. Returns how
 * many went. */
size_t streams_evict(struct streams *streams, uint64_t keep);

/* Takes an append in the log into account: tail, closure, Stream-Seq, producer, pending. It may also close only. */
void stream_apply(struct streams *streams, struct stream *stream, const struct journal_entry *entry);

/* The bytes of a pending append; borrowed as long as it is pending and until the stream is appended to. */
struct extent pending_extent(const struct pending *p);

/* The producer's state, from memory or from the store. False: never seen. */
bool stream_producer(struct streams *streams, struct stream *stream, struct slice id, uint64_t *epoch,
                     uint64_t *seq) MUSTUSE;

/* A generation begins with all that is pending; the last one must be over: nothing is settling. */
void streams_begin_generation(struct streams *streams);

/* The oldest `count` pending appends are in chunks now: the row says so and producers are in the store. The generation
 * ends with batch `upto`. */
void stream_flushed(struct streams *streams, struct stream *stream, size_t count, int64_t upto);

/* Whether some of what is in chunks is to become a segment. */
bool stream_is_due(const struct streams *streams, const struct stream *stream) MUSTUSE;

/* How large a segment of it gets: small enough for its retention to be kept about. */
uint64_t stream_segment_bytes(const struct streams *streams, const struct stream *stream) MUSTUSE;

/* What is in chunks now is to become a segment. */
void stream_age(struct streams *streams, struct stream *stream);

/* Its oldest segment is its no more: it begins at `earliest` now, with so many bytes less. */
void stream_let_go(struct streams *streams, struct stream *stream, uint64_t earliest, uint64_t bytes);

/* So much of what was in chunks is in a segment now, which ends at `upto`; the row says so. It stays due until the
 * chunks are gone. */
void stream_cooled(struct streams *streams, struct stream *stream, uint64_t upto, uint64_t bytes, uint64_t messages);

/* Its chunks up to where it is cold are gone: it is due only if there is more to do. */
void stream_cold_dropped(struct streams *streams, struct stream *stream);

/* What is due cannot be done: it is tried again when more of it is settled. */
void stream_not_due(struct streams *streams, struct stream *stream);

/* The expiry that was set in its row, as a text. */
void stream_set_expiry_text(struct stream *stream, struct slice text);

/* Marks the stream as read or written now. */
void stream_touch(struct streams *streams, struct stream *stream, uint64_t now_ms);

static inline bool stream_expired(const struct stream *stream, uint64_t now_ms)
{
    return stream->row.state == STREAM_LIVE && stream_row_deadline(&stream->row) <= now_ms;
}

#endif
