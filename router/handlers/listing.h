/* A page of a project's streams, put together of what each shard has. Pure: frames in, JSON out. */
#ifndef ROUTER_HANDLERS_LISTING_H
#define ROUTER_HANDLERS_LISTING_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/detail.h"
#include "common/wire.h"

#define LISTING_LIMIT 100u /* of a request that does not say */
#define LISTING_LIMIT_MAX 1000u

struct listing {
    bool all;                /* of all projects: names have their project */
    struct buf prefix, from; /* whole names: those that begin so, from this one on */
    struct buf until;        /* if there is more: the last name that this page can have */
    struct buf rows;         /* frames of LISTED_STREAM, in the order of their names */
    uint32_t limit;
    bool more;
    unsigned shard; /* the next to be asked */
};

/* What the request's query asks for: prefix, after, limit. The project "": all of them. The caller frees it. NULL: the
 * query is malformed, and *detail says where. */
struct listing *listing_new(struct slice project, struct slice query, struct detail *detail) MUSTUSE;
void listing_free(struct listing *listing);

/* What to ask the next shard. Borrows from the listing. */
struct wire_list listing_ask(const struct listing *listing, uint64_t id);

/* Takes a shard's answer. False: it is malformed. */
bool listing_take(struct listing *listing, const struct wire_listed *m) MUSTUSE;

/* {"streams":[...],"next":...}. Names are percent-encoded as in a path, and without their project unless all are
 * listed. */
void listing_print(const struct listing *listing, struct buf *out);

/* One of them, as an object without its closing brace, for whoever has more to say of it. `whole`: its name has its
 * project. */
void listing_print_stream(struct buf *out, const struct wire_listed_stream *m, bool whole);

#endif
