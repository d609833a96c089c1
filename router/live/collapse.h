/* Catch-up reads that ask for the same thing at the same time: few READs to the shard, and one page for all who share
 * one.
 *
 * What was acknowledged before a request came must be in its answer. So a request may only share a READ that has not
 * left the router when it comes: what the shard finds later is new enough for it. Where a few have left, those who come
 * gather, and share the next one, which leaves when an answer is there. So however many ask, a shard has few READs of
 * one key at a time.
 *
 * An answer is joined from several pages, up to limits.read_answer: many clients take one answer for all there is. Each
 * page is a READ of its own, so a long answer does not hold up the shard's appends. A client that comes while a later
 * page's READ has not left may share that answer too: pages before the tail do not change. */
#ifndef ROUTER_LIVE_COLLAPSE_H
#define ROUTER_LIVE_COLLAPSE_H

#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"

struct request;
struct router;
struct shared_read;
struct waiter;

struct collapse {
    struct router *router;
    struct shared_read **buckets;
    size_t bucket_count, count;
    uint64_t seed; /* of the hash: nobody outside knows what collides */
};

void collapse_init(struct collapse *collapse, struct router *router);

/* The request, whose exchange says what kind of read it is, waits for what this READ finds, and is answered then. Its
 * name is borrowed for the call; its id is filled in. Two that are equal but for the id are the same. */
void collapse_read(struct collapse *collapse, struct request *request, struct wire_read read);

#endif
