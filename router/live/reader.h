/* Live reads: long-polls and event streams, and everything that can happen to them. */
#ifndef ROUTER_LIVE_READER_H
#define ROUTER_LIVE_READER_H

#include "router/http/query.h"
#include "router/live/reader_state.h"

/* For live_init(). */
extern const struct live_ops reader_live_ops;

/* Starts the live read that the query asks for. The client's request is answered sooner or later. The condition counts
 * at its first READ; from then on it reads that very stream. */
void reader_start(struct request *request, struct slice name, const struct query *query,
                  const struct wire_condition *condition);

/* The client's live read goes on where another process has left it: `state` has all but client, entry, usage and
 * state. */
void reader_resume(struct request *request, struct slice name, const struct reader *state);

void reader_heartbeat(struct deadline *beat);

/* The reader of a request that is a live read; NULL: it is none. */
struct reader *reader_of(const struct request *request);

#endif
