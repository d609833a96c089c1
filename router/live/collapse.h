/* Catch-up reads that ask for the same thing at the same time: few READs to the shard, and one page in memory for all
 * who share one. collapse.c says how. */
#ifndef ROUTER_LIVE_COLLAPSE_H
#define ROUTER_LIVE_COLLAPSE_H

#include "common/buf.h"
#include "common/table.h"
#include "common/wire.h"
#include "router/live/read_answer.h"

struct request;
struct router;

struct collapse {
    struct router *router;
    struct table questions; /* that a shard has been asked, by all that makes two of them different */
    struct buf key;         /* of the READ that is looked for */
};

void collapse_init(struct collapse *collapse, struct router *router);

/* The request waits for what this READ finds, and is answered then, as `asked` says, which is taken. Its name is
 * borrowed for the call; its id is filled in. Two that are equal but for the id are the same. */
void collapse_read(struct collapse *collapse, struct request *request, struct wire_read read, struct read_asked asked);

#endif
