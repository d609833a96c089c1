/* One shard's database: streams, their bytes in two tiers (log and chunks), producers, and what forks owe and own.
 *
 * The log takes every append at its right edge, in arrival order. Settling writes a stream's appends into chunks and
 * moves stream.settled up, in one transaction; log entries below it are dead and are dropped later by the range. So at
 * any moment a stream's bytes are its chunks up to `settled` and its log entries from there on. A new stream is an
 * entry of the log too; settling it for the first time writes its row.
 *
 * Everything happens in the transaction that store_begin() opens and store_commit() makes durable. A failure of the
 * database ends the process (fatal): it restarts and recovers from what was committed. */
#ifndef SHARD_STORE_STORE_H
#define SHARD_STORE_STORE_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

struct store;

#define READER_KEY_DIGITS 32u
#define STORE_NONE UINT64_MAX /* an absent time, TTL or uid */

enum stream_state {
    STREAM_LIVE,
    STREAM_SOFT_DELETED, /* deleted, but pinned by forks: keeps its name and its data */
    STREAM_DELETING      /* deleted: nameless, its data goes in the background */
};

#define STREAM_KIND_ESTUARY 1u /* it is, or was, subscribed to others */
#define STREAM_KIND_OWNED 2u   /* subscribing made it, so it goes estuary.ttl after that was last done */
#define STREAM_KIND_FED 4u     /* it has feeds: others are, or were, subscribed to it */

/* One row of the stream table. Slices are borrowed: on reading, until the store is used again. */
struct stream_row {
    uint64_t uid;
    struct slice name;
    enum stream_state state;
    struct slice content_type;
    uint64_t base;    /* where its own bytes begin: 0, or the position it was forked at */
    uint64_t flushed; /* its own positions up to here are in chunks */
    uint64_t bytes;   /* of the messages there */
    bool closed;
    struct slice closer; /* the producer that closed it, "" if none */
    uint64_t closer_epoch, closer_seq;
    bool has_stream_seq;
    struct slice stream_seq;
    uint64_t ttl_s;      /* or STORE_NONE */
    uint64_t expires_ms; /* Unix time, or STORE_NONE */
    struct slice expires_text;
    bool expiry_inherited; /* from the fork's source, not asked for */
    uint64_t accessed_ms;  /* last read or write, for the TTL */
    /* of a fork; source_uid is STORE_NONE for other streams */
    uint64_t source_uid, pin, fork_position, fork_sub;
    struct slice source_name;
    struct slice lineage;                  /* shard/streams/lineage.h */
    unsigned kind;                         /* STREAM_KIND_* */
    uint64_t cold;                         /* its own positions up to here are in segments */
    uint64_t hot_bytes, hot_messages;      /* in chunks */
    bool due;                              /* some of these are to become a segment, or were and are still there */
    uint64_t retention_s, retention_bytes; /* how much it keeps; 0: everything */
    uint64_t earliest;                     /* the first position that it still has */
    uint64_t retain_ms;                    /* when to look what it need not keep any more, or STORE_NONE */
    bool is_public;                        /* everybody may read it */
    char reader_key[READER_KEY_DIGITS];    /* hex: who knows it may share what caches keep */
};

/* Opens or creates DATA_DIR/shard-INDEX.db. Ends the process with EXIT_NEVER_RESTART if it is not ours, newer or
 * damaged. page_cache is in bytes. */
struct store *store_open(const char *data_dir, unsigned index, uint64_t page_cache);
void store_close(struct store *store);
void store_path(char *out, size_t size, const char *data_dir, unsigned index);

/* Opens a transaction unless one is open. */
void store_begin(struct store *store);
/* Makes everything since store_begin() durable (fsync), if anything was begun, and ends all borrowing of rows. True:
 * something was. */
bool store_commit(struct store *store);
/* Microseconds that fsyncs of the write-ahead log took since the last call. */
uint64_t store_synced_us(struct store *store);

/* ---- a disk without room ---- */

/* Takes so many bytes from the disk beforehand, for the write-ahead log and again for the database to grow, unless they
 * are there: writing to them needs no more of the disk. False: the disk does not give them. 0: nothing is kept. */
bool store_reserve(struct store *store, uint64_t bytes) MUSTUSE;
/* True if the disk gives so many bytes; they are given back at once. */
bool store_probe(struct store *store, uint64_t bytes) MUSTUSE;
/* Bytes that transactions may write before they need more of the disk. */
uint64_t store_room(const struct store *store);
/* About how many rows the open transaction has changed. */
unsigned store_changes(const struct store *store);
/* Copies what is in the write-ahead log into the database, outside of a transaction: the log begins anew. */
void store_checkpoint(struct store *store);

