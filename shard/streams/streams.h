/* The streams a shard has in memory: those in use now, and those used last. What is not here is in the store. */
#ifndef SHARD_STREAMS_STREAMS_H
#define SHARD_STREAMS_STREAMS_H

#include "common/errors.h"
#include "common/list.h"
#include "common/table.h"
#include "shard/segments/segments.h"
#include "shard/streams/feeds.h"
#include "shard/streams/stream.h"
#include "shard/streams/unflushed.h"
#include "shard/streams/usage.h"

struct config;
struct store;

struct streams {
    struct store *store;
    const struct config *cfg;
    struct usages usages;
    struct feeds feeds;
    struct segments segments;
    struct table by_name, by_uid;
    struct list used; /* all, by last use, newest first */
    /* Streams with something pending: `flushing` has those of the generation that is being flushed, until nothing of
     * theirs is of its batches; `waiting` has the rest (shard/streams/pending.c). */
    struct list flushing, waiting;
    struct unflushed unflushed;
    struct list fresh;                       /* appended to in this turn, and watched */
    struct buf touched;                      /* uids of streams whose last use is to be written down, once each */
    struct buf may_end;                      /* uids of streams that may have to end, once each */
    uint64_t journal_entries, journal_bytes; /* what waits to be flushed */
    uint64_t backlog;                        /* bytes in chunks of the streams that are due */
    bool due_any;                            /* one may be that nobody works on */
    bool recovering;
    uint64_t recovered_ms; /* Unix time of the recovery */
};

/* The owner of streams that are read initialises their segments. */
void streams_init(struct streams *streams, struct store *store, const struct config *cfg);
void streams_clear(struct streams *streams);

static inline size_t streams_count(const struct streams *streams)
{
    return streams->by_uid.count;
}

/* All in memory, from the one used last to the one unused for longest; NULL ends. */
static inline struct stream *streams_newest(const struct streams *streams)
{
    struct list *first = streams->used.next;
    return first == &streams->used ? NULL : LIST_OWNER(first, struct stream, used);
}

static inline struct stream *streams_older(const struct streams *streams, const struct stream *stream)
{
    struct list *next = stream->used.next;
    return next == &streams->used ? NULL : LIST_OWNER(next, struct stream, used);
}

/* The stream, from memory or from the store; NULL if there is none. Also soft-deleted ones, and by uid those that are
 * being deleted as long as they are there. */
struct stream *streams_by_name(struct streams *streams, struct slice name);
struct stream *streams_by_uid(struct streams *streams, uint64_t uid);

/* The same, but only if it is in memory, and without counting as a use: the store may be in the middle of a query. */
struct stream *streams_peek(const struct streams *streams, struct slice name);

/* The live stream of a name, as a request sees it at now_ms. NULL: *error is STREAM_NOT_FOUND, or STREAM_GONE if forks
 * or subscribers still hold its bytes. An expired stream is not there any more: it is listed as one that may end. */
struct stream *streams_live(struct streams *streams, struct slice name, uint64_t now_ms, enum error *error);

/* A fork or a shard of subscribers holds the stream no more. A soft-deleted one is listed as one that may end, and
 * looked at before the turn's commit (shard/handlers/delete.h). */
void streams_released(struct streams *streams, struct stream *stream);

/* Makes a stream from its row, which is in the store. */
struct stream *streams_add(struct streams *streams, const struct stream_row *row);

/* The same for a new one, whose row is inserted or logged after this and in the same transaction. */
struct stream *streams_add_new(struct streams *streams, const struct stream_row *row);

/* A stream was deleted, and is forgotten: its project does not have it any more. */
void streams_deleting(struct streams *streams, struct stream *stream);

/* The next stream whose last use is to be written down, taken off the list; NULL: there is none. */
struct stream *streams_next_touched(struct streams *streams);

/* Forgets the longest unused streams until at most `keep` are left, except those something still needs. Returns how
 * many went. */
size_t streams_evict(struct streams *streams, uint64_t keep);

#endif
