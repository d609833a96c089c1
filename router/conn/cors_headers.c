/* Turns the decision of router/auth/cors.c into headers:
 *
 *     CORS_NONE      nothing
 *     CORS_ANY       Access-Control-Allow-Origin: *
 *     CORS_ORIGIN    Access-Control-Allow-Origin: the one that asked, and Vary: Origin
 *     CORS_VARY      Vary: Origin alone: another origin may get another answer, so no cache may mix them */
#include "router/conn/cors_headers.h"

#include <stdlib.h>

#include "common/words.h"
#include "router/conn/request.h"
#include "router/http/response.h"
#include "router/router.h"

/* Without this list a script sees only the few headers that the Fetch standard lists. */
#define EXPOSED                                                                                                        \
    "Stream-Next-Offset, Stream-Cursor, Stream-Up-To-Date, Stream-Closed, Stream-TTL, Stream-Expires-At, "             \
    "Stream-Retention-Seconds, Stream-Retention-Bytes, Stream-Earliest-Offset, Stream-Incarnation, "                   \
    "Stream-Previous-Incarnation, Stream-Inherited-Offset, Stream-Start-Offset, Stream-At-Start, "                     \
    "Stream-Write-Timestamp, Stream-SSE-Data-Encoding, Stream-Reader-Key, ETag, Location, Accept-Encoding, Date, "     \
    "Retry-After, "                                                                                                    \
    "WWW-Authenticate, RateLimit, RateLimit-Policy, Producer-Epoch, Producer-Seq, Producer-Expected-Seq, "             \
    "Producer-Received-Seq, Stream-Fanout-Count, Stream-Fanout-Mode, Stream-Fanout-Successes, "                        \
    "Stream-Fanout-Failures, "                                                                                         \
    "Stream-Seq, Stream-Error-Code, X-Request-Id, Server-Timing"

void cors_headers_set(struct request *req, enum request_cors cors)
{
    req->cors = cors;
    free(req->origin);
    req->origin = NULL;
}

void cors_headers_unknown(struct request *req)
{
    cors_headers_set(req, words_have(req->router->cfg->cors_origins, SLICE("*")) ? CORS_ANY : CORS_VARY);
}

void cors_headers_add(const struct request *req, struct buf *head)
{
    if (req->cors == CORS_NONE)
        return;
    if (req->cors == CORS_ANY)
        response_add(head, "Access-Control-Allow-Origin", SLICE("*"));
    else
        response_add(head, "Vary", SLICE("Origin"));
    if (req->cors == CORS_ORIGIN)
        response_add(head, "Access-Control-Allow-Origin", slice_str(req->origin));
    /* Credentials are cookies here. "*" never goes with them: browsers refuse that. */
    if (req->cors == CORS_ORIGIN &&
        (*req->router->cfg->auth_cookie || req->router->cfg->auth_mode == AUTH_MODE_CALLBACK))
        response_add(head, "Access-Control-Allow-Credentials", SLICE("true"));
    if (req->cors != CORS_VARY)
        response_add(head, "Access-Control-Expose-Headers", SLICE(EXPOSED));
}