/* ---- streams ---- */

/* The next uid of a slot; never given twice, also after a crash, if the stream is inserted or its creation logged in
 * the same transaction. */
uint64_t store_next_uid(struct store *store, unsigned slot);
/* A uid that recovery has found in the log: it was given. */
void store_uid_given(struct store *store, uint64_t uid);

bool store_stream_by_name(struct store *store, struct slice name, struct stream_row *row) MUSTUSE;
bool store_stream_by_uid(struct store *store, uint64_t uid, struct stream_row *row) MUSTUSE;
/* Streams in the order of their names from this one on, soft-deleted ones too, until visit says false; it must not use
 * the store. */
typedef bool store_stream_visit(void *ctx, const struct stream_row *row);
void store_streams_from(struct store *store, struct slice name, store_stream_visit *visit, void *ctx);
void store_stream_insert(struct store *store, const struct stream_row *row);

/* What settling and closing have changed: settled, bytes, closed, closer, stream_seq, accessed, retain_ms. */
void store_stream_update(struct store *store, const struct stream_row *row);
void store_stream_touch(struct store *store, const struct stream_row *row);
/* Its kind and its expiry, of a row that is there. */
void store_stream_set_kind(struct store *store, const struct stream_row *row);
void store_stream_soft_delete(struct store *store, uint64_t uid);
void store_stream_set_deleting(struct store *store, uint64_t uid);

/* What is settled of a project: streams that are not deleted, and bytes of all that have a name. */
void store_usage(struct store *store, struct slice project, uint64_t *streams, uint64_t *bytes);

/* The same of all projects. */
void store_usage_all(struct store *store, uint64_t *streams, uint64_t *bytes);

/* When the stream expires: Unix ms, or STORE_NONE. */
uint64_t stream_row_deadline(const struct stream_row *row);

/* What was let go, and when to look again: earliest, bytes, retain_ms. */
void store_stream_set_retained(struct store *store, const struct stream_row *row);

/* Uids of up to max streams whose retain_ms is at or before now_ms. */
size_t store_retained(struct store *store, uint64_t now_ms, uint64_t *uids, size_t max) MUSTUSE;

/* Uids of up to max live streams whose deadline is at or before now_ms. */
size_t store_expired(struct store *store, uint64_t now_ms, uint64_t *uids, size_t max) MUSTUSE;

/* Whether a condemned stream has rows left; deletes a slice of one's rows. */
bool store_deleting_any(struct store *store) MUSTUSE;
void store_deleting_slice(struct store *store);

/* Gives up to `pages` pages back to the file system, if more than a part of the file is free: some room to grow into is
 * kept. With `all` hardly any is. True: there are more. */
bool store_vacuum_slice(struct store *store, unsigned pages, bool all);
/* Bytes that the database has and does not use. */
uint64_t store_unused(struct store *store);

/* ---- the log ---- */

/* What one commit appends: one row of the log. As long as anything in it is unsettled it is in memory too, so that only
 * a recovery reads the row. */
struct batch {
    int64_t seq;
    uint64_t time_ms; /* when its appends were made */
    struct buf heads; /* what recovery needs of each append; empty once it is stored */
    struct buf data;  /* each append's marks and data */
    size_t last_at;   /* in data: of the last one that has some there */
    size_t refs;
};

struct batch *batch_ref(struct batch *batch);
void batch_unref(struct batch *batch);

#define ENTRY_CLOSES 1u
#define ENTRY_STREAM_SEQ 2u
#define ENTRY_PRODUCER 4u
#define ENTRY_CREATES 8u  /* the stream begins with this entry */
#define ENTRY_DELETES 16u /* the stream is gone: whatever else the log has of it is dead */
#define ENTRY_PUBLIC 32u  /* with ENTRY_CREATES */
#define ENTRY_SHARED 64u  /* the same bytes go to several streams: chunks refer to them */
#define ENTRY_SAME 128u   /* with ENTRY_SHARED: they are those of the entry before this one */
#define ENTRY_FLAGS                                                                                                    \
    (ENTRY_CLOSES | ENTRY_STREAM_SEQ | ENTRY_PRODUCER | ENTRY_CREATES | ENTRY_DELETES | ENTRY_PUBLIC | ENTRY_SHARED |  \
     ENTRY_SAME)

