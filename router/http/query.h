/* The query of a read: where it begins (one of offset, tail, before with n, since), live, cursor, limit
 * (PROTOCOL.md 5.6 to 5.8). Other parameters are ignored. */
#ifndef ROUTER_HTTP_QUERY_H
#define ROUTER_HTTP_QUERY_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/detail.h"
#include "common/offset.h"
#include "common/slice.h"
#include "common/wire.h"

enum query_live { QUERY_CATCH_UP, QUERY_LONG_POLL, QUERY_SSE };

struct query {
    enum query_live live;
    enum wire_from from;
    bool now;             /* offset=now: from the tail */
    bool earliest;        /* offset=-1, or none: from the first that is there */
    struct offset offset; /* where else to start, or where the messages of before end */
    uint64_t amount;      /* tail, before: messages; since: Unix milliseconds */
    uint64_t cursor;      /* 0: none, or none that can be understood */
    uint64_t limit;       /* messages; 0: no such limit */
};

/* Returns ERR_NONE, or what to refuse the query with, of which *detail says more. */
enum error query_parse(struct slice text, struct query *query, struct detail *detail) MUSTUSE;

/* The value of name=value in a list whose items are parted by `separator`, as it was sent: of a query ('&') or of
 * cookies (';'). data NULL: it is not there. */
struct slice query_value(struct slice list, char separator, struct slice name);

/* The same of a query, decoded: a piece of the query or of the room. What cannot be decoded stays as it is. */
struct slice query_text(struct slice query, struct slice name, struct buf *room);

#endif
