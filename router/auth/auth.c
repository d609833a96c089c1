/* Whether a request may do what it asks for.
 *
 *     auth_wait()    the keys for its token are being fetched: it waits
 *     auth_check()   token -> known? --no--> verify with the project's secrets and keys, remember the verdict
 *                      |       |yes                                                       |
 *                      |       +------------> its claims against project, stream, scope <-+
 *                      +-- none, wrong, not enough: READ becomes anonymous, and the shard says whether the
 *                          stream is public; any other scope is refused, and the error says what is wrong
 *
 * What was granted is checked again when it may have changed (auth_renew()): a project was altered, here or by another
 * process (auth_turn()), keys were fetched (key_source.c), or the configuration was read again (auth_reload()). Only
 * live reads and incremental appends last long enough for that: auth->recheck goes through them.
 *
 * If the registry cannot be read, a project is taken for absent until the next request asks: 401, and never more than
 * was allowed before. */
#include "router/auth/auth.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "common/log.h"
#include "common/registry.h"
#include "router/auth/bearer.h"
#include "router/auth/cors.h"
#include "router/auth/mark.h"
#include "router/auth/named.h"
#include "router/conn/connection.h"
#include "router/http/query.h"
#include "router/router.h"

static uint64_t auth_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t auth_now_s(void)
{
    return (uint64_t)time(NULL);
}

/* The time that an exp is held against. */
static uint64_t auth_lenient_now_s(const struct auth *auth)
{
    return auth_now_s() - auth->router->cfg->auth_leeway / 1000;
}

static uint64_t auth_mark_of_settings(const struct config *cfg)
{
    const char *const texts[] = {cfg->auth_audience, cfg->auth_issuer, cfg->auth_cookie};
    return hash_texts(HASH_SEED, texts, sizeof texts / sizeof texts[0]);
}

/* ---- what was granted before ---- */

static bool auth_among(const struct jwks *keys, uint64_t key)
{
    for (size_t i = 0; i < keys->count; i++)
        if (auth_mark(slice_str(keys->keys[i].pem)) == key)
            return true;
    return false;
}

/* Whether the project still has the key. */
static bool auth_has_key(struct auth *auth, const struct project *project, uint64_t key)
{
    for (size_t i = 0; i < project->secrets.count; i++)
        if (auth_mark(slice_str(project->secrets.items[i])) == key)
            return true;
    if (auth_among(&project->keys, key))
        return true;
    if (!project->jwks_url)
        return false;
    if (!key_source_unknown(&auth->sources, project->jwks_url))
        return auth_among(key_source_keys(&auth->sources, project->jwks_url), key);
    /* Another process had them, which has handed the reader over: it is looked at again when they are here. */
    key_source_want(&auth->sources, project->jwks_url);
    return true;
}

bool auth_renew(struct auth *auth, struct grant *grant, struct slice name)
{
    const struct project *project = projects_find(&auth->projects, name);
    if (grant->key && (!project || grant->project != auth_mark(name) || !auth_has_key(auth, project, grant->key)))
        return false;
    grant->checked = true;
    grant->shared = project && project->is_public;
    grant->anonymous = !grant->key && !grant->shared;
    return true;
}

/* Keys have changed: nothing that they verified counts, neither cached tokens nor what was granted. */
static void auth_keys_changed(struct auth *auth)
{
    auth->generation++;
    token_cache_forget(&auth->tokens);
    auth->recheck(auth->router);
}

void auth_changed(struct auth *auth)
{
    auth->version = registry_version(auth->projects.registry);
    projects_forget(&auth->projects);
    auth_keys_changed(auth);
}

/* Readers' tokens are not kept, so they cannot be verified again: readers whose token may no longer be good must
 * reconnect with it. */
bool auth_reload(struct auth *auth)
{
    uint64_t settings = auth_mark_of_settings(auth->router->cfg);
    if (!auth->projects.registry)
        return false;
    auth_keys_changed(auth);
    bool differ = settings != auth->settings;
    auth->settings = settings;
    return differ;
}

