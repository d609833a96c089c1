#include "router/auth.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "router/bearer.h"
#include "router/named.h"
#include "router/query.h"
#include "router/reader.h"
#include "router/router.h"

#define REGISTRY_MS 100u /* all clients of this router wait as long */

struct auth_project {
    char *name; /* NULL: the place is free */
    bool absent;
    struct project project;
};

/* A token that was verified. */
struct auth_token {
    char *token; /* NULL: the place is free */
    uint64_t project;
    struct claims claims;
    uint64_t key; /* a mark of the one that verified it */
};

/* Of one address, in one minute. */
struct auth_failures {
    uint64_t address, minute, count;
};

static uint64_t mark(struct slice text)
{
    return hash_add(HASH_SEED, text) | 1; /* never zero */
}

static uint64_t now_s(void)
{
    return (uint64_t)time(NULL);
}

/* The time that an exp is held against. */
static uint64_t lenient_now_s(const struct auth *auth)
{
    return now_s() - auth->router->cfg->auth_leeway / 1000;
}

/* ---- what is remembered ---- */

static void forget_project(struct auth_project *place)
{
    free(place->name);
    project_clear(&place->project);
    *place = (struct auth_project){0};
}

static void forget_token(struct auth_token *place)
{
    free(place->token);
    claims_clear(&place->claims);
    *place = (struct auth_token){0};
}

static void forget_projects(struct auth *auth)
{
    for (unsigned i = 0; i < AUTH_PROJECTS; i++)
        forget_project(&auth->projects[i]);
}

static void forget_tokens(struct auth *auth)
{
    for (unsigned i = 0; i < AUTH_TOKENS; i++)
        forget_token(&auth->tokens[i]);
}

void auth_init(struct auth *auth, struct router *router)
{
    const struct config *cfg = router->cfg;
    const char *why;
    *auth = (struct auth){.router = router};
    if (strcmp(cfg->auth_mode, "jwt") != 0)
        return;
    /* What a crash leaves behind is no place for secrets. */
    if (setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) != 0)
        log_warn_errno("core dumps cannot be switched off");
    auth->registry = registry_open(cfg->server_data_dir, &why);
    if (!auth->registry)
        fatal_never_restart("%s/registry.db: %s", cfg->server_data_dir, why);
    registry_wait(auth->registry, REGISTRY_MS);
    auth->version = registry_version(auth->registry);
    auth->projects = xcalloc(AUTH_PROJECTS, sizeof *auth->projects);
    auth->tokens = xcalloc(AUTH_TOKENS, sizeof *auth->tokens);
    auth->failures = xcalloc(AUTH_FAILURES, sizeof *auth->failures);
    key_sources_init(&auth->sources, router);
}

const struct project *auth_project(struct auth *auth, struct slice name)
{
    struct auth_project *place;
    if (!auth->registry || !project_name_valid(name))
        return NULL;
    place = &auth->projects[mark(name) / 2 % AUTH_PROJECTS];
    if (!place->name || !slice_equal(slice_str(place->name), name)) {
        forget_project(place);
        place->name = xslicedup(name);
        enum registry_result result = registry_get(auth->registry, name, &place->project);
        place->absent = result != REGISTRY_OK;
        if (result == REGISTRY_BUSY || result == REGISTRY_FAILED) { /* the next request asks again */
            forget_project(place);
            return NULL;
        }
    }
    return place->absent ? NULL : &place->project;
}

/* ---- readers under way ---- */

static bool holds(const struct jwks *keys, uint64_t key)
{
    for (size_t i = 0; i < keys->count; i++)
        if (mark(slice_str(keys->keys[i].pem)) == key)
            return true;
    return false;
}

