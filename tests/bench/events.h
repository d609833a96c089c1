/* The data of server-sent events, taken out of a stream of bytes. */
#ifndef BENCH_EVENTS_H
#define BENCH_EVENTS_H

#include "common/attr.h"
#include "common/buf.h"

/* All zero: nothing has come yet. */
struct events {
    struct buf line; /* the beginning of a line whose end has not come */
    bool used_line;  /* it was whole and handed over: starts over at the next call */
    bool skip;       /* in an event that is not data ("event: control") */
};

/* Takes bytes off the front of `in`; true: *data is the text of the next data line, valid until the next call. */
bool events_next(struct events *e, struct slice *in, struct slice *data) MUSTUSE;

void events_clear(struct events *e);

#endif
