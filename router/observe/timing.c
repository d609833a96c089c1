/* With log.timing = on, each answer says where its time went:
 *
 *     Server-Timing: parse;dur=0.041, queue;dur=0.112, read;dur=0.230, commit;dur=0.020, total;dur=0.451
 *
 * Happy path: timing_begin() allocates the points, timing_mark() sets them on the way, timing_answer() turns pairs of
 * them into stages. The shard's own points come as TIMED before its answer; all processes read the same monotonic
 * clock, so they can be compared.
 *
 * Failure modes: A point that was not reached is 0, and so is its stage. Stages that would not fit into the text are
 * left out. With log.timing = off there is no struct timing, and every function returns at once. */
#include "router/observe/timing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "router/http/response.h"
#include "router/shards/shard_request.h"

void timing_begin(struct request *req, uint64_t started_us)
{
    if (!started_us)
        return;
    struct timing *timing = xcalloc(1, sizeof *timing);
    timing->at[TIMING_STARTED] = started_us;
    req->stats.timing = timing;
    timing_mark(req, TIMING_PARSED);
}

void timing_of_shard(struct request *req, const struct shard_request *q)
{
    struct timing *timing = req->stats.timing;
    if (!timing)
        return;
    timing->at[TIMING_TAKEN] = q->taken_us;
    timing->at[TIMING_DONE] = q->done_us;
    timing_mark(req, TIMING_ANSWERED);
}

void timing_fanned(struct request *req)
{
    if (req->stats.timing)
        req->stats.timing->fanned = true;
}

void timing_drop(struct request *req)
{
    free(req->stats.timing);
    req->stats.timing = NULL;
}

/* ---- the header ---- */

struct stages {
    char text[400];
    size_t len;
};

static void timing_add(struct stages *stages, const char *name, uint64_t us)
{
    int len = snprintf(stages->text + stages->len, sizeof stages->text - stages->len, "%s%s;dur=%" PRIu64 ".%03u",
                       stages->len ? ", " : "", name, us / 1000, (unsigned)(us % 1000));
    if (len > 0 && (size_t)len < sizeof stages->text - stages->len)
        stages->len += (size_t)len;
}

/* Microseconds between two points; 0 if one is missing or they came the other way round. */
static uint64_t timing_since(const struct timing *timing, enum timing_point from, enum timing_point to)
{
    return timing->at[from] && timing->at[to] > timing->at[from] ? timing->at[to] - timing->at[from] : 0;
}

static void timing_add_shard(struct stages *stages, const struct request_stats *a)
{
    const struct timing *timing = a->timing;
    bool reads = a->method == HTTP_GET || a->method == HTTP_HEAD;
    if (!timing->at[TIMING_TAKEN] || !timing->at[TIMING_ANSWERED])
        return;
    /* A plain write is all commit from TAKEN on. A read, and an append that waits for subscribers, have a stage of
     * their own before that, which ends at DONE. */
    timing_add(stages, "queue", timing_since(timing, TIMING_SENT, TIMING_TAKEN));
    if (reads || timing->fanned)
        timing_add(stages, reads ? "read" : "fanout", timing_since(timing, TIMING_TAKEN, TIMING_DONE));
    timing_add(stages, "commit",
               timing_since(timing, reads || timing->fanned ? TIMING_DONE : TIMING_TAKEN, TIMING_ANSWERED));
}

void timing_answer(struct request *req, struct buf *head)
{
    const struct request_stats *a = &req->stats;
    const struct timing *timing = a->timing;
    uint64_t now_us = timing ? clock_monotonic_us() : 0;
    struct stages stages = {.len = 0};
    if (!timing)
        return;
    timing_add(&stages, "parse",
               timing_since(timing, TIMING_STARTED, TIMING_PARSED) + timing_since(timing, TIMING_ALLOWED, TIMING_SENT));
    if (timing->at[TIMING_BODY])
        timing_add(&stages, "body", timing_since(timing, TIMING_BODY, TIMING_WHOLE));
    if (timing->at[TIMING_ALLOWED])
        timing_add(&stages, "auth",
                   timing_since(timing, TIMING_PARSED, TIMING_ADMITTED) +
                       timing_since(timing, TIMING_WHOLE, TIMING_ALLOWED));
    timing_add_shard(&stages, a);
    if (a->waits_us)
        timing_add(&stages, "wait", now_us - a->waits_us);
    timing_add(&stages, "total", now_us - timing->at[TIMING_STARTED]);
    response_add(head, "Server-Timing", slice_of(stages.text, stages.len));
}
