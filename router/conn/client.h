/* A client's connection. One request of it is worked on at a time; what it sends meanwhile waits in `in`, up to a
 * bound.
 *
 *            +---------------- answered, kept alive ----------------+
 *            v                                                       |
 *    HEAD --> BODY --> WAITING (with a shard) ----------------------+
 *      |        |  \-> LIVE (a long-poll or SSE reader) ------------+
 *      +--------+---------------> ENDING --> (LINGERING) --> DEAD  <-- any state: the client is gone
 */
#ifndef ROUTER_CONN_CLIENT_H
#define ROUTER_CONN_CLIENT_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/socket.h>

#include "common/buf.h"
#include "common/errors.h"
#include "router/auth/auth.h"
#include "router/auth/callback.h"
#include "router/conn/deadline.h"
#include "router/conn/hold.h"
#include "router/conn/output.h"
#include "router/observe/account.h"

struct router;
struct request;
struct reader;
struct upload;
struct waiter;
struct listing;

enum client_state {
    CLIENT_HEAD,      /* between requests, or a head is arriving */
    CLIENT_BODY,      /* a body is arriving */
    CLIENT_WAITING,   /* a request is with a shard, or held */
    CLIENT_LIVE,      /* there is a reader */
    CLIENT_ENDING,    /* what is queued is written, then the connection ends */
    CLIENT_LINGERING, /* answered and shut down; what the client still sends is dropped, so that it sees the answer */
    CLIENT_DEAD       /* waits in the graveyard for the end of the turn */
};

/* Which origins' scripts may read an answer. */
enum client_cors {
    CORS_NONE,   /* nobody asked */
    CORS_ANY,    /* all */
    CORS_ORIGIN, /* the one that asked */
    CORS_VARY    /* none that is known; another may be answered otherwise */
};

/* What the verb of the current request keeps until its answer comes. */
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

struct client {
    struct router *router;
    struct event event;
    struct client *prev, *next; /* all clients */
    struct client *dirty_next;  /* clients with something to write, or with much of it */
    struct client *ready_next;  /* clients with something to parse; then the graveyard */
    struct deadline timer;      /* of the state it is in */
    struct deadline stall;      /* it has to take some of its output */
    struct buf in;              /* received, not yet parsed; usually empty */
    struct output out;
    size_t scanned;           /* of a head that is not whole: how far it was looked at */
    struct upload *upload;    /* CLIENT_BODY */
    struct request *request;  /* what a shard works on */
    struct hold *hold;        /* or what it waits for instead */
    struct waiter *waiter;    /* or with others (collapse.h) */
    struct decision decision; /* what the callback has said */
    struct reader *reader;    /* CLIENT_LIVE */
    struct exchange exchange;
    struct account account; /* of the current request */
    enum client_state state : 8;
    enum deadline_class timer_class : 8;
    enum client_cors cors : 8;          /* of the answer */
    short watched;                      /* EV_READ, EV_WRITE */
    bool dirty, ready;                  /* on the lists above */
    bool blocked;                       /* the socket is full */
    bool eof;                           /* nothing more will come */
    bool linger;                        /* it may still be sending what will not be read */
    bool shared_answer;                 /* caches that many share may keep it */
    bool only_metrics;                  /* it came where nothing else is answered */
    bool refused;                       /* counted in clients.refused */
    bool http10, keep_alive, head_only; /* of the current request */
    struct grant grant;                 /* what the current request was allowed with */
};

/* A client that pipelines and does not read its answers gets no more of them. */
#define CLIENT_OUTPUT_PAUSE ((size_t)256 << 10)

struct clients {
    struct client *first, *dirty, *ready, *grave;
    struct client *bulk, *bulk_last; /* with much to write, in turns; they are `dirty` */
    size_t count;
    size_t refused;      /* of them, those that are only told TOO_MANY_CONNECTIONS */
    size_t scraping;     /* and those that came where nothing but metrics is answered */
    uint64_t body_bytes; /* of bodies that are arriving */
    uint64_t rows_bytes; /* of listings that are put together */
};

/* A connection that was accepted. The fd is the client's now. */
struct client *client_new(struct router *router, int fd);

/* The one place where a client's state changes. */
void client_set_state(struct client *client, enum client_state state);
void client_close(struct client *client);

/* Arms the timer of the state it is in, for `after` milliseconds from now. */
void client_arm(struct client *client, enum deadline_class class, uint64_t after);

/* Queues len bytes of a block from start; they leave at the end of the turn. */
void client_send(struct client *client, struct block *block, size_t start, size_t len);

/* Writes what the socket takes now, without waiting for the client's turn. It may be dead afterwards. */
void client_push(struct client *client);

/* Its address; zeroes and false: it is gone. */
bool client_address(const struct client *client, struct sockaddr_storage *address) MUSTUSE;

/* Bytes that it has sent and that nobody has looked at, at the beginning of its life. */
void client_put_back(struct client *client, struct slice input);

/* The answer to the current request is queued: on to the next one, or to the end. */
void client_done(struct client *client);

/* Answers with an error and ends the connection, for a request that cannot be read to its end. text NULL or
 * empty: error_text(). */
void client_refuse(struct client *client, enum error error, const char *text);

/* Arms or clears the socket's events after something they depend on has changed. */
void client_watch(struct client *client);

/* The steps of a turn. */
void clients_resume(struct router *router);     /* parse what waited behind an answer */
void clients_flush(struct router *router);      /* one write a client that has little to write */
void clients_flush_bulk(struct router *router); /* some of what the others have to write, in turns */
void clients_sweep(struct router *router);      /* free the dead */

/* The state's deadline has passed. */
void client_timer_expired(struct client *client, enum deadline_class class);

/* Ends what can be ended at once; the rest ends with its answer. */
void clients_stop(struct router *router);

/* The same for at most so many, live readers and those without a request. */
void clients_let_go(struct router *router, size_t most);

#endif
