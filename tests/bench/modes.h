/* What the load generator can do. Each runs, prints one line of JSON and returns the exit status: 0, or 1 when
 * something was refused, lost or doubled. */
#ifndef BENCH_MODES_H
#define BENCH_MODES_H

#include "tests/bench/options.h"

int append_mode(const struct options *options);
int idle_streams_mode(const struct options *options);
int catchup_mode(const struct options *options);
int sse_mode(const struct options *options);
int poll_mode(const struct options *options);
int listen_mode(const struct options *options);
int commit_mode(const struct options *options);
int write_mode(const struct options *options);

#endif
