/* What a request says and how it was understood, from its head to its handler. It is parsed, routed and decided once;
 * then its body may arrive, or it may be suspended, and nothing of that is done again. */
#ifndef ROUTER_CONN_INCOMING_H
#define ROUTER_CONN_INCOMING_H

#include "common/buf.h"
#include "common/detail.h"
#include "router/http/http.h"
#include "router/http/route.h"

struct access;
struct request;

struct incoming {
    struct http_head head;
    struct slice bytes; /* the head as it came */
    struct slice body;  /* when it is whole */
    struct buf held;    /* the body's bytes, if they are the request's own; counted in connections.body_bytes */
    struct route route; /* its name is decoded, in `room` */
    const struct access *access; /* of dispatch.c; NULL: the route has no such method */
    enum error error;            /* it will be refused with this, whatever its body is */
    struct detail detail;
    uint64_t decided;  /* auth.generation when it was decided whether it may */
    bool in_pieces;    /* its handler takes the body as it arrives */
    bool is_preflight; /* OPTIONS, which is answered whatever the path is */
    bool wants_body;   /* its handler looks at a body; any other is read to its end, and not kept */
    uint64_t left;     /* of a body of known length that is arriving */
    uint64_t taken;    /* of the body, so far */
    struct http_chunked chunked;
    bool kept;  /* this is memory of its own, with the head's bytes and the name behind it */
    char *room; /* ROUTE_NAME_MAX bytes, until it is kept */
    char data[];
};

/* What the process does with requests: dispatch.c, given to connections at the start. */
struct dispatcher {
    /* The head is parsed: routes it and decides whether it may. False: the request is suspended, or was answered;
     * request_reader_decided() is called if it goes on. */
    bool (*head)(struct request *request);
    /* So is the body: calls the handler, perhaps after a suspension. request->incoming is gone afterwards. */
    void (*whole)(struct request *request);
    /* In place of that, with incoming->in_pieces: calls the handler, which takes the body by
     * request_reader_give_body(), perhaps after a suspension. */
    void (*pieces)(struct request *request);
};

/* Copies what request->incoming borrows: the head may wait then. */
void incoming_keep(struct request *request);

/* Takes it off the request; incoming_free() it. */
struct incoming *incoming_take(struct request *request) MUSTUSE;
void incoming_free(struct request *request, struct incoming *incoming);

/* The body is copied, if it is not the request's own yet. False: bodies fill router.body_memory. */
bool incoming_hold_body(struct request *request) MUSTUSE;

/* More of the body becomes the request's own; and its first bytes are not needed any more. False: the body is held, but
 * bodies fill router.body_memory. */
bool incoming_add(struct request *request, struct slice data) MUSTUSE;
void incoming_consume(struct request *request, size_t bytes);

#endif
