/* How long an answer may be used again (RFC 9111), as far as its Cache-Control, Age and Vary say. The cache is one of
 * who asks: an answer is used again for the very same question only, so `private` and `s-maxage` do not matter. */
#ifndef ROUTER_AUTH_CACHE_TERMS_H
#define ROUTER_AUTH_CACHE_TERMS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

/* Zeroed at the start: an answer that says nothing may not be used again. */
struct cache_terms {
    bool never; /* no-store, no-cache, Vary: *, or what cannot be understood */
    bool fresh; /* there is a max-age */
    uint64_t max_age_s, age_s;
};

/* Takes one header line of the answer. */
void cache_terms_add(struct cache_terms *terms, struct slice name, struct slice value);

/* How long it may be used from now on, if asking took so long. */
uint64_t cache_terms_ms(const struct cache_terms *terms, uint64_t asking_ms) MUSTUSE;

#endif