static bool still_good(struct auth *auth, const struct grant *grant)
{
    const struct auth_project *place = &auth->projects[grant->project / 2 % AUTH_PROJECTS];
    if (!place->name || mark(slice_str(place->name)) != grant->project || place->absent)
        return false;
    const struct project *project = &place->project;
    for (size_t i = 0; i < project->secrets.count; i++)
        if (mark(slice_str(project->secrets.items[i])) == grant->key)
            return true;
    if (holds(&project->keys, grant->key))
        return true;
    if (!project->jwks_url)
        return false;
    if (!key_source_unknown(&auth->sources, project->jwks_url))
        return holds(key_source_keys(&auth->sources, project->jwks_url), grant->key);
    /* Another process had them, which has handed the reader over: it is looked at again when they are here. */
    key_source_want(&auth->sources, project->jwks_url);
    return true;
}

void auth_check_reader(struct auth *auth, struct client *c)
{
    struct grant *grant = &c->grant;
    if (c->state != CLIENT_LIVE || !auth->registry)
        return;
    const struct project *project = auth_project(auth, reader_project(c->reader));
    if (grant->key && !still_good(auth, grant)) {
        reader_expire(c->reader);
        return;
    }
    grant->checked = true;
    grant->shared = project && project->is_public;
    grant->anonymous = !grant->key && !grant->shared;
    reader_granted(c->reader);
}

static void check_readers(struct auth *auth)
{
    for (struct client *c = auth->router->clients.first, *next; c; c = next) {
        next = c->next;
        auth_check_reader(auth, c);
    }
}

void auth_changed(struct auth *auth)
{
    auth->version = registry_version(auth->registry);
    forget_projects(auth);
    auth_keys_changed(auth);
}

void auth_keys_changed(struct auth *auth)
{
    forget_tokens(auth);
    check_readers(auth);
}

void auth_reload(struct auth *auth)
{
    if (auth->registry)
        auth_keys_changed(auth);
}

void auth_turn(struct auth *auth)
{
    if (!auth->registry || auth->looked_ms == auth->router->now_ms)
        return;
    auth->looked_ms = auth->router->now_ms;
    if (registry_version(auth->registry) != auth->version)
        auth_changed(auth);
}

/* ---- addresses that send wrong tokens ---- */

/* What one host may be taken to hold: an IPv4 address, or a /64 of IPv6. */
static uint64_t address_of(const struct client *c)
{
    struct sockaddr_storage peer;
    if (!client_address(c, &peer))
        return 1;
    if (peer.ss_family == AF_INET6)
        return mark(slice_of((const char *)&((struct sockaddr_in6 *)&peer)->sin6_addr, 8));
    return mark(slice_of((const char *)&((struct sockaddr_in *)&peer)->sin_addr, 4));
}

static struct auth_failures *failures_of(const struct client *c)
{
    uint64_t address = address_of(c), minute = c->router->now_ms / 60000;
    struct auth_failures *place = &c->router->auth.failures[address / 2 % AUTH_FAILURES];
    if (place->address != address || place->minute != minute)
        *place = (struct auth_failures){.address = address, .minute = minute};
    return place;
}

static bool too_many(const struct auth *auth, const struct auth_failures *failures)
{
    uint64_t most = auth->router->cfg->auth_failures;
    return most && failures->count >= most;
}

/* ---- the token of a request ---- */

static enum bearer find_token(const struct auth *auth, const struct http_head *head, char room[TOKEN_MAX + 1])
{
    return bearer_token(head, slice_str(auth->router->cfg->auth_cookie), room);
}

static bool verify(struct auth *auth, const char *token, const struct project *project, uint64_t project_mark,
                   struct auth_token *place)
{
    static const struct texts no_secrets;
    const char *key;
    forget_token(place);
    if (!token_verify(token, &project->secrets, &project->keys, lenient_now_s(auth), &place->claims, &key) &&
        (!project->jwks_url || !token_verify(token, &no_secrets, key_source_keys(&auth->sources, project->jwks_url),
                                             lenient_now_s(auth), &place->claims, &key)))
        return false;
    place->token = xstrdup(token);
    place->project = project_mark;
    place->key = mark(slice_str(key));
    return true;
}

static struct auth_token *place_of(const struct auth *auth, const char *token)
{
    return &auth->tokens[mark(slice_str(token)) / 2 % AUTH_TOKENS];
}

