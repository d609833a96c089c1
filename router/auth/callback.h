/* auth.mode = callback: a service outside decides. A request's path, and each stream that it names beside it, is put to
 * a URL as a question of its own; the client waits until all of them are answered, and answers are remembered for a
 * moment as their Cache-Control allows. */
#ifndef ROUTER_AUTH_CALLBACK_H
#define ROUTER_AUTH_CALLBACK_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "router/conn/suspend.h"
#include "router/http/http.h"

#define CALLBACK_ANSWERS 1024u /* remembered */
#define CALLBACK_WINDOW 8u     /* questions of one request that are under way at a time */

struct request;
struct router;

struct callbacks {
    struct router *router;
    bool on;              /* this is the mode */
    unsigned waiting;     /* requests that are asked about */
    bool failing;         /* the last question got no answer, and that was logged */
    uint64_t answered_ms; /* when the last answer came; 0: none did */
    uint64_t down_ms;     /* when it was last seen that nobody is there; 0: never */
    uint64_t settings;    /* a mark of those that decide */
    struct callback_answer *answers;
};

void callback_init(struct callbacks *callbacks, struct router *router);

/* The configuration was read again. True: it has changed the callback, whose answers count no more; live reads have to
 * come back and be asked about again. */
bool callback_reload(struct callbacks *callbacks) MUSTUSE;

/* Asks about all that the list of `names` (router/auth/named.h; taken) has, with the head of request->incoming.
 * True: request->decision is there. False: the request is suspended, and goes on with `resume`. */
bool callback_ask(struct request *request, struct buf *names, suspend_resume *resume) MUSTUSE;

/* Adds a stream's name as JSON text can carry it: a byte that is not UTF-8 becomes U+001A and two hex digits, which no
 * name has, so that two names never look the same. */
void callback_name(struct slice name, struct buf *out);

#endif
