/* Cursors of live reads: cache keys that never go backwards (PROTOCOL.md 10.1). */
#ifndef ROUTER_HTTP_CURSOR_H
#define ROUTER_HTTP_CURSOR_H

#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

/* The number of the 20-second interval since 2024-10-09 that unix_s falls into. */
uint64_t cursor_interval(uint64_t unix_s);

/* A cursor as it came: digits, at most CURSOR_MAX. False: too large for one of ours. Anything else is none, 0. */
#define CURSOR_MAX ((uint64_t)INT64_MAX)
bool cursor_parse(struct slice text, uint64_t *cursor) MUSTUSE;

/* The cursor to answer a client with that sent `client` (0: none): the current interval, or, if the client is not
 * behind it, the client's own plus a jitter of 1 to 3600 seconds; `random` is any number. */
uint64_t cursor_next(uint64_t client, uint64_t unix_s, uint64_t random);

#endif
