/* The one answer to a client's current request. answer_begin() starts its head and gives the buffer to add headers to
 * (response_add*); one of the answer_end*() queues it and moves the client on. */
#ifndef ROUTER_CONN_ANSWER_H
#define ROUTER_CONN_ANSWER_H

#include "common/attr.h"
#include "common/lives.h"
#include "common/wire.h"
#include "router/conn/connection.h"
#include "router/http/response.h"

struct chunk;
struct answer; /* router/shards/shard_request.h */
struct router;

struct buf *answer_begin(struct request *request, int status);

/* True: answers that clients do not take, and listings that are put together, fill the memory that is for them. */
bool answer_memory_full(const struct router *router) MUSTUSE;

/* The body is the parts one after the other; it is left out for a HEAD, but not its length. */
void answer_end(struct request *request, const struct slice *parts, size_t count);
void answer_end_block(struct request *request, struct block *body); /* shared; the caller keeps its reference */
/* The body is these pieces, which are shared; the caller keeps them. */
void answer_end_pieces(struct request *request, const struct output *body);
void answer_end_bare(struct request *request); /* 204 and 304 */

/* All of it: 200 with this document, which no cache keeps. */
void answer_json(struct request *request, struct slice body);

/* An error: begin, perhaps more headers, end. The text may hold anything; NULL or empty: error_text(). */
struct buf *answer_error_begin(struct request *request, enum error error);
void answer_error_end(struct request *request, enum error error, const char *text);
/* The same with further members of the document: `,"index":3`. */
void answer_error_more(struct request *request, enum error error, const char *text, struct slice more);

/* The same for a request that cannot be read to its end: what works on it is dropped, and the connection ends. */
void answer_refuse(struct request *request, enum error error, const char *text);

/* The same for an answer that begins after this call. */
void answer_cut_short(struct request *request);

void answer_error(struct request *request, enum error error);
void answer_error_text(struct request *request, enum error error, const char *text);

/* Passes on a shard's answer that is an error. */
void answer_refusal(struct request *request, const struct answer *answer);

/* An answer whose body comes piece by piece and has no known length: in HTTP/1.1 as chunks, in HTTP/1.0 until the
 * connection closes. answer_open() ends the head, answer_add() queues a piece, answer_close() ends the answer. */
void answer_open(struct request *request);
void answer_add(struct request *request, const struct chunk *chunk);
void answer_close(struct request *request);

/* A piece for any number of answers: its bytes with the frame around them, so that each of them is sent as it is. The
 * caller's reference is chunk.block's. */
struct chunk {
    struct block *block;
    size_t start, len; /* the bytes without their frame */
};
struct chunk answer_chunk(struct output_pool *pool, struct slice bytes);

/* Adds Stream-Incarnation and Stream-Next-Offset of an answer with this status; and the tail as an ETag, which If-Match
 * takes, if a client is to go on from there: to all but errors other than 409 and 412. */
void answer_add_place(struct buf *head, int status, struct place at);

/* Adds Stream-Incarnation: the newest of these lives (common/lives.h). */
void answer_add_incarnation(struct buf *head, struct slice lives);

/* What a stream is, for the answers that say nothing else: type, tail, closure, expiry; not to be cached. */
void answer_add_metadata(struct buf *head, const struct wire_stream *stream);

#endif
