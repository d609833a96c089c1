/* From a whole request to the verb that handles it. */
#ifndef ROUTER_DISPATCH_H
#define ROUTER_DISPATCH_H

#include "router/conn/connection.h"
#include "router/http/http.h"

/* Answers the request, whose head came as `bytes`, or leaves the client WAITING or LIVE. All are borrowed for the call.
 */
void dispatch_request(struct request *request, const struct http_head *head, struct slice bytes, struct slice body);

/* The same with nothing left to wait for: request->decision is what the callback has said of all that the request
 * names. */
void dispatch_decided(struct request *request, const struct http_head *head, struct slice bytes, struct slice body);

/* Asks whether the request may, when its head is there. False: the client waits for the answer, and
 * request_reader_admitted() or request_reader_again() goes on. */
bool dispatch_admit(struct request *request, const struct http_head *head, struct slice bytes) MUSTUSE;

/* Why the request will be refused whatever its body is, or ERR_NONE: a body need not arrive for that. *wanted: what is
 * done looks at a body, and the request may do it; any other body need not be kept. */
enum error dispatch_check(struct request *request, const struct http_head *head, bool *wanted,
                          struct detail *detail) MUSTUSE;

#endif
