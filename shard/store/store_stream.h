/* The rows of streams. What a stream has in the journal is newer than its row. */
#ifndef SHARD_STORE_STORE_STREAM_H
#define SHARD_STORE_STORE_STREAM_H

#include "common/attr.h"
#include "common/lives.h"
#include "common/slice.h"
#include "shard/store/store.h"

#define READER_KEY_DIGITS 32u

enum stream_state {
    STREAM_LIVE,
    STREAM_SOFT_DELETED, /* deleted, but pinned by forks: keeps its name and its data */
    STREAM_DELETING      /* deleted: nameless, its data goes in the background */
};

#define STREAM_KIND_ESTUARY 1u /* is, or was, subscribed to others */
#define STREAM_KIND_OWNED 2u   /* made by subscribing: expires estuary.ttl after the last time that was done */
#define STREAM_KIND_FED 4u     /* has feeds: others are, or were, subscribed to it */
#define STREAM_KIND_JSON 8u    /* holds JSON messages, and positions count them: see stream_row_is_json() */

/* One row. Slices are borrowed: on reading, until the store is used again. */
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
    uint64_t offloaded;                    /* its own positions up to here are in segments (column cold) */
    uint64_t chunk_bytes, chunk_messages;  /* in chunks (columns hot_*) */
    bool due;                              /* chunks of it are to become a segment, or became one and are still there */
    uint64_t retention_s, retention_bytes; /* how much it keeps; 0: everything */
    uint64_t earliest;                     /* the first position that it still has */
    uint64_t retain_ms;                    /* when to look for what retention drops, or STORE_NONE */
    bool is_public;                        /* everybody may read it */
    char reader_key[READER_KEY_DIGITS];    /* hex: who knows it may share what caches keep */
    struct slice lives;                    /* empty: the one that its uid tells; see stream_row_lives() */
};

/* Whether the stream holds JSON messages instead of bytes. Decided when the stream is created, by media_type_is_json().
 * Data of version 9 and before has no STREAM_KIND_JSON: there only application/json holds messages, and a stream of a
 * type with the suffix "+json" stays one of bytes as long as it exists. */
bool stream_row_is_json(const struct stream_row *row) MUSTUSE;

/* The stream's lives (common/lives.h). The room is for those of a stream that has only one. */
struct slice stream_row_lives(const struct stream_row *row, char room[LIVES_ONE]);

/* When the stream expires: Unix ms, or STORE_NONE. */
uint64_t stream_row_deadline(const struct stream_row *row);

bool store_stream_by_name(struct store *store, struct slice name, struct stream_row *row) MUSTUSE;
bool store_stream_by_uid(struct store *store, uint64_t uid, struct stream_row *row) MUSTUSE;
/* Streams in the order of their names from this one on, soft-deleted ones too, until visit returns false; visit must
 * not use the store. */
typedef bool store_stream_visit(void *ctx, const struct stream_row *row);
void store_streams_from(struct store *store, struct slice name, store_stream_visit *visit, void *ctx);

void store_stream_insert(struct store *store, const struct stream_row *row);
/* Writes what flushing and closing change: flushed, bytes, hot_*, due, closed, closer*, stream_seq, accessed_ms,
 * retain_ms. */
void store_stream_update(struct store *store, const struct stream_row *row);
void store_stream_touch(struct store *store, const struct stream_row *row);
/* Writes kind and expiry. */
void store_stream_set_kind(struct store *store, const struct stream_row *row);
/* Writes what offloading changes: offloaded, chunk_bytes, chunk_messages, due. */
void store_stream_set_offloaded(struct store *store, const struct stream_row *row);
/* Writes its lives. The newest one counts as given (store_uid.h). */
void store_stream_set_lives(struct store *store, const struct stream_row *row);
/* Writes what retention changes: earliest, bytes, retain_ms. */
void store_stream_set_retained(struct store *store, const struct stream_row *row);
void store_stream_soft_delete(struct store *store, uint64_t uid);
void store_stream_set_deleting(struct store *store, uint64_t uid);

/* The next stream after `uid` that is due; STORE_NONE: there is none. */
uint64_t store_next_due(struct store *store, uint64_t uid);
/* The bytes in chunks of all streams that are due. */
uint64_t store_backlog(struct store *store);

#endif