/* One append; or the beginning of a stream, perhaps with its first bytes; or the end of one. */
struct journal_entry {
    uint64_t uid, start, count, time_ms;
    unsigned flags;
    struct slice stream_seq; /* with ENTRY_STREAM_SEQ */
    struct slice producer;   /* with ENTRY_PRODUCER, as are the next two */
    uint64_t epoch, producer_seq;
    /* with ENTRY_CREATES; its expiry as in struct stream_row */
    struct slice name, content_type, expires_text, reader_key;
    uint64_t ttl_s, expires_ms, retention_s, retention_bytes;
    struct slice boundaries; /* empty: one message that is one append */
    struct slice data;
    /* set by the store: where it lies; the batch is borrowed */
    struct batch *batch;
    size_t at; /* in batch->data: marks, then data */
};

/* Adds to the batch of this transaction. With ENTRY_SAME the entry's marks and data are those of the last one that was
 * added, and are there once only. */
void journal_append(struct store *store, struct journal_entry *entry);
typedef void journal_visit(void *ctx, const struct journal_entry *entry);
/* Calls visit for each append in order. */
void journal_recover(struct store *store, journal_visit *visit, void *ctx);
/* The newest batch's seq, 0 if there never was one. */
int64_t journal_last(const struct store *store);
/* Deletes the oldest batches, about `max` of those with seq <= upto. False: there are none. */
bool journal_drop(struct store *store, int64_t upto, int64_t max);

/* ---- chunks ---- */

/* Bytes of one stream in a row, from either tier. */
struct extent {
    uint64_t start, count, time_ms; /* time_ms of its newest message */
    struct slice boundaries, data;  /* marks empty: one message that is one append */
};

/* The chunk of the stream that holds position, or the next after it. Borrowed until the store is used again. */
bool store_chunk_at(struct store *store, uint64_t uid, uint64_t position, struct extent *extent) MUSTUSE;
/* The newest chunk, if its data is shorter than max_bytes; its row id for store_chunk_replace(). */
bool store_chunk_last(struct store *store, uint64_t uid, size_t max_bytes, int64_t *row_id,
                      struct extent *extent) MUSTUSE;
void store_chunk_insert(struct store *store, uint64_t uid, const struct extent *extent);
void store_chunk_replace(struct store *store, int64_t row_id, const struct extent *extent);
void store_chunk_delete(struct store *store, int64_t row_id);

/* Deletes about `max` chunks that end at or before `upto`. False: there are none left. */
bool store_chunks_drop(struct store *store, uint64_t uid, uint64_t upto, unsigned max);

/* ---- segments: settled history that has left the database ---- */

/* The file of a segment, by the numbers its name is made of; `id` is random. */
struct object {
    uint64_t uid, start, id;
};

struct segment_row {
    struct object object;
    uint64_t end; /* it holds [object.start, end) */
    uint64_t size, checksum;
    uint64_t bytes, messages, time_ms; /* of its newest message */
};

/* The stream's newest segment that begins at or before position. */
bool store_segment(struct store *store, uint64_t uid, uint64_t position, struct segment_row *row) MUSTUSE;
/* Its oldest. */
bool store_segment_oldest(struct store *store, uint64_t uid, struct segment_row *row) MUSTUSE;
/* Up to max of the stream's newest segments, the newest first; returns how many. */
size_t store_segments_last(struct store *store, uint64_t uid, struct segment_row *rows, size_t max) MUSTUSE;
/* Up to max segments, of whatever streams; returns how many. */
size_t store_segments_any(struct store *store, struct segment_row *rows, size_t max) MUSTUSE;
/* How many segments it has, looking at `most` of them, and how large their files are. */
uint64_t store_segments_count(struct store *store, uint64_t uid, uint64_t most, uint64_t *size);
void store_segment_insert(struct store *store, const struct segment_row *row);
/* The stream's segments in [from, to) are none any more; their files are orphans. to: STORE_NONE for all. */
void store_segments_orphan(struct store *store, uint64_t uid, uint64_t from, uint64_t to);
/* The segments up to one of them. Zeroed at the start. */
struct segment_sums {
    uint64_t uid, start; /* of that one */
    uint64_t count, bytes, size;
};
/* Adds up to max of those behind it. False: there are no more. */
bool store_segments_sum(struct store *store, struct segment_sums *sums, unsigned max) MUSTUSE;
/* What becoming a segment changes: cold, hot_bytes, hot_messages, due. */
void store_stream_set_cold(struct store *store, const struct stream_row *row);
/* The next stream that is due, after `uid`; STORE_NONE: there is none. */
uint64_t store_next_due(struct store *store, uint64_t uid);
/* The hot bytes of all streams that are due. */
uint64_t store_backlog(struct store *store);

