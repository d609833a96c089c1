/* POST whose body is stored as it arrives, piece by piece (Stream-Append: incremental). */
#ifndef ROUTER_HANDLERS_APPEND_INCREMENTAL_H
#define ROUTER_HANDLERS_APPEND_INCREMENTAL_H

#include "common/list.h"

struct event;
struct request;
struct router;

/* Of one router. */
struct incrementals {
    struct list ready;   /* those whose piece is sent in this turn */
    struct event *timer; /* the next piece is due (DEADLINE_PIECE) */
};

void incrementals_init(struct router *router);

/* Begins one. Access is decided, and the usage of the project is known. request->incoming stays until the answer. */
void append_incremental_begin(struct request *request);

/* A step of a turn: sends the pieces that are due. */
void incrementals_send(struct router *router);

#endif
