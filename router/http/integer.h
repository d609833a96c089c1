/* Whole numbers in headers and queries: digits only, without sign or leading zeros. */
#ifndef ROUTER_HTTP_INTEGER_H
#define ROUTER_HTTP_INTEGER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

#define INTEGER_MAX ((uint64_t)9007199254740991u) /* 2^53-1: what JavaScript can count to */

enum integer { INTEGER_GOOD, INTEGER_NONE, INTEGER_OVERFLOW };

/* GOOD: *value is set. NONE: the text is no number. OVERFLOW: it is above max. */
enum integer integer_parse(struct slice text, uint64_t max, uint64_t *value) MUSTUSE;

bool integer_valid(struct slice text, uint64_t max, uint64_t *value) MUSTUSE;

#endif