static bool remembered(const struct auth_token *place, const char *token, uint64_t project_mark)
{
    return place->token && place->project == project_mark && strcmp(place->token, token) == 0;
}

/* What it says would be verified by a key that the project has elsewhere, and that is not to be had. */
static bool unknown(struct auth *auth, const char *token, const struct project *project)
{
    return project->jwks_url && token_wants_public_key(token) && key_source_unknown(&auth->sources, project->jwks_url);
}

/* A valid token of this project is remembered at *known. Looking at one that is not costs work, so an address may not
 * have it done for ever. */
static enum error claims_of(struct client *c, const char *token, struct slice project_name,
                            const struct auth_token **known)
{
    struct auth *auth = &c->router->auth;
    const struct project *project = auth_project(auth, project_name);
    uint64_t project_mark = mark(project_name);
    struct auth_token *place = place_of(auth, token);
    if (!project || !remembered(place, token, project_mark)) {
        struct auth_failures *failures = failures_of(c);
        if (too_many(auth, failures))
            return ERR_RATE_LIMITED;
        if (!project || !verify(auth, token, project, project_mark, place)) {
            failures->count++;
            c->grant.expired = project && place->claims.expires_s != 0;
            return project && unknown(auth, token, project) ? ERR_AUTH_UNAVAILABLE : ERR_UNAUTHORIZED;
        }
    }
    *known = place;
    c->grant.expired = place->claims.expires_s <= lenient_now_s(auth);
    return c->grant.expired ? ERR_UNAUTHORIZED : ERR_NONE;
}

/* ---- the decision ---- */

/* A token for one stream, or for a prefix, is good for nothing else. */
static bool stream_matches(const char *pattern, struct slice resource, struct slice project)
{
    size_t len = strlen(pattern);
    if (resource.len == project.len)
        return false;
    struct slice stream = slice_of(resource.data + project.len + 1, resource.len - project.len - 1);
    if (len && pattern[len - 1] == '*')
        return stream.len >= len - 1 && memcmp(stream.data, pattern, len - 1) == 0;
    return slice_equal(stream, slice_of(pattern, len));
}

static enum error judge(const struct claims *claims, struct slice resource, enum scope scope)
{
    struct slice project = project_of(resource);
    if (!slice_equal(slice_str(claims->subject), project) || claims->scope < scope)
        return ERR_FORBIDDEN;
    /* What is written to a project as a whole names its streams in the body, and each of them is checked. */
    if (claims->stream_id && resource.len == project.len)
        return scope == SCOPE_WRITE ? ERR_NONE : ERR_FORBIDDEN;
    return !claims->stream_id || stream_matches(claims->stream_id, resource, project) ? ERR_NONE : ERR_FORBIDDEN;
}

static void take_reader_key(const struct http_head *head, struct grant *grant)
{
    struct slice key = query_value(head->query, '&', SLICE("rk"));
    if (key.len == sizeof "rk_" - 1 + 32 && memcmp(key.data, "rk_", 3) == 0)
        memcpy(grant->reader_key, key.data + 3, 32);
}

struct hold_list *auth_wait(struct client *c, const struct http_head *head, struct slice resource)
{
    struct auth *auth = &c->router->auth;
    char token[TOKEN_MAX + 1];
    struct slice name = project_of(resource);
    const struct project *project = auth_project(auth, name);
    struct hold_list *list = NULL;
    if (!project || !project->jwks_url || find_token(auth, head, token) != BEARER_FOUND)
        return NULL;
    struct auth_token *place = place_of(auth, token);
    if (!remembered(place, token, mark(name)) && token_wants_public_key(token) && !too_many(auth, failures_of(c)) &&
        !verify(auth, token, project, mark(name), place))
        list = key_source_wait(&auth->sources, project->jwks_url);
    explicit_bzero(token, sizeof token);
    return list;
}

