/* Creates the streams of a run. */
#ifndef BENCH_STREAMS_H
#define BENCH_STREAMS_H

#include "tests/bench/api.h"
#include "tests/bench/pump.h"

/* Creates options->streams streams, each with `body` as its first message (or none when empty). */
void streams_create(const struct options *options, const struct api *api, struct slice body,
                    struct pump_result *result);

/* Fills `out` with one message of options->size bytes: text, or a JSON object. */
void streams_message(const struct options *options, struct buf *out);

#endif
