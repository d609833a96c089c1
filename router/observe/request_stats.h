/* What becomes of each request, from the head's last byte to the answer's end: the one place that whoever counts or
 * tells of requests is called from. */
#ifndef ROUTER_OBSERVE_REQUEST_STATS_H
#define ROUTER_OBSERVE_REQUEST_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "router/http/http.h"
#include "router/http/route.h"

struct request;

struct request_stats {
    uint64_t began_us; /* monotonic: when its head was whole; 0: there is no request */
    uint64_t answered_us;
    /* Small, for there is one for every idle reader. */
    enum http_method method : 8;
    enum route_kind route : 8;
    unsigned live : 8;         /* METRIC_OPERATION_LONG_POLL, _SSE or _INCREMENTAL; 0: the route says it */
    bool routed : 1;           /* route counts: its path is one of ours */
    unsigned status : 16;      /* 0: not answered yet */
    enum error error : 16;     /* of an answer that is one */
    uint64_t waits_us;         /* a live read that has had everything: since when; 0: it has not */
    uint64_t bytes;            /* that were queued for the client, heads included */
    struct request_note *note; /* what may be said of it (request_log.h), or NULL */
    struct timing *timing;     /* how it went (timing.h), or NULL */
};

/* A request begins: its head is whole, or as much of it as shows that it is not one, or will never be. */
void request_stats_begin(struct request *request);

/* What it is. */
void request_stats_method(struct request *request, enum http_method method);
void request_stats_route(struct request *request, enum route_kind route);

/* It is a live read. */
void request_stats_live(struct request *request, bool sse);

/* It is an incremental append, whose body may take long. */
void request_stats_incremental(struct request *request);

/* Its answer begins. Without a request it is a connection that is refused, and counts as one. */
void request_stats_answered(struct request *request, int status);

/* And says this error. */
void request_stats_refused(struct request *request, enum error error);

/* A live read has had everything, and waits for more; or an incremental append waits for its body. */
void request_stats_waits(struct request *request);

/* It is over: the answer is queued to its end, or the client is gone. Nothing happens if there is no request. */
void request_stats_end(struct request *request);

/* Somebody else goes on with the request, and tells of it; and has gone on, here. */
void request_stats_forget(struct request *request);
void request_stats_resume(struct request *request, uint64_t began_us, int status);

#endif