/* Orphans: files that are there, or may be, and that no segment is. They are to be removed. */
void store_orphan_put(struct store *store, const struct object *object);
void store_orphan_delete(struct store *store, const struct object *object);
/* How many there are, counted up to max. */
uint64_t store_orphan_count(struct store *store, unsigned max);
/* Where in all orphans one is: those of older backups come first. */
struct orphan_place {
    uint64_t backup;
    struct object object;
};
typedef void store_orphan_visit(void *ctx, const struct object *object, const struct orphan_place *place);
/* Up to max of those behind `place` that no backup refers to any more; returns how many. */
unsigned store_orphans(struct store *store, const struct orphan_place *place, unsigned max, store_orphan_visit *visit,
                       void *ctx);

/* ---- backups ---- */

/* A copy of the database that is being made, a few pages at a time; what is written meanwhile goes into it too. */
struct store_copy;

/* Begins one, to a new file. NULL: *why, a static text, says why not. */
struct store_copy *store_copy_begin(struct store *store, const char *path, const char **why) MUSTUSE;
/* Copies up to so many pages, outside of a transaction, and leaves about `keep` (> 0). How many are left; -1: it has
 * failed. */
int64_t store_copy_step(struct store_copy *copy, int pages, int keep) MUSTUSE;
/* Copies the rest: it is the database as it is now. False: it has failed. In any case it is over. */
bool store_copy_finish(struct store_copy *copy) MUSTUSE;
void store_copy_abandon(struct store_copy *copy);
/* The size of the database in bytes. */
uint64_t store_size(struct store *store);

/* A file of a backup in the store of segments: it is in so many pieces; 0: it is one object. What a backup refers to is
 * not removed before it is gone itself. A backup without a file has only begun. */
struct backup_file_row {
    uint64_t id;
    char name[32]; /* "": the backup itself */
    uint64_t pieces;
};

void store_backup_put(struct store *store, const struct backup_file_row *row);
/* The newest there ever was, 0: none. */
uint64_t store_backup_last(struct store *store);
/* Backups with from <= id < to do not count (any more); their files are to be removed, one after the other. */
void store_backups_gone(struct store *store, uint64_t from, uint64_t to);
/* In a database that was restored: no file is removed before this backup is gone, not even one that is no segment here:
 * the server that made it may have gone on. */
void store_backup_hold(struct store *store, uint64_t id);
bool store_backup_gone(struct store *store, struct backup_file_row *row) MUSTUSE;
void store_backup_delete(struct store *store, const struct backup_file_row *row);

/* ---- producers (settled state; newer state is in the log) ---- */

bool store_producer(struct store *store, uint64_t uid, struct slice id, uint64_t *epoch, uint64_t *seq) MUSTUSE;
void store_producer_put(struct store *store, uint64_t uid, struct slice id, uint64_t epoch, uint64_t seq);
/* How many there are, counted up to `most`; and each of them by id, until visit says false. */
uint64_t store_producers_count(struct store *store, uint64_t uid, uint64_t most);
typedef bool store_producer_visit(void *ctx, struct slice id, uint64_t epoch, uint64_t seq);
void store_producers(struct store *store, uint64_t uid, store_producer_visit *visit, void *ctx);

/* ---- forks: pins hold a source for its forks, duties are pins still to be let go elsewhere ---- */

void store_pin_insert(struct store *store, uint64_t source_uid, uint64_t pin, struct slice fork, uint64_t now_ms);
void store_pin_delete(struct store *store, uint64_t source_uid, uint64_t pin);
void store_pin_confirm(struct store *store, uint64_t source_uid, uint64_t pin);
bool store_pinned(struct store *store, uint64_t source_uid) MUSTUSE;
uint64_t store_pins_count(struct store *store, uint64_t source_uid, uint64_t most);

typedef void store_pin_visit(void *ctx, uint64_t source_uid, uint64_t pin, struct slice fork);
/* Up to max pins that nobody has confirmed and that were not made in the time from since_ms to now_ms. */
void store_pins_unconfirmed(struct store *store, uint64_t since_ms, uint64_t now_ms, unsigned max,
                            store_pin_visit *visit, void *ctx);

void store_unpin_insert(struct store *store, uint64_t fork_uid, uint64_t source_uid, uint64_t pin);
void store_unpin_delete(struct store *store, uint64_t fork_uid);
typedef void store_unpin_visit(void *ctx, uint64_t fork_uid, uint64_t source_uid, uint64_t pin);
void store_unpin_queue(struct store *store, store_unpin_visit *visit, void *ctx);

