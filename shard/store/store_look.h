/* A database that is only looked at, in whatever state it is, beside a server that writes it. Everything found between
 * store_look_begin() and store_look_end() is of one moment. Nothing here ends the process: a function that returns
 * false has failed, and store_look_error() says why. The rows are in store_look_rows.h, checks in store_look_checks.h
 * and store_look_cross.h. */
#ifndef SHARD_STORE_STORE_LOOK_H
#define SHARD_STORE_STORE_LOOK_H

#include <stdbool.h>

#include "common/attr.h"

struct store_look;

/* Opens DATA_DIR/shard-INDEX.db or another database for reading. The caller closes it, also after a failure. */
bool store_look_open(struct store_look **look, const char *path) MUSTUSE;
void store_look_close(struct store_look *look);
/* The last failure; borrowed. */
const char *store_look_error(const struct store_look *look);

/* NULL: it is a shard's database that this program knows. Otherwise why not; borrowed. */
const char *store_look_schema(struct store_look *look);

/* Notes also what the journal's files have (store_look_journal.c). */
void store_look_begin(struct store_look *look);
void store_look_end(struct store_look *look);
/* Ends all borrowing of rows; unless a moment was begun, the next rows are of a later one. */
void store_look_release(struct store_look *look);

#endif
