/* Server-sent events of a live read: a data event and the control event that belongs to it (PROTOCOL.md 5.8). */
#ifndef ROUTER_LIVE_SSE_H
#define ROUTER_LIVE_SSE_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/offset.h"
#include "common/slice.h"

/* How a stream's bytes are put into a data event. */
enum sse_kind {
    SSE_JSON,  /* one array of the messages */
    SSE_TEXT,  /* as they are, line by line */
    SSE_BASE64 /* any other type */
};

/* json: the stream holds JSON messages (WIRE_STREAM_JSON), which its type alone does not decide. */
enum sse_kind sse_kind_of(struct slice content_type, bool json);

struct sse_event {
    enum sse_kind kind;
    struct slice data;  /* in stored form; empty: the control event comes alone */
    struct offset next; /* after data */
    uint64_t time_ms;   /* when data was written */
    uint64_t cursor;
    uint64_t retry_ms; /* after how long a browser's EventSource connects again; 0: nothing is said of it */
    bool up_to_date;
    bool closed;            /* this is the end of the stream */
    bool deleted;           /* the stream is gone; */
    bool recreated;         /* another one has its name now, */
    struct offset earliest; /* which begins here */
};

/* Adds the event's bytes to out. The control event carries its offset as the event's id too, so that a browser's
 * EventSource that reconnects sends it as Last-Event-ID. */
void sse_render(struct buf *out, const struct sse_event *event);

/* The end of a text that has to wait for what comes next: up to three bytes of a character, or a CR that may be the
 * half of a line end. */
#define SSE_KEPT_MAX 3
struct sse_kept {
    unsigned char len;
    char bytes[SSE_KEPT_MAX];
};

/* How much of data, a text that may go on, makes a data event on its own: all of it but its last SSE_KEPT_MAX bytes at
 * most, so that neither a character of UTF-8 nor a CRLF is cut. Bytes that no character begins with are not waited for:
 * they are U+FFFD to readers, however the text is cut. */
size_t sse_text_cut(struct slice data) MUSTUSE;

#endif
