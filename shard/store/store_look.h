/* A database that is only looked at, in whatever state it is, beside whoever writes it. What is found between
 * store_look_begin() and store_look_end() is of one moment. Nothing here ends the process: a function that is false has
 * failed, and store_look_error() says why. */
#ifndef SHARD_STORE_STORE_LOOK_H
#define SHARD_STORE_STORE_LOOK_H

#include "shard/store/store.h"

struct store_look;

/* Opens DATA_DIR/shard-INDEX.db or another database for reading. The caller closes it, also after a failure. */
bool store_look_open(struct store_look **look, const char *path) MUSTUSE;
void store_look_close(struct store_look *look);
/* The last failure; borrowed. */
const char *store_look_error(const struct store_look *look);

/* NULL: it is a shard's database that this program knows. Otherwise why not; borrowed. */
const char *store_look_schema(struct store_look *look);

void store_look_begin(struct store_look *look);
void store_look_end(struct store_look *look);
/* Rows are borrowed no more; without a moment begun, what comes next is of a later one. */
void store_look_release(struct store_look *look);

typedef void store_look_text(void *ctx, const char *text);
/* SQLite's own checks: visit gets a line for each thing that is wrong. quick: without comparing indexes and tables. */
bool store_look_integrity(struct store_look *look, bool quick, store_look_text *visit, void *ctx) MUSTUSE;

/* What a table can say of another: a line for each thing that does not fit. After all batches were seen with
 * store_look_fresh_put(); and, with `shared`, all chunks with store_look_shared(). */
bool store_look_tables(struct store_look *look, bool shared, store_look_text *visit, void *ctx) MUSTUSE;

typedef void store_look_stream(void *ctx, const struct stream_row *row);
/* Every stream. Visitors may look at other things meanwhile. */
bool store_look_streams(struct store_look *look, store_look_stream *visit, void *ctx) MUSTUSE;
bool store_look_stream_at(struct store_look *look, uint64_t uid, struct stream_row *row) MUSTUSE;

typedef void store_look_chunk(void *ctx, const struct extent *extent);
/* A stream's chunks in order, as they are stored; without `content` of marks and data the length only. */
bool store_look_chunks(struct store_look *look, uint64_t uid, bool content, store_look_chunk *visit, void *ctx) MUSTUSE;

/* Notes a reference to shared bytes, and finds them. False: they are not there, or it has failed. *first: nobody has
 * referred to them before. */
bool store_look_shared(struct store_look *look, uint64_t id, struct extent *extent, bool *first) MUSTUSE;

typedef void store_look_segment(void *ctx, const struct segment_row *row);
/* A stream's segments in order. */
bool store_look_segments(struct store_look *look, uint64_t uid, store_look_segment *visit, void *ctx) MUSTUSE;
/* Up to max segments of streams that are not deleted, from those behind (uid, start) on; returns how many. */
size_t store_look_segments_after(struct store_look *look, const struct object *after, struct segment_row *rows,
                                 size_t max);
/* It is a segment (still). */
bool store_look_segment_there(struct store_look *look, const struct object *object) MUSTUSE;

typedef void store_look_batch(void *ctx, int64_t seq, struct slice heads, struct slice data);
/* The log, batch by batch. */
bool store_look_journal(struct store_look *look, store_look_batch *visit, void *ctx) MUSTUSE;

/* What the log has said of a stream so far. */
struct fresh_stream {
    uint64_t uid, tail;
    bool known;  /* the stream is in a table, or was created in the log */
    bool gone;   /* deleted in the log */
    bool closed; /* in the log */
    bool json;
};

bool store_look_fresh(struct store_look *look, uint64_t uid, struct fresh_stream *fresh) MUSTUSE;
void store_look_fresh_put(struct store_look *look, const struct fresh_stream *fresh);
/* How many streams only the log has. */
uint64_t store_look_born(struct store_look *look);

/* ---- what ties databases together ---- */

/* Of a fork: that of the stream at its end; of a subscription: that of the estuary. */
struct store_bond {
    uint64_t uid, source_uid;
    uint64_t pin; /* of a fork */
};
typedef void store_look_bond(void *ctx, const struct store_bond *bond);
/* Forks that hold their sources. */
bool store_look_forks(struct store_look *look, store_look_bond *visit, void *ctx) MUSTUSE;
bool store_look_fork_there(struct store_look *look, const struct store_bond *bond) MUSTUSE;
bool store_look_pin_there(struct store_look *look, const struct store_bond *bond) MUSTUSE;
/* Subscriptions in force. */
bool store_look_subscriptions(struct store_look *look, store_look_bond *visit, void *ctx) MUSTUSE;
bool store_look_subscription_there(struct store_look *look, const struct store_bond *bond) MUSTUSE;
bool store_look_feed_there(struct store_look *look, uint64_t source_uid, unsigned shard) MUSTUSE;

#endif
