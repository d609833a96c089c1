/* Appends: what those whose body is whole and incremental ones have in common. */
#ifndef ROUTER_HANDLERS_APPEND_H
#define ROUTER_HANDLERS_APPEND_H

struct router;

/* The frame is put: frees the buffers of JSON messages that have become large. */
void append_give_back(struct router *router);

#endif
