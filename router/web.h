/* Requests of our own to other HTTP servers: libcurl in the event loop. */
#ifndef ROUTER_WEB_H
#define ROUTER_WEB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

struct router;
struct web_call;

struct web {
    struct router *router;
    void *multi; /* a CURLM; NULL: nobody was asked yet */
    struct event *timer;
};

struct web_answer {
    const char *failure; /* why there is none, or NULL */
    long status;
    struct slice body; /* as much of it as was asked for */
};

typedef void web_header(void *ctx, struct slice name, struct slice value);
typedef void web_done(void *ctx, const struct web_answer *answer);

/* What is asked. Texts are copied. */
struct web_question {
    const char *url;
    uint64_t timeout_ms;
    size_t most;        /* bytes of the answer's body that are wanted; more is a failure. 0: none, however many come */
    struct buf headers; /* of the request: "Name: value\0"...; taken */
    char *payload;      /* NULL: GET; otherwise POST; taken */
    web_header *header; /* called for each of the answer's, or NULL */
    web_done *done;     /* called once, from the event loop, after which the call is gone */
    void *ctx;
};

/* Ends the process if libcurl cannot be used. */
void web_ask(struct web *web, struct web_question *question);

#endif
