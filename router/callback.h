/* auth.mode = callback: somebody else decides. Every request is put to a URL, and waits with its body until the answer
 * is there; answers are remembered for a moment. */
#ifndef ROUTER_CALLBACK_H
#define ROUTER_CALLBACK_H

#include <stdint.h>

#include "common/errors.h"
#include "common/token.h"
#include "router/http.h"

#define CALLBACK_ANSWERS 1024u /* remembered */

struct client;
struct router;

/* What was answered. */
struct decision {
    enum error error; /* ERR_NONE: it may, up to scope */
    enum scope scope;
};

struct callbacks {
    struct router *router;
    bool on;          /* this is the mode */
    unsigned waiting; /* questions under way */
    bool down;        /* the last one got no answer */
    struct callback_answer *answers;
    uint64_t seed; /* of their keys: nobody outside can make two questions one */
};

/* Ends the process if there is no URL to ask. */
void callback_init(struct callbacks *callbacks, struct router *router);

/* Asks about a request, whose head is `bytes`; the client waits, and dispatch() goes on with its decision. resource is
 * as in auth_check(). */
void callback_ask(struct client *client, const struct http_head *head, struct slice bytes, struct slice body,
                  struct slice resource);

#endif
