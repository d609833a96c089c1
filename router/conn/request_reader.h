/* What comes from a client's socket: heads and bodies, gathered until a request is whole. Whether a request may is
 * asked when its head is there: the body of one that may not takes no memory. A body that comes together with its head
 * is used where it was received; any other is collected. */
#ifndef ROUTER_CONN_REQUEST_READER_H
#define ROUTER_CONN_REQUEST_READER_H

#include "router/conn/connection.h"
#include "router/http/http.h"

/* The socket has something. */
void request_reader_readable(struct connection *connection);

/* An answer is out: goes on with what came behind its request. */
void request_reader_resume(struct connection *connection);

/* What a request that was held for its right goes on with (hold_go; no body is held with it): it is known now whether
 * it may, or this has to be looked at again. */
void request_reader_admitted(struct request *request, const struct http_head *head, struct slice bytes,
                             struct slice ignored);
void request_reader_again(struct request *request, const struct http_head *head, struct slice bytes,
                          struct slice ignored);

#endif
