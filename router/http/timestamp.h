/* RFC 3339 timestamps, such as Stream-Expires-At. */
#ifndef ROUTER_HTTP_TIMESTAMP_H
#define ROUTER_HTTP_TIMESTAMP_H

#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

/* "2026-02-28T23:59:60.5+01:00" to milliseconds since 1970, rounded down; a time before 1970 gives 0. False if it is no
 * such timestamp or no such day exists. */
bool timestamp_parse(struct slice text, uint64_t *ms) MUSTUSE;

#endif
