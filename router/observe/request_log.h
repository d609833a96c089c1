/* The log lines of requests, as far as log.access wants it, and their ids. A request's id is what came as
 * X-Request-Id, if that is 1 to 64 of A-Z a-z 0-9 . _ : - and no token; else one of ours, when its answer is 5xx or
 * every request is logged. The answer carries it too, unless caches that many share may keep the answer.
 *
 * A line has method, path, client, and how it went; of the query only what a read is asked with, and of headers
 * nothing: what may be secret is never kept here. */
#ifndef ROUTER_OBSERVE_REQUEST_LOG_H
#define ROUTER_OBSERVE_REQUEST_LOG_H

#include <stdbool.h>

#include "common/slice.h"

struct buf;
struct request;
struct http_head;
struct request_note;

/* A request's head has come: what may be said of it is kept in request->stats.note. */
void request_log_begin(struct request *request, const struct http_head *head);

/* The same for a live reader that another router has had: its stream, and its id or "". */
void request_log_resume(struct request *request, struct slice name, struct slice id);

/* Its answer begins: with its id, if it has or gets one, unless request->kept. */
void request_log_answer(struct request *request, struct buf *head, int status);

/* "" if it has none. */
struct slice request_log_id(const struct request *request);

/* It is over. Writes the line, if it is wanted. */
void request_log_end(struct request *request);

/* Forgets it without a line. */
void request_log_drop(struct request *request);

/* ---- pure ---- */

bool request_id_valid(struct slice id);

/* Of a query, what a read is asked with (offset, live, cursor, limit) and looks like it; of the rest nothing. out has
 * room for REQUEST_QUERY_MAX; returns the length. */
#define REQUEST_QUERY_MAX 256
size_t request_query_shown(char out[REQUEST_QUERY_MAX], struct slice query);

#endif