void auth_turn(struct auth *auth)
{
    if (!auth->projects.registry || auth->looked_ms == auth->router->now_ms)
        return;
    auth->looked_ms = auth->router->now_ms;
    if (registry_version(auth->projects.registry) != auth->version)
        auth_changed(auth);
}

static void auth_on_keys_fetched(struct router *router)
{
    auth_keys_changed(&router->auth);
}

void auth_init(struct auth *auth, struct router *router, void (*recheck)(struct router *router))
{
    const struct config *cfg = router->cfg;
    *auth = (struct auth){.router = router, .recheck = recheck};
    if (cfg->auth_mode != AUTH_MODE_JWT)
        return;
    /* A core file is no place for secrets. */
    if (setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) != 0)
        log_warn_errno("core dumps cannot be switched off");
    projects_open(&auth->projects, cfg->server_data_dir);
    auth->version = registry_version(auth->projects.registry);
    auth->settings = auth_mark_of_settings(cfg);
    token_cache_init(&auth->tokens);
    wrong_tokens_init(&auth->wrong);
    key_sources_init(&auth->sources, router, auth_on_keys_fetched);
}

/* ---- the token of a request ---- */

static struct token_verdict auth_verify(struct auth *auth, struct slice token, struct slice name)
{
    static const struct texts no_secrets;
    static const struct project nobody;
    const struct config *cfg = auth->router->cfg;
    const struct project *known = projects_find(&auth->projects, name), *project = known ? known : &nobody;
    const struct token_rules rules = {
        .project = name,
        .now_ms = auth_now_ms(),
        .leeway_ms = cfg->auth_leeway,
        .audiences = cfg->auth_audience,
        .issuers = cfg->auth_issuer,
    };
    struct token_verdict verdict = token_verify(token, &rules, &project->secrets, &project->keys);
    if (verdict.fault == TOKEN_UNVERIFIED && project->jwks_url)
        verdict = token_verify(token, &rules, &no_secrets, key_source_keys(&auth->sources, project->jwks_url));
    return verdict;
}

/* Looks a token up, or verifies it. NULL: its address has sent too many wrong tokens in this minute (auth.failures).
 * The result holds until the next call. A known token costs no verification, so it does not count against the address.
 */
static const struct cached_token *auth_look_at(const struct request *req, struct slice token, struct slice name)
{
    struct auth *auth = &req->router->auth;
    uint64_t now_ms = req->router->now_ms, most = req->router->cfg->auth_failures;
    const struct token_cache_key key = token_cache_key(&auth->tokens, token, auth_mark(name));
    const struct cached_token *known = token_cache_find(&auth->tokens, &key);
    struct sockaddr_storage peer;
    if (known)
        return known;
    uint64_t address = wrong_tokens_address(connection_address(req->connection, &peer) ? &peer : NULL);
    if (most && wrong_tokens_count(&auth->wrong, address, now_ms) >= most)
        return NULL;
    struct token_verdict verdict = auth_verify(auth, token, name);
    if (verdict.fault != TOKEN_GOOD)
        wrong_tokens_add(&auth->wrong, address, now_ms);
    return token_cache_put(&auth->tokens, &key, &verdict);
}

/* Whether a key of the project's jwksUrl that was not fetched yet could verify the token. */
static bool auth_is_foreign(const struct cached_token *known, const struct project *project)
{
    return known->fault == TOKEN_UNVERIFIED && known->kind != KEY_SECRET && project && project->jwks_url;
}

