/* A client's connection. One request of it is worked on at a time; what it sends meanwhile waits in `in`, up to a
 * bound.
 *
 *            +---------------- answered, kept alive ----------------+
 *            v                                                       |
 *    HEAD --> BODY --> WAITING (a job works on it: request.h) -------+
 *      |        |                                                    |
 *      +--------+---------------> ENDING --> (LINGERING) --> DEAD  <-- any state: the client is gone
 */
#ifndef ROUTER_CONN_CONNECTION_H
#define ROUTER_CONN_CONNECTION_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/socket.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/errors.h"
#include "common/deadline.h"
#include "router/conn/output.h"
#include "router/conn/request.h"
#include "router/conn/socket.h"

struct dispatcher;
struct router;

enum connection_state {
    CONNECTION_HEAD,      /* between requests, or a head is arriving */
    CONNECTION_BODY,      /* a body is arriving */
    CONNECTION_WAITING,   /* something works on a request */
    CONNECTION_ENDING,    /* what is queued is written, then the connection ends */
    CONNECTION_LINGERING, /* answered and shut down; what the client still sends is dropped, so that it sees the answer
                           */
    CONNECTION_DEAD       /* waits in the graveyard for the end of the turn */
};

struct connection {
    struct router *router;
    struct event event;
    struct socket socket;
    unsigned scanned;               /* bytes looked at of a head that is not whole (limits.max_headers bounds it) */
    struct connection *prev, *next; /* all connections */
    struct connection *dirty_next;  /* those with something to write, or with much of it */
    struct connection *ready_next;  /* those with something to parse; then the graveyard */
    struct deadline timer;          /* of the state it is in */
    struct deadline stall;          /* the client has to take some of the output */
    struct buf in;                  /* received, not yet parsed; usually empty */
    struct output out;
    enum connection_state state : 8;
    enum deadline_class timer_class : 8;
    short watched;          /* EV_READ, EV_WRITE */
    bool dirty, ready;      /* on the lists above */
    bool blocked;           /* the socket is full */
    bool body_paused;       /* CONNECTION_BODY: its job takes nothing now, and nothing is read */
    bool eof;               /* nothing more will come */
    bool linger;            /* the client may still be sending what will not be read */
    bool only_metrics;      /* it came where nothing else is answered */
    bool refused;           /* counted in connections.refused */
    struct request request; /* the current one; HTTP/1 has one at a time */
};

/* A client that pipelines and does not read its answers gets no more of them. */
#define CONNECTION_OUTPUT_PAUSE ((size_t)256 << 10)

/* What a connection's bytes mean: http1.c. HTTP/2 is a second one, which has many requests on a connection. */
struct protocol {
    void (*readable)(struct connection *connection); /* the socket has something */
    void (*resume)(struct connection *connection);   /* what came before, and could not be taken, may be looked at */
    void (*drained)(struct connection *connection);  /* the client has taken something */
    void (*expired)(struct connection *connection, enum deadline_class class); /* a timer that the protocol has armed */
    bool (*stop)(struct connection *connection);  /* end soon; false: an answer is on its way, and ends it */
    void (*dead)(struct connection *connection);  /* drop what works for it */
    void (*clear)(struct connection *connection); /* free what requests have kept */
};

struct connections {
    struct connection *first, *dirty, *ready, *grave;
    struct connection *bulk, *bulk_last; /* with much to write, in turns; they are `dirty` */
    size_t count;
    size_t refused;      /* of them, those that are only told TOO_MANY_CONNECTIONS */
    size_t scraping;     /* and those that came where nothing but metrics is answered */
    uint64_t body_bytes; /* of bodies that are arriving */
    uint64_t rows_bytes; /* of listings that are put together */
    const struct dispatcher *dispatcher;
    const struct protocol *protocol;
};

/* A connection that was accepted. The fd is the client's now. */
struct connection *connection_new(struct router *router, int fd);

/* The one place where a client's state changes. */
void connection_set_state(struct connection *connection, enum connection_state state);
void connection_close(struct connection *connection);

/* Arms the timer of the state it is in, for `after` milliseconds from now. */
void connection_arm(struct connection *connection, enum deadline_class class, uint64_t after);

/* Queues len bytes of a block from start; they leave at the end of the turn. */
void connection_send(struct connection *connection, struct block *block, size_t start, size_t len);

/* Writes what the socket takes now, without waiting for the client's turn. It may be dead afterwards. */
void connection_push(struct connection *connection);

/* Its address; zeroes and false: it is gone. */
bool connection_address(const struct connection *connection, struct sockaddr_storage *address) MUSTUSE;

/* Bytes that it has sent and that nobody has looked at, at the beginning of its life. */
void connection_put_back(struct connection *connection, struct slice input);

/* The answer to the current request is queued: on to the next one, or to the end. For request_done(). */
void connection_answered(struct connection *connection);

/* The job of a body that is arriving takes nothing for now, or goes on to. */
void connection_pause_body(struct connection *connection, bool paused);

/* Arms or clears the socket's events after something they depend on has changed. */
void connection_watch(struct connection *connection);

/* The steps of a turn. */
void connections_resume(struct router *router);     /* parse what waited behind an answer */
void connections_flush(struct router *router);      /* one write a client that has little to write */
void connections_flush_bulk(struct router *router); /* some of what the others have to write, in turns */
void connections_sweep(struct router *router);      /* free the dead */

/* The state's deadline has passed. */
void connection_timer_expired(struct connection *connection, enum deadline_class class);

/* Ends what can be ended at once; the rest ends with its answer. */
void connections_stop(struct router *router);

/* The same for at most so many, live readers and those without a request. */
void connections_let_go(struct router *router, size_t most);

#endif
