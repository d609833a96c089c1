/* Which scripts may read an answer: those of the origins of its project, or of cors.origins. */
#ifndef ROUTER_AUTH_CORS_H
#define ROUTER_AUTH_CORS_H

#include "router/conn/connection.h"
#include "router/http/http.h"

/* Sets request->cors for the request. resource is what it is about, or empty. */
void cors_decide(struct request *request, const struct http_head *head, struct slice resource);

/* The answer to OPTIONS. */
void cors_preflight(struct request *request, const struct http_head *head);

/* The origin of the client's page, if it was listed, still is. */
bool cors_holds(const struct request *request, struct slice resource) MUSTUSE;

/* Whether what browsers add to requests by themselves, as cookies are, counts here. A page may have made the request
 * without being able to read its answer, so its origin has to be listed (not by *), or be the server's own. What does
 * not change anything and names no origin is of no page, or of one that sees no answer. What a browser of today would
 * send something of, Origin or Sec-Fetch-Site, and does not, is from no browser. */
bool cors_trusts(const struct request *request, const struct http_head *head, struct slice resource) MUSTUSE;

#endif
