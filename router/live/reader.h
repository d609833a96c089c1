/* Live reads: long-polls and event streams, and everything that can happen to them. */
#ifndef ROUTER_LIVE_READER_H
#define ROUTER_LIVE_READER_H

#include "router/http/query.h"
#include "router/live/reader_state.h"

/* For live_init(). */
extern const struct live_ops reader_live_ops;

/* Starts the live read that the query asks for. The client's request is answered sooner or later. */
void reader_start(struct request *request, struct slice name, const struct query *query);

/* The client's live read goes on where another process has left it: `state` has all but client, entry, usage and
 * state. */
void reader_resume(struct request *request, struct slice name, const struct reader *state);

/* request->grant has changed: it ends if that is not enough for what it reads. */
void reader_granted(struct reader *reader);

/* The reader's right to read has ended: 401, or the end of its event stream. */
void reader_expire(struct reader *reader);

/* Ends a reader, with its answer if that is on its way, so that its client comes back and is checked again. */
void reader_send_back(struct reader *reader);
void readers_send_back(struct router *router); /* all of them */

void reader_heartbeat(struct deadline *beat);

/* The reader of a request that is a live read; NULL: it is none. */
struct reader *reader_of(const struct request *request);

#endif
