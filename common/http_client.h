/* Requests of our own to other HTTP servers: libcurl in the event loop. */
#ifndef COMMON_HTTP_CLIENT_H
#define COMMON_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/list.h"
#include "common/slice.h"

struct event;
struct event_base;
struct http_client_call;

/* The owner sets the first four, and zeroes the rest. */
struct http_client {
    struct event_base *base;
    long connections;         /* at most so many at a time; other requests wait */
    void (*woken)(void *ctx); /* called before anything else when the loop comes here, or NULL */
    void *ctx;
    void *multi; /* a CURLM; NULL: nothing was sent yet */
    struct event *timer;
    struct list calls; /* under way, if multi is not NULL */
};

struct http_client_answer {
    const char *failure; /* why there is none, or NULL */
    bool unreachable;    /* because nobody is there: no connection, or no answer in time */
    long status;
    struct slice body; /* as much of it as was asked for */
    bool reused;       /* it came over a connection that was there already */
    bool large;        /* there is none because the body has more than `most` bytes */
};

typedef void http_client_header(void *ctx, struct slice name, struct slice value);
typedef bool http_client_piece(void *ctx, struct slice piece);
typedef void http_client_done(void *ctx, const struct http_client_answer *answer);

/* A request. Texts are copied. */
struct http_client_request {
    const char *url;
    uint64_t timeout_ms; /* 0: none, but for connecting */
    size_t most;         /* bytes of the answer's body that are wanted; more is a failure. 0: none, however many come */
    struct buf headers;  /* of the request: "Name: value\0"...; taken */
    char *payload;       /* NULL: GET; otherwise POST; taken */
    const char *method;  /* NULL: as the payload says */
    struct slice body;   /* of another method; stays the caller's until it is done */
    const char *aws_sigv4, *user, *password; /* it is signed (CURLOPT_AWS_SIGV4), or NULL */
    const char *ca_file;                     /* NULL or "": the system's */
    http_client_header *header;              /* called for each of the answer's, or NULL */
    http_client_piece *piece;                /* called for each piece of the body instead of gathering them; false: it
                                        fails; or NULL */
    http_client_done *done;                  /* called once, from the event loop, after which the call is gone */
    void *ctx;
};

/* Ends the process if libcurl cannot be used. What it returns is there until it is done. */
struct http_client_call *http_client_send(struct http_client *client, struct http_client_request *request);

/* Where a redirection from `url` points to, to be freed; NULL where a signed request is not to go: that is without the
 * TLS that `home` has, to a host that is not near home's (s3.example.org: names below it and below example.org; of
 * Amazon's: all that are below amazonaws.com; an address: itself), or with a user's name of its own. */
char *http_client_redirect(const char *url, const char *location, const char *home) MUSTUSE;

/* Ends what is under way; nobody is told. Not from a callback of the call's own. */
void http_client_cancel(struct http_client_call *call);

/* Ends all that is under way; each is told. */
void http_client_clear(struct http_client *client);

#endif
