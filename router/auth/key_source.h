/* Public keys that are kept elsewhere: key sets that are fetched from the URLs of projects, and remembered. */
#ifndef ROUTER_AUTH_KEY_SOURCE_H
#define ROUTER_AUTH_KEY_SOURCE_H

#include <stdint.h>

#include "common/attr.h"
#include "common/config.h"
#include "common/jwks.h"
#include "router/conn/suspend.h"

#define KEY_SOURCES 256u

struct router;

struct key_sources {
    struct router *router;
    void (*changed)(struct router *router); /* keys were fetched that are not those of before */
    struct key_source *all;                 /* KEY_SOURCES places */
};

void key_sources_init(struct key_sources *sources, struct router *router, void (*changed)(struct router *router));

/* Nothing is being fetched. */
void key_sources_clear(struct key_sources *sources);

/* Whether the configuration lets anybody fetch from there: auth.jwks_hosts. */
bool key_source_allowed(const struct config *cfg, const char *url) MUSTUSE;

/* The keys of this URL as far as they are known; older ones than auth.jwks_cache are fetched again meanwhile. Borrowed
 * until the next turn. */
const struct jwks *key_source_keys(struct key_sources *sources, const char *url) MUSTUSE;

/* A token came that none of these keys verifies. If they can be fetched now, or are being fetched, that is to be waited
 * for; otherwise NULL. */
struct suspended_list *key_source_wait(struct key_sources *sources, const char *url) MUSTUSE;

/* Somebody will need its keys. Once they have been fetched, `changed` is called. */
void key_source_want(struct key_sources *sources, const char *url);

/* Its keys were never had, so nobody can say what they would verify. */
bool key_source_unknown(struct key_sources *sources, const char *url) MUSTUSE;

#endif
