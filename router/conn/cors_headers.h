/* The CORS headers of an answer: which scripts may read it. router/auth/cors.c decides. */
#ifndef ROUTER_CONN_CORS_HEADERS_H
#define ROUTER_CONN_CORS_HEADERS_H

#include "router/conn/request.h"

/* Of the request's answer; with CORS_ORIGIN the caller sets origin. */
void cors_headers_set(struct request *request, enum request_cors cors);

/* For a request whose head was not understood. */
void cors_headers_unknown(struct request *request);

/* Adds what request->cors says to a head. */
void cors_headers_add(const struct request *request, struct buf *head);

#endif
