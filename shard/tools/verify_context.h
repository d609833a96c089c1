/* What one `streamd verify` knows: the options, the databases that it has open, the sums, and what is being looked at.
 */
#ifndef SHARD_TOOLS_VERIFY_CONTEXT_H
#define SHARD_TOOLS_VERIFY_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/layout.h"
#include "common/slice.h"
#include "shard/segments/objects.h"
#include "shard/store/store_look.h"

struct verify {
    struct config cfg;
    bool quick;   /* indexes, messages and the contents of files are not looked at */
    bool objects; /* segments in the store are fetched */
    struct layout layout;
    bool moving;                                 /* a change of the shard count is not finished */
    struct store_look *looks[LAYOUT_SHARDS_MAX]; /* NULL: not there, or of no use */
    bool holds[LAYOUT_SHARDS_MAX][LAYOUT_SLOTS]; /* the shard's database has streams of the slot */
    uint64_t databases, streams, segments, problems;
    uint64_t unread; /* segments that are only in the store */

    struct objects store; /* where segments are */
    struct event_base *base;

    /* what is being looked at, for the lines */
    char database[32];
    uint64_t uid;
    struct slice name; /* of the stream; "": none is */
};

#endif
