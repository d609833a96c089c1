/* Requests from a client's bytes, in HTTP/1: heads and bodies, gathered until a request is whole. Whether a request may
 * is decided when its head is there: the body of one that may not takes no memory. A body that comes together with its
 * head is used where it was received; any other is collected. */
#ifndef ROUTER_CONN_REQUEST_READER_H
#define ROUTER_CONN_REQUEST_READER_H

struct connection;
struct job_ops;
struct request;

/* The socket has something. */
void request_reader_readable(struct connection *connection);

/* An answer is out: goes on with what came behind its request. */
void request_reader_resume(struct connection *connection);

/* A request that was suspended before its body was read is decided; one whose body goes to its handler in pieces may go
 * on to take it. */
void request_reader_decided(struct request *request);
void request_reader_begun(struct request *request);

/* The request's body is to go to this job as it arrives: ops->body and ops->body_end. request->incoming stays. */
void request_reader_give_body(struct request *request, const struct job_ops *ops, void *job);

#endif
