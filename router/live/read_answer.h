/* The answers to a read that is no event stream (PROTOCOL.md 5.6, 5.7): headers, caching, body. */
#ifndef ROUTER_LIVE_READ_ANSWER_H
#define ROUTER_LIVE_READ_ANSWER_H

#include "common/wire.h"
#include "router/conn/connection.h"

/* What a read asks for that its answer depends on. */
struct read_asked {
    char *none_match; /* If-None-Match, or NULL; read_asked_clear() it */
    bool now;         /* offset=now */
    bool earliest;    /* offset=-1, or none */
    enum wire_from from;
};

void read_asked_clear(struct read_asked *asked);

/* A catch-up read: 200 with what the stream says, or 304 if asked->none_match names it. The body is the stream's data,
 * unless `body` has bytes: then it is those (read_answer_add). */
void read_answer_page(struct request *request, const struct read_asked *asked, const struct wire_stream *stream,
                      const struct output *body);

/* Puts the bytes of a READ's answer behind those of READs before it, in an answer that they have in common. `page` has
 * them if they came as a file; else it is NULL. read_answer_whole() ends such a body; it is empty if they all were. */
void read_answer_add(struct router *router, struct output *body, const struct wire_stream *stream, struct block *page);
void read_answer_whole(struct router *router, struct output *body, const struct wire_stream *stream);

/* A long-poll's 200. */
void read_answer_poll(struct request *request, const struct read_asked *asked, const struct wire_stream *stream,
                      uint64_t cursor, struct block *body);

/* Of a read that names no offset to begin at: where it begins, and whether the stream has nothing before that. */
void read_answer_add_start(struct buf *head, const struct wire_stream *stream);

/* A long-poll's 204: nothing came to stream->next, or (closed) nothing will. */
void read_answer_nothing(struct request *request, const struct read_asked *asked, const struct wire_stream *stream,
                         uint64_t cursor, bool closed);

/* The body of an answer with the stream's data, to be shared by several. The caller's reference. */
struct block *read_answer_body(struct router *router, const struct wire_stream *stream) MUSTUSE;

#endif
