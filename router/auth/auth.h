/* Access to streams: finds a request's token, verifies it with its project's keys, and compares its claims with what
 * the request is about. Nothing here runs with auth.mode = none. */
#ifndef ROUTER_AUTH_AUTH_H
#define ROUTER_AUTH_AUTH_H

#include <stdint.h>

#include "common/attr.h"
#include "common/detail.h"
#include "common/errors.h"
#include "common/token.h"
#include "router/auth/key_source.h"
#include "router/auth/projects.h"
#include "router/auth/token_cache.h"
#include "router/auth/wrong_tokens.h"
#include "router/http/http.h"

struct grant;
struct request;
struct router;

struct auth {
    struct router *router;
    void (*recheck)(struct router *router); /* what was granted may not hold any more: look again at what outlasts it */
    struct projects projects;
    uint32_t version;    /* of the registry, when it was last looked at */
    uint64_t looked_ms;  /* when that was */
    uint64_t generation; /* how often what was verified has ceased to count */
    uint64_t settings;   /* a mark of those that a reader's right depends on */
    struct token_cache tokens;
    struct wrong_tokens wrong;
    struct key_sources sources;
};

/* Ends the process if the registry cannot be used. recheck: see above. */
void auth_init(struct auth *auth, struct router *router, void (*recheck)(struct router *router));

/* What others have changed in the registry counts from now on, for live reads too. It looks once a millisecond, so that
 * it may be called before every request. */
void auth_turn(struct auth *auth);

/* There is a registry: looks again at what a request about this project was granted before. False: no key of its
 * project verifies its token any more. True: whether it is public counts as it is now. */
bool auth_renew(struct auth *auth, struct grant *grant, struct slice project) MUSTUSE;

/* The registry was changed by this process. */
void auth_changed(struct auth *auth);

/* May this request do what needs `scope` on `resource`, "{project}/{stream}" or "{project}"? ERR_NONE, and
 * request->grant is set; or ERR_UNAUTHORIZED, ERR_FORBIDDEN, ERR_RATE_LIMITED or ERR_AUTH_UNAVAILABLE, of which *detail
 * may say more (NULL: nobody wants to know). Where reading is enough, whoever has no token that is good for it is
 * nobody, who may read what is public: the shard says whether the stream is. */
enum error auth_check(struct request *request, const struct http_head *head, struct slice resource, enum scope scope,
                      struct detail *detail) MUSTUSE;

/* What the request has to wait for before auth_check() can answer for good: keys that are being fetched. NULL: nothing.
 */
struct suspended_list *auth_wait(struct request *request, const struct http_head *head, struct slice resource) MUSTUSE;

/* What the request was granted, when auth.generation was `decided`, still holds: it need not be checked again. */
bool auth_holds(const struct request *request, uint64_t decided) MUSTUSE;

/* The configuration was read again: what was verified is looked at again, of live reads too. True: live reads have to
 * come back with their tokens. */
bool auth_reload(struct auth *auth) MUSTUSE;

/* May it, too, what it names beside its path, as router/auth/named.h lists it? All of that is in the project of
 * resource. */
enum error auth_check_named(struct request *request, const struct http_head *head, struct slice resource,
                            struct slice names, struct detail *detail) MUSTUSE;

#endif