static enum error check(struct client *c, const struct http_head *head, struct slice resource, enum scope scope,
                        struct grant *grant, struct detail *detail)
{
    struct auth *auth = &c->router->auth;
    char token[TOKEN_MAX + 1];
    struct slice name = project_of(resource);
    const struct project *project = auth_project(auth, name);
    enum bearer found = find_token(auth, head, token);
    (void)detail;
    grant->checked = true;
    grant->shared = project && project->is_public;
    take_reader_key(head, grant);
    if (found == BEARER_ABSENT) {
        grant->absent = true;
        grant->anonymous = !grant->shared;
        return scope == SCOPE_READ ? ERR_NONE : ERR_UNAUTHORIZED;
    }
    const struct auth_token *known = NULL;
    enum error error = found == BEARER_FOUND ? claims_of(c, token, name, &known) : ERR_UNAUTHORIZED;
    explicit_bzero(token, sizeof token);
    if (error != ERR_NONE)
        return error;
    grant->expires_s = known->claims.expires_s + auth->router->cfg->auth_leeway / 1000;
    grant->key = known->key;
    grant->project = known->project;
    grant->narrow = known->claims.stream_id != NULL;
    return judge(&known->claims, resource, scope);
}

unsigned auth_refusal(const struct grant *grant, enum error error)
{
    switch (error) {
    case ERR_FORBIDDEN:
        return METRIC_REFUSED_FORBIDDEN;
    case ERR_RATE_LIMITED:
        return METRIC_REFUSED_RATE_LIMITED;
    case ERR_AUTH_UNAVAILABLE:
        return METRIC_REFUSED_UNAVAILABLE;
    default:
        return grant->absent    ? METRIC_REFUSED_MISSING
               : grant->expired ? METRIC_REFUSED_EXPIRED
                                : METRIC_REFUSED_INVALID;
    }
}

enum error auth_check(struct client *c, const struct http_head *head, struct slice resource, enum scope scope,
                      struct detail *detail)
{
    c->grant = (struct grant){0};
    if (c->router->callbacks.on && scope != SCOPE_NONE) {
        c->grant.checked = true;
        take_reader_key(head, &c->grant);
        if (c->decision.error == ERR_FORBIDDEN && c->decision.named != NAMED_PATH)
            return detail_say(detail, ERR_FORBIDDEN, "%s", named_refusal(c->decision.named));
        return c->decision.error != ERR_NONE || c->decision.scope >= scope ? c->decision.error : ERR_FORBIDDEN;
    }
    if (!c->router->auth.registry || scope == SCOPE_NONE)
        return ERR_NONE;
    return check(c, head, resource, scope, &c->grant, detail);
}

/* A callback was asked about each before. A token that may write was found for the path: it has to be good for these. */
enum error auth_check_named(struct client *c, const struct http_head *head, struct slice resource, struct slice names,
                            struct detail *detail)
{
    struct grant grant = {0};
    enum error error = ERR_NONE;
    enum named kind;
    struct slice name;
    while (error == ERR_NONE && named_next(&names, &kind, &name)) {
        if (!slice_equal(project_of(resource), project_of(name)))
            error = ERR_FORBIDDEN;
        else if (!c->router->callbacks.on)
            error = check(c, head, name, SCOPE_WRITE, &grant, detail);
        if (error == ERR_FORBIDDEN)
            error = detail_say(detail, error, "%s", named_refusal(kind));
    }
    return error;
}

bool auth_shared(const struct grant *grant, const struct wire_stream *stream)
{
    if (!grant->checked || grant->shared || (stream->flags & WIRE_STREAM_PUBLIC))
        return true;
    return *grant->reader_key && slice_equal(slice_str(grant->reader_key), stream->reader_key);
}

uint64_t auth_left_ms(const struct grant *grant)
{
    uint64_t now = now_s();
    if (!grant->expires_s)
        return UINT64_MAX;
    uint64_t left = grant->expires_s > now ? grant->expires_s - now : 0;
    return left < UINT32_MAX ? left * 1000 : UINT64_MAX;
}