static enum token_fault auth_fault_of(struct auth *auth, const struct cached_token *known,
                                      const struct project *project)
{
    if (!known)
        return TOKEN_UNCHECKED;
    if (auth_is_foreign(known, project) && key_source_unknown(&auth->sources, project->jwks_url))
        return TOKEN_KEYLESS;
    if (known->fault == TOKEN_GOOD && known->claims.from_ms > (double)(auth_now_ms() + auth->router->cfg->auth_leeway))
        return TOKEN_EARLY;
    if (known->fault == TOKEN_GOOD && known->claims.expires_s <= auth_lenient_now_s(auth))
        return TOKEN_EXPIRED;
    return known->fault;
}

/* ---- the decision ---- */

/* A token for one stream, or for a prefix, is good for nothing else. */
static bool auth_stream_matches(const char *pattern, struct slice resource, struct slice project)
{
    size_t len = strlen(pattern);
    if (resource.len == project.len)
        return false;
    struct slice stream = slice_of(resource.data + project.len + 1, resource.len - project.len - 1);
    if (len && pattern[len - 1] == '*')
        return stream.len >= len - 1 && memcmp(stream.data, pattern, len - 1) == 0;
    return slice_equal(stream, slice_of(pattern, len));
}

static enum token_fault auth_judge(const struct claims *claims, struct slice resource, enum scope scope)
{
    struct slice project = project_of(resource);
    if (!slice_equal(slice_str(claims->subject), project))
        return TOKEN_OTHER_PROJECT;
    if (claims->scope < scope)
        return TOKEN_WEAK;
    if (!claims->stream_id)
        return TOKEN_GOOD;
    /* A write to a whole project names its streams in the body, and each name is checked (auth_check_named). */
    bool whole = resource.len == project.len;
    bool fits = whole ? scope == SCOPE_WRITE : auth_stream_matches(claims->stream_id, resource, project);
    return fits ? TOKEN_GOOD : TOKEN_OTHER_STREAM;
}

static void auth_take_reader_key(const struct http_head *head, struct grant *grant)
{
    struct buf room = {0};
    struct slice key = query_text(head->query, SLICE("rk"), &room);
    if (slice_begins(key, SLICE("rk_")))
        grant_take_reader_key(grant, slice_of(key.data + 3, key.len - 3));
    buf_clear(&room);
}

/* Finds the request's token, unless it is one that the browser has sent by itself from a page that may not use it. */
static enum token_fault auth_find_token(struct request *req, const struct http_head *head, struct slice resource,
                                        struct buf *room, struct slice *token)
{
    enum bearer found = bearer_token(head, slice_str(req->router->cfg->auth_cookie), room, token);
    if (found == BEARER_ABSENT)
        return TOKEN_ABSENT;
    if (found == BEARER_SCHEME)
        return TOKEN_SCHEME;
    return found == BEARER_COOKIE && !cors_trusts(req, head, resource) ? TOKEN_OTHER_ORIGIN : TOKEN_GOOD;
}

struct suspended_list *auth_wait(struct request *req, const struct http_head *head, struct slice resource)
{
    struct auth *auth = &req->router->auth;
    struct buf room = {0};
    struct slice name = project_of(resource), token;
    const struct project *project = projects_find(&auth->projects, name);
    struct suspended_list *list = NULL;
    if (!project || !project->jwks_url)
        return NULL;
    if (auth_find_token(req, head, resource, &room, &token) == TOKEN_GOOD) {
        const struct cached_token *known = auth_look_at(req, token, name);
        if (known && auth_is_foreign(known, project))
            list = key_source_wait(&auth->sources, project->jwks_url);
    }
    buf_wipe(&room);
    return list;
}

