/* Where the time of a request went, for those who look: with log.timing = on each answer says it in Server-Timing, in
 * milliseconds. Off, a request has no struct timing, and each of these costs one comparison.
 *
 *     parse   its head; and what the shard gets was made of headers and body
 *     body    the rest of its body was waited for
 *     auth    whether it may: token, callback, keys, quotas
 *     queue   on its way to the shard, and until that had time for it
 *     read    the shard read (GET and HEAD)
 *     fanout  an append waited for its commit, and then for its subscribers
 *     commit  until the turn was committed, and the answer here
 *     wait    a long-poll waited for news
 *     total   all of it, until the answer's head was made
 *
 * A stage that a request had no part in is left out. */
#ifndef ROUTER_OBSERVE_TIMING_H
#define ROUTER_OBSERVE_TIMING_H

#include "common/clock.h"
#include "router/conn/connection.h"

struct buf;
struct shard_request;

enum timing_point {
    TIMING_STARTED,  /* its head began to be parsed */
    TIMING_PARSED,   /* and was */
    TIMING_ADMITTED, /* nothing has to be waited for to know whether it may */
    TIMING_BODY,     /* the rest of its body is waited for */
    TIMING_WHOLE,    /* all of it is here */
    TIMING_ALLOWED,  /* it is known whether it may */
    TIMING_SENT,     /* to the shard, */
    TIMING_TAKEN,    /* which took it */
    TIMING_DONE,     /* and made its answer, */
    TIMING_ANSWERED, /* which came */
    TIMING_POINTS
};

struct timing {
    uint64_t at[TIMING_POINTS]; /* microseconds, monotonic; 0: it did not come to that */
    bool fanned;                /* between TAKEN and DONE it waited for subscribers */
};

/* A request began at started_us; 0: it is not timed. */
void timing_begin(struct request *request, uint64_t started_us);

static inline void timing_mark(struct request *request, enum timing_point point)
{
    if (request->stats.timing)
        request->stats.timing->at[point] = clock_monotonic_us();
}

/* The shard's answer to this, which it may share with others, has come. */
void timing_of_shard(struct request *request, const struct shard_request *q);
void timing_fanned(struct request *request);

/* Its answer begins. */
void timing_answer(struct request *request, struct buf *head);

void timing_drop(struct request *request);

#endif
