/* Who may do what: finds a request's token, verifies it with its project's keys, and compares its claims with what the
 * request is about. Nothing here runs with auth.mode = none. */
#ifndef ROUTER_AUTH_AUTH_H
#define ROUTER_AUTH_AUTH_H

#include <stdint.h>

#include "common/errors.h"
#include "common/registry.h"
#include "common/token.h"
#include "common/wire.h"
#include "router/auth/key_source.h"
#include "router/http/http.h"

#define AUTH_PROJECTS 256u /* remembered */
#define AUTH_TOKENS 1024u
#define AUTH_FAILURES 1024u

struct request;
struct router;
struct evp_md_st;
struct evp_md_ctx_st;

/* What the current request was allowed with. All zero: auth.mode = none, everything. */
struct grant {
    bool checked;           /* there is a mode; the rest counts */
    bool anonymous;         /* no token that is good for this: only public streams */
    bool narrow;            /* the token is not for all of the project's streams */
    bool shared;            /* the project is public: its answers are for everyone */
    char reader_key[33];    /* ?rk=, 32 hex digits; "" if none came */
    uint64_t expires_s;     /* of the token, with the leeway; 0: none */
    uint64_t key;           /* a mark of the key that verified it */
    uint64_t project;       /* a mark of the project */
    enum token_fault fault; /* of the token that came, also where none is needed */
    enum scope needed;
};

struct auth {
    struct router *router;
    struct registry *registry; /* NULL: auth.mode = none */
    uint32_t version;          /* of the registry, when it was last looked at */
    uint64_t generation;       /* how often what was verified has ceased to count */
    uint64_t looked_ms;
    uint64_t settings; /* a mark of those that a reader's right depends on */
    /* Tables of AUTH_… places; what hashes to a place replaces what was there. */
    struct auth_project *projects;
    struct auth_token *tokens;
    struct auth_failures *failures; /* addresses that have sent wrong tokens */
    struct evp_md_st *sha256;       /* libcrypto's, of tokens */
    struct evp_md_ctx_st *hash;
    struct key_sources sources;
};

/* Ends the process if the registry cannot be used. */
void auth_init(struct auth *auth, struct router *router);

/* What others have changed in the registry counts from now on, for readers under way too. It looks once a millisecond,
 * so that it may be called before every request. */
void auth_turn(struct auth *auth);

/* Looks again at what the client's live reader is granted, if there is one: it ends if no key of its project verifies
 * its token any more, or if it came without one and neither project nor stream is public. */
void auth_check_reader(struct auth *auth, struct request *request);

/* The registry was changed by this process. */
void auth_changed(struct auth *auth);

/* A project's own view of the world, or NULL; borrowed until the next turn. */
const struct project *auth_project(struct auth *auth, struct slice project);

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

/* The configuration was read again: what was verified is looked at again, of readers under way too. */
void auth_reload(struct auth *auth);

/* Keys that were fetched have changed: what they have verified does not count any more, for readers under way too. */
void auth_keys_changed(struct auth *auth);

/* What a refusal of the current request is counted as: METRIC_REFUSED_*. error: one of those. */
unsigned auth_refusal(const struct grant *grant, enum error error);

/* The error that a client is told instead of this one, and in *detail (NULL: nobody wants to know) why: what nobody may
 * do is refused with what is wrong with the token that came. */
enum error auth_told(const struct grant *grant, enum error error, struct detail *detail);

/* Adds WWW-Authenticate (RFC 6750 3), if the error has to do with the token. error: as it is told. */
void auth_challenge(const struct grant *grant, enum error error, struct buf *head);

/* May it, too, what it names beside its path, as router/handlers/named.h lists it? All of that is in the project of
 * resource. */
enum error auth_check_named(struct request *request, const struct http_head *head, struct slice resource,
                            struct slice names, struct detail *detail) MUSTUSE;

/* The answer about this stream may be kept by caches that many share. */
bool auth_shared(const struct grant *grant, const struct wire_stream *stream) MUSTUSE;

/* Milliseconds until the token of the grant expires; UINT64_MAX if it does not. */
uint64_t auth_left_ms(const struct grant *grant);

#endif