/* ---- bytes that several streams share: a chunk without data has references to them in its marks ---- */

/* Where the bytes of a batch that begin at `at` are kept from the first chunk that refers to them to the last. */
#define SHARED_AT_BITS 20u
static inline uint64_t shared_id(int64_t batch, uint64_t at)
{
    return (uint64_t)batch << SHARED_AT_BITS | at;
}

/* One more chunk refers to these bytes, which are put there if it is the first. */
void store_shared_ref(struct store *store, uint64_t id, const struct extent *extent);

/* A reference as it is kept in a chunk. */
void shared_ref_add(struct buf *refs, uint64_t id, uint64_t count);

/* ---- feeds: what a source's shard knows of the shards of its estuaries ---- */

enum feed_state {
    FEED_LEVEL,  /* whatever is settled was taken */
    FEED_BEHIND, /* some of it may not have been */
    FEED_ENDED   /* the source is gone, and that shard has not said yet that it knows */
};

struct feed_row {
    uint64_t source_uid;
    unsigned shard;
    uint64_t feed; /* random: names this feed for ever */
    uint64_t subscribers, acked;
    enum feed_state state;
};

void store_feed_put(struct store *store, const struct feed_row *row);
void store_feed_delete(struct store *store, uint64_t source_uid, unsigned shard);
typedef void store_feed_visit(void *ctx, const struct feed_row *row);
void store_feeds(struct store *store, uint64_t source_uid, store_feed_visit *visit, void *ctx);
/* Up to max of those to a shard that are in this state, which is not FEED_LEVEL, of sources after `uid`. */
void store_feeds_in(struct store *store, enum feed_state state, unsigned shard, uint64_t uid, unsigned max,
                    store_feed_visit *visit, void *ctx);

/* ---- inflows: what an estuaries' shard knows of their sources ---- */

struct inflow_row {
    uint64_t source_uid, feed, taken;
    struct slice name;
};

bool store_inflow(struct store *store, uint64_t source_uid, struct inflow_row *row) MUSTUSE;
void store_inflow_put(struct store *store, const struct inflow_row *row);
void store_inflow_taken(struct store *store, uint64_t source_uid, uint64_t taken);
void store_inflow_delete(struct store *store, uint64_t source_uid);

#define SUBSCRIPTION_ENVELOPE 1u

/* An estuary gets of a source what lies in [from, until). */
struct subscription_row {
    uint64_t source_uid, estuary_uid;
    uint64_t from;  /* STORE_NONE: not yet */
    uint64_t until; /* STORE_NONE: for ever */
    unsigned flags;
};

void store_subscription_put(struct store *store, const struct subscription_row *row);
void store_subscription_delete(struct store *store, const struct subscription_row *row);
/* Away with those that a process which died did not bring into force, and inflows that nobody needs. */
void store_subscriptions_clean(struct store *store);
/* The one that has not ended. */
bool store_subscription(struct store *store, uint64_t source_uid, uint64_t estuary_uid,
                        struct subscription_row *row) MUSTUSE;
typedef void store_subscription_visit(void *ctx, const struct subscription_row *row);
void store_subscriptions(struct store *store, uint64_t source_uid, store_subscription_visit *visit, void *ctx);
typedef void store_source_visit(void *ctx, const struct subscription_row *row, struct slice source_name);
void store_sources_of(struct store *store, uint64_t estuary_uid, store_source_visit *visit, void *ctx);
/* Those of one name: there may have been several, one after the other. */
void store_sources_named(struct store *store, uint64_t estuary_uid, struct slice name, store_source_visit *visit,
                         void *ctx);

/* ---- moving slots between shards ---- */

/* Copies everything of a slot from the database file `from` (which nobody has open), replacing what an interrupted copy
 * left. In its own transaction, durable when it returns. */
void store_slot_copy(struct store *store, const char *from, unsigned slot);
/* Deletes everything of the slots for which keep[] is false; durable when it returns. True: something was deleted. */
bool store_slots_clean(struct store *store, const bool *keep);
/* Some of a slot's streams refer to bytes they share: one chunk of them gets its own. False: none does. */
bool store_slot_expand(struct store *store, unsigned slot) MUSTUSE;
/* Every inflow, as the feed it is of: shard and state are not set. And away with all feeds. */
typedef void store_inflow_visit(void *ctx, const struct feed_row *row);
void store_inflows(struct store *store, store_inflow_visit *visit, void *ctx);
void store_feeds_clear(struct store *store);
/* True if the slot has rows here. */
bool store_slot_used(struct store *store, unsigned slot) MUSTUSE;

#endif
