/* Origins of pages (RFC 6454), as browsers write them in the Origin header. */
#ifndef COMMON_ORIGIN_H
#define COMMON_ORIGIN_H

#include "common/attr.h"
#include "common/slice.h"

#define ORIGIN_RULE "scheme://host[:port] in lower case, without a default port or a path"

/* Whether a browser could write this: what it writes in another way would never match. */
bool origin_valid(struct slice origin) MUSTUSE;

/* Whether a page of this origin and a request to this Host are of one server, whatever the scheme. */
bool origin_is_host(struct slice origin, struct slice host) MUSTUSE;

#endif
