/* One request: what it asks for, what it was allowed with, what works on it, and how its answer has to be framed. Its
 * connection takes the bytes of the answer. Handlers see requests only; of a connection they know nothing. */
#ifndef ROUTER_CONN_REQUEST_H
#define ROUTER_CONN_REQUEST_H

#include "common/buf.h"
#include "common/errors.h"
#include "router/conn/grant.h"
#include "router/observe/request_stats.h"

struct block;
struct connection;
struct incoming;
struct request;
struct router;
struct project_usage;

/* Which origins' scripts may read an answer. */
enum request_cors {
    CORS_NONE,   /* nobody asked */
    CORS_ANY,    /* all */
    CORS_ORIGIN, /* the one that asked */
    CORS_VARY    /* none that is known; another may be answered otherwise */
};

/* What works on a request between its head and its answer: its body arrives, it waits for something, a shard is asked,
 * others ask the same, or it is a live read. There is one at a time, and nobody but these knows which. The connection
 * calls it when something happens that it has to know; NULL: that does not concern it. */
struct job_ops {
    void (*drop)(struct request *request);    /* the client is gone: forget the job. All have this */
    void (*drained)(struct request *request); /* the client has taken something of what was queued */
    void (*expired)(struct request *request); /* the timer has passed that the job has armed */
    void (*hang_up)(struct request *request); /* the client sends nothing more; it may still read */
    bool (*stop)(struct request *request); /* the process ends: end soon. False: an answer is on its way, and ends it */
    /* A job that takes the body as it arrives (request_reader.h) has these two. The first may end the request. */
    void (*body)(struct request *request, struct slice data); /* some of it; may be empty */
    void (*body_end)(struct request *request);                /* it is whole */
    /* A job that outlasts what its request was granted with has these two. */
    void (*recheck)(struct request *request);   /* keys, projects or origins have changed: end unless it may go on */
    void (*send_back)(struct request *request); /* end, so that the client comes again and is asked about again */
};

struct request {
    struct router *router;
    struct connection *connection;
    const struct job_ops *ops; /* NULL: nothing works on it */
    void *job;
    struct incoming *incoming;   /* what it says, until its handler has it; else NULL */
    struct decision decision;    /* what the callback has said */
    char *origin;                /* CORS_ORIGIN: which */
    struct project_usage *usage; /* of its project, if that has quotas */
    struct request_stats stats;
    enum request_cors cors : 8; /* of the answer */
    bool shared_answer;         /* caches that many share may keep it */
    bool kept;                  /* and so they will: it has nothing of this request */
    bool slash;                 /* the name that was asked for ends in one */
    bool http10, keep_alive, head_only;
    bool chunked;       /* its answer is a body of chunks, of which more come */
    struct grant grant; /* what it was allowed with */
};

/* Something begins to work on it, and has ended. It waits from then on, until it is answered. */
void request_begin_job(struct request *request, const struct job_ops *ops, void *job);
void request_end_job(struct request *request);

/* Drops what works on it, if something does. */
void request_drop_job(struct request *request);

/* Looks again at what a request that is worked on was granted; the same for all requests of the router, and the end of
 * all that outlast their grant. */
void request_recheck(struct request *request);
void requests_recheck(struct router *router);
void requests_send_back(struct router *router);

/* Queues len bytes of a block from start, of the answer; they leave at the end of the turn. */
void request_send(struct request *request, struct block *block, size_t start, size_t len);

/* The answer is queued to its end: the connection goes on to the next request, or to its end. */
void request_done(struct request *request);

/* Frees what was kept for it. */
void request_clear(struct request *request);

#endif
