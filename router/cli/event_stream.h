/* Server-sent events as a client reads them (HTML 9.2.6). Pure: bytes in, events out. */
#ifndef ROUTER_CLI_EVENT_STREAM_H
#define ROUTER_CLI_EVENT_STREAM_H

#include "common/buf.h"

/* An event's type ("message" if it has none) and its data, without the last line end; borrowed for the request. */
typedef void event_stream_event(void *ctx, struct slice type, struct slice data);

/* Zeroed but for the first two. */
struct event_stream {
    event_stream_event *event;
    void *ctx;
    struct buf line, type, data;
    size_t comments; /* lines that were */
    bool after_cr, any;
};

void event_stream_feed(struct event_stream *stream, struct slice piece);
void event_stream_clear(struct event_stream *stream);

#endif
