/* Cursors of live reads: cache keys that never go backwards (PROTOCOL.md 10.1). */
#ifndef ROUTER_CURSOR_H
#define ROUTER_CURSOR_H

#include <stdint.h>

/* The number of the 20-second interval since 2024-10-09 that unix_s falls into. */
uint64_t cursor_interval(uint64_t unix_s);

/* The cursor to answer a client with that sent `client` (0: none): the current interval, or, if the client is not
 * behind it, the client's own plus a jitter of 1 to 3600 seconds; `random` is any number. */
uint64_t cursor_next(uint64_t client, uint64_t unix_s, uint64_t random);

#endif
