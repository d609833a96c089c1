/* `streamd verify`: checks every database and segment of a data folder, while the server runs or not: that each is
 * whole, and that they fit each other. */
#ifndef SHARD_TOOLS_VERIFY_H
#define SHARD_TOOLS_VERIFY_H

#include "common/config.h"
#include "common/layout.h"
#include "shard/segments/objects.h"
#include "shard/tools/verify_rules.h"
#include "common/attr.h"
#include "common/slice.h"

struct verify {
    struct config cfg;
    bool quick;   /* indexes, messages and files' contents are not looked at */
    bool objects; /* segments in the store are fetched */
    struct layout layout;
    bool moving;                                 /* a change of the shard count is not finished */
    struct store_look *looks[LAYOUT_SHARDS_MAX]; /* NULL: not there, or of no use */
    bool holds[LAYOUT_SHARDS_MAX][LAYOUT_SLOTS]; /* streams of the slot */
    uint64_t databases, streams, segments, problems;
    uint64_t unread; /* segments that are only in the store */

    struct objects store; /* where segments are */
    struct event_base *base;

    /* what is being looked at, for the lines */
    char database[32];
    uint64_t uid;
    struct slice name; /* of the stream; "": none is */
};

/* `streamd-shard verify [--quick] [--objects]`; the configuration comes on standard input. The exit status: 1 if there
 * is a problem. */
int verify_main(int argc, char **argv);

/* A line for a problem, if there were not many yet. */
void verify_problem(struct verify *v, const char *format, ...) PRINTF(2, 3);

/* The files of a shard's segments, after its database. */
void verify_files_begin(struct verify *v);
void verify_files(struct verify *v, unsigned shard);
void verify_files_end(struct verify *v);

/* What ties the databases together: forks and the pins that hold their sources, estuaries and the feeds of theirs. */
void verify_cross_checks(struct verify *v);

#endif
