/* The answers to a read that is no event stream (PROTOCOL.md 5.6, 5.7): headers, caching, body. */
#ifndef ROUTER_READ_ANSWER_H
#define ROUTER_READ_ANSWER_H

#include "common/wire.h"
#include "router/client.h"

/* A catch-up read: 200 with what the stream says, or 304 if exchange.text (If-None-Match) names it. page: its bytes,
 * when they came as a file; or NULL. body: the answer's, when it is shared; or NULL. */
void read_answer_page(struct client *client, const struct wire_stream *stream, struct block *page, struct block *body);

/* A long-poll's 200. */
void read_answer_poll(struct client *client, const struct wire_stream *stream, uint64_t cursor, struct block *body);

/* A long-poll's 204: nothing came, or (closed) nothing will. */
void read_answer_nothing(struct client *client, uint64_t next, uint64_t cursor, bool closed);

/* The body of an answer with the stream's data, to be shared by several. The caller's reference. */
struct block *read_answer_body(struct router *router, const struct wire_stream *stream) MUSTUSE;

#endif
