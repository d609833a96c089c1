/* Checks of one database that a query can do. */
#ifndef SHARD_STORE_STORE_LOOK_CHECKS_H
#define SHARD_STORE_STORE_LOOK_CHECKS_H

#include <stdint.h>

#include "shard/store/store_look.h"
#include "common/attr.h"

typedef void store_look_text(void *ctx, const char *text);
/* SQLite's own checks: visit gets a line for each thing that is wrong. quick: without comparing indexes and tables. */
bool store_look_integrity(struct store_look *look, bool quick, store_look_text *visit, void *ctx) MUSTUSE;

/* What one table says of another: visit gets a line for each thing that does not fit. Called after every batch of the
 * journal was noted with store_look_fresh_put() and, with `shared`, every chunk with store_look_shared(). */
bool store_look_tables(struct store_look *look, bool shared, store_look_text *visit, void *ctx) MUSTUSE;

/* What the journal has said of a stream so far. */
struct fresh_stream {
    uint64_t uid, tail;
    bool known;  /* the stream is in a table, or was created in the journal */
    bool gone;   /* deleted in the journal */
    bool closed; /* in the journal */
    bool json;
};

bool store_look_fresh(struct store_look *look, uint64_t uid, struct fresh_stream *fresh) MUSTUSE;
void store_look_fresh_put(struct store_look *look, const struct fresh_stream *fresh);
/* How many streams only the journal has. */
uint64_t store_look_born(struct store_look *look);

#endif
