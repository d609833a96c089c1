/* What is asked of a server, for each kind of server. */
#ifndef BENCH_API_H
#define BENCH_API_H

#include "common/buf.h"
#include "tests/bench/answer.h"
#include "tests/bench/options.h"

/* Where the requests go: the parts of --url, whose texts it owns. */
struct target {
    char *host;
    char *port;
    char *prefix; /* path, or key, before the number of the stream */
    const char *content_type;
    char *authorization; /* a header line, or "" */
};

void target_init(struct target *target, const struct options *options);
void target_clear(struct target *target);

struct api {
    const char *name;
    bool creates;    /* a stream must be created before it is appended to */
    bool reply_each; /* every message of a batch has an answer of its own */
    answer_reader *answered;
    /* Each adds one request to `out`. create() makes a stream with a first message; a body may be empty. */
    void (*create)(struct buf *out, const struct target *target, unsigned stream, struct slice body);
    void (*append)(struct buf *out, const struct target *target, unsigned stream, struct slice body);
    /* Attaches an SSE reader at the tail; NULL: there is no such thing. */
    void (*follow)(struct buf *out, const struct target *target, unsigned stream);
    /* Waits for what comes after `offset` with a long-poll; NULL: there is no such thing. */
    void (*poll)(struct buf *out, const struct target *target, unsigned stream, const char *offset);
};

/* What is not known ends the program. */
const struct api *api_find(const char *name);

/* Adds a GET of the prefix itself, with `query` behind it and the lines of `headers`. */
void api_get(struct buf *out, const struct target *target, const char *query, const char *headers);

#endif
