/* One request: what it asks for, what it was allowed with, what works on it, and how its answer has to be framed. Its
 * connection takes the bytes of the answer. Handlers see requests only; of a connection they know nothing. */
#ifndef ROUTER_CONN_REQUEST_H
#define ROUTER_CONN_REQUEST_H

#include "common/buf.h"
#include "common/errors.h"
#include "router/auth/auth.h"
#include "router/auth/callback.h"
#include "router/conn/hold.h"
#include "router/observe/account.h"

struct block;
struct connection;
struct listing;
struct reader;
struct router;
struct shard_request;
struct upload;
struct waiter;

/* Which origins' scripts may read an answer. */
enum request_cors {
    CORS_NONE,   /* nobody asked */
    CORS_ANY,    /* all */
    CORS_ORIGIN, /* the one that asked */
    CORS_VARY    /* none that is known; another may be answered otherwise */
};

/* What the handler of a request keeps until its answer comes. */
struct exchange {
    char *origin;            /* CORS_ORIGIN: which; freed with the request */
    char *text;              /* create: the Location; read: If-None-Match; freed with the request */
    uint64_t received;       /* append: the sequence number that came */
    struct tally *tally;     /* of its project, if that has quotas */
    struct listing *listing; /* list; freed with the request */
    bool producer;           /* append: with producer headers */
    bool close_only;         /* append: without a body */
    bool many;               /* subscribe: to several sources */
    bool slash;              /* the name that was asked for ends in one */
    bool now;                /* read: offset=now */
    bool kept;               /* read: caches that many share may keep the answer; it has nothing of this request */
    bool earliest;           /* read: offset=-1, or none */
    uint8_t estuary;         /* WIRE_ESTUARY_* */
};

struct request {
    struct router *router;
    struct connection *connection;
    struct upload *upload;       /* its body is arriving */
    struct shard_request *asked; /* what a shard works on */
    struct hold *hold;           /* or what it waits for instead */
    struct waiter *waiter;       /* or with others (collapse.h) */
    struct reader *reader;       /* it is a live read */
    struct decision decision;    /* what the callback has said */
    struct exchange exchange;
    struct account account;
    enum request_cors cors : 8; /* of the answer */
    bool shared_answer;         /* caches that many share may keep it */
    bool http10, keep_alive, head_only;
    bool chunked;       /* its answer is a body of chunks, of which more come */
    struct grant grant; /* what it was allowed with */
};

/* Queues len bytes of a block from start, of the answer; they leave at the end of the turn. */
void request_send(struct request *request, struct block *block, size_t start, size_t len);

/* The answer is queued to its end: the connection goes on to the next request, or to its end. */
void request_done(struct request *request);

/* Frees what a handler has kept. */
void request_clear(struct request *request);

#endif