/* Fills the grant from the request's token. Returns what is wrong with the token. */
static enum token_fault auth_use_token(struct request *req, const struct http_head *head, struct slice resource,
                                       enum scope scope, struct grant *grant)
{
    struct auth *auth = &req->router->auth;
    struct buf room = {0};
    struct slice name = project_of(resource), token;
    const struct cached_token *known = NULL;
    enum token_fault fault = auth_find_token(req, head, resource, &room, &token);
    if (fault == TOKEN_GOOD) {
        known = auth_look_at(req, token, name);
        fault = auth_fault_of(auth, known, projects_find(&auth->projects, name));
    }
    if (fault == TOKEN_ELSEWHERE && !name.len)
        fault = TOKEN_EVERYWHERE;
    buf_wipe(&room);
    if (fault == TOKEN_GOOD)
        fault = auth_judge(&known->claims, resource, scope);
    if (fault != TOKEN_GOOD)
        return fault;
    grant->expires_s = known->claims.expires_s + auth->router->cfg->auth_leeway / 1000;
    grant->key = known->key;
    grant->project = known->by.project;
    grant->narrow = known->claims.stream_id != NULL;
    return TOKEN_GOOD;
}

static enum error auth_check_into(struct request *req, const struct http_head *head, struct slice resource,
                                  enum scope scope, struct grant *grant, struct detail *detail)
{
    const struct project *project = projects_find(&req->router->auth.projects, project_of(resource));
    *grant = (struct grant){.checked = true, .needed = scope, .shared = project && project->is_public};
    auth_take_reader_key(head, grant);
    grant->fault = auth_use_token(req, head, resource, scope, grant);
    if (grant->fault != TOKEN_GOOD && scope == SCOPE_READ) {
        grant->anonymous = !grant->shared;
        return ERR_NONE;
    }
    return grant_told(grant, token_fault_error(grant->fault), detail);
}

/* Applies the decision of the callback. A cookie from a page of another origin was not sent to the callback; if it then
 * refused for want of a token, the error names the origin. */
static enum error auth_check_decision(struct request *req, const struct http_head *head, struct slice resource,
                                      enum scope scope, struct detail *detail)
{
    enum error error = req->decision.error;
    req->grant.checked = true;
    auth_take_reader_key(head, &req->grant);
    if (error == ERR_UNAUTHORIZED && head->headers[HTTP_COOKIE_HEADER].data && !cors_trusts(req, head, resource))
        req->grant.fault = TOKEN_OTHER_ORIGIN;
    if (error == ERR_FORBIDDEN && req->decision.refusal)
        return detail_say(detail, ERR_FORBIDDEN, "%s", req->decision.refusal);
    if (error == ERR_NONE && req->decision.scope < scope)
        return ERR_FORBIDDEN;
    return grant_told(&req->grant, error, detail);
}

enum error auth_check(struct request *req, const struct http_head *head, struct slice resource, enum scope scope,
                      struct detail *detail)
{
    req->grant = (struct grant){0};
    if (req->router->callbacks.on && scope != SCOPE_NONE)
        return auth_check_decision(req, head, resource, scope, detail);
    if (!req->router->auth.projects.registry || scope == SCOPE_NONE)
        return ERR_NONE;
    return auth_check_into(req, head, resource, scope, &req->grant, detail);
}

/* With a callback, each name was asked about before. Otherwise the token, which may write to the path, must also be
 * good for each name, and no name may leave the project. */
enum error auth_check_named(struct request *req, const struct http_head *head, struct slice resource,
                            struct slice names, struct detail *detail)
{
    struct grant grant = {0};
    enum error error = ERR_NONE;
    enum named kind;
    struct slice name;
    while (error == ERR_NONE && named_next(&names, &kind, &name)) {
        if (!slice_equal(project_of(resource), project_of(name)))
            error = ERR_FORBIDDEN;
        else if (!req->router->callbacks.on)
            error = auth_check_into(req, head, name, SCOPE_WRITE, &grant, detail);
        if (error == ERR_FORBIDDEN)
            error = detail_say(detail, error, "%s", named_refusal(kind));
    }
    return error;
}

bool auth_holds(const struct request *req, uint64_t decided)
{
    bool expired = req->grant.expires_s && req->grant.expires_s <= auth_now_s();
    return decided == req->router->auth.generation && !expired;
}
