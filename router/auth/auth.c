#include "router/auth/auth.h"

#include <netinet/in.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "router/auth/bearer.h"
#include "router/auth/cors.h"
#include "router/handlers/named.h"
#include "router/http/query.h"
#include "router/http/response.h"
#include "router/live/reader.h"
#include "router/router.h"

#define REGISTRY_MS 100u /* all clients of this router wait as long */

struct auth_project {
    char *name; /* NULL: the place is free */
    bool absent;
    struct project project;
};

#define DIGEST_BYTES 32 /* SHA-256 */

/* A token that was looked at for a project, also one that is wrong. */
struct auth_token {
    uint64_t project;                   /* a mark; 0: the place is free */
    unsigned char digest[DIGEST_BYTES]; /* of the token */
    enum token_fault fault;             /* but those that the clock says */
    enum key_kind kind;
    struct claims claims; /* TOKEN_GOOD */
    uint64_t key;         /* a mark of the one that verified it */
};

/* Of one address, in one minute. */
struct auth_failures {
    uint64_t address, minute, count;
};

static uint64_t auth_mark(struct slice text)
{
    return hash_add(HASH_SEED, text) | 1; /* never zero */
}

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

/* ---- what is remembered ---- */

static void auth_forget_project(struct auth_project *place)
{
    free(place->name);
    project_clear(&place->project);
    *place = (struct auth_project){0};
}

static void auth_forget_token(struct auth_token *place)
{
    claims_clear(&place->claims);
    *place = (struct auth_token){0};
}

static void auth_forget_projects(struct auth *auth)
{
    for (unsigned i = 0; i < AUTH_PROJECTS; i++)
        auth_forget_project(&auth->projects[i]);
}

static void auth_forget_tokens(struct auth *auth)
{
    for (unsigned i = 0; i < AUTH_TOKENS; i++)
        auth_forget_token(&auth->tokens[i]);
}

static uint64_t auth_mark_of_settings(const struct config *cfg)
{
    const char *const texts[] = {cfg->auth_audience, cfg->auth_issuer, cfg->auth_cookie};
    return hash_texts(HASH_SEED, texts, sizeof texts / sizeof texts[0]);
}

void auth_init(struct auth *auth, struct router *router)
{
    const struct config *cfg = router->cfg;
    const char *why;
    *auth = (struct auth){.router = router};
    if (cfg->auth_mode != AUTH_MODE_JWT)
        return;
    /* What a crash leaves behind is no place for secrets. */
    if (setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) != 0)
        log_warn_errno("core dumps cannot be switched off");
    auth->registry = registry_open(cfg->server_data_dir, &why);
    if (!auth->registry)
        fatal_never_restart("%s/registry.db: %s", cfg->server_data_dir, why);
    registry_wait(auth->registry, REGISTRY_MS);
    auth->version = registry_version(auth->registry);
    auth->settings = auth_mark_of_settings(cfg);
    auth->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    auth->hash = EVP_MD_CTX_new();
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
    place = &auth->projects[auth_mark(name) / 2 % AUTH_PROJECTS];
    if (!place->name || !slice_equal(slice_str(place->name), name)) {
        auth_forget_project(place);
        place->name = xslicedup(name);
        enum registry_result result = registry_get(auth->registry, name, &place->project);
        place->absent = result != REGISTRY_OK;
        if (result == REGISTRY_BUSY || result == REGISTRY_FAILED) { /* the next request asks again */
            auth_forget_project(place);
            return NULL;
        }
    }
    return place->absent ? NULL : &place->project;
}

/* ---- readers under way ---- */

static bool auth_has_key(const struct jwks *keys, uint64_t key)
{
    for (size_t i = 0; i < keys->count; i++)
        if (auth_mark(slice_str(keys->keys[i].pem)) == key)
            return true;
    return false;
}

static bool auth_still_good(struct auth *auth, const struct grant *grant)
{
    const struct auth_project *place = &auth->projects[grant->project / 2 % AUTH_PROJECTS];
    if (!place->name || auth_mark(slice_str(place->name)) != grant->project || place->absent)
        return false;
    const struct project *project = &place->project;
    for (size_t i = 0; i < project->secrets.count; i++)
        if (auth_mark(slice_str(project->secrets.items[i])) == grant->key)
            return true;
    if (auth_has_key(&project->keys, grant->key))
        return true;
    if (!project->jwks_url)
        return false;
    if (!key_source_unknown(&auth->sources, project->jwks_url))
        return auth_has_key(key_source_keys(&auth->sources, project->jwks_url), grant->key);
    /* Another process had them, which has handed the reader over: it is looked at again when they are here. */
    key_source_want(&auth->sources, project->jwks_url);
    return true;
}

void auth_check_reader(struct auth *auth, struct request *req)
{
    struct grant *grant = &req->grant;
    struct reader *reader = reader_of(req);
    if (!reader || !auth->registry)
        return;
    const struct project *project = auth_project(auth, reader_project(reader));
    if (grant->key && !auth_still_good(auth, grant)) {
        reader_expire(reader);
        return;
    }
    if (!cors_holds(req, reader_project(reader))) {
        reader_send_back(reader);
        return;
    }
    grant->checked = true;
    grant->shared = project && project->is_public;
    grant->anonymous = !grant->key && !grant->shared;
    reader_granted(reader);
}

static void auth_check_readers(struct auth *auth)
{
    for (struct connection *c = auth->router->connections.first, *next; c; c = next) {
        next = c->next;
        auth_check_reader(auth, &c->request);
    }
}

void auth_changed(struct auth *auth)
{
    auth->version = registry_version(auth->registry);
    auth_forget_projects(auth);
    auth_keys_changed(auth);
}

void auth_keys_changed(struct auth *auth)
{
    auth->generation++;
    auth_forget_tokens(auth);
    auth_check_readers(auth);
}

/* Nobody keeps the tokens of readers: those whose token might not do any more come back with it. */
void auth_reload(struct auth *auth)
{
    uint64_t settings = auth_mark_of_settings(auth->router->cfg);
    if (!auth->registry)
        return;
    auth_keys_changed(auth);
    if (settings != auth->settings)
        readers_send_back(auth->router);
    auth->settings = settings;
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
static uint64_t auth_address_of(const struct request *req)
{
    struct sockaddr_storage peer;
    if (!connection_address(req->connection, &peer))
        return 1;
    if (peer.ss_family == AF_INET6)
        return auth_mark(slice_of((const char *)&((struct sockaddr_in6 *)&peer)->sin6_addr, 8));
    return auth_mark(slice_of((const char *)&((struct sockaddr_in *)&peer)->sin_addr, 4));
}

static struct auth_failures *auth_failures_of(const struct request *req)
{
    uint64_t address = auth_address_of(req), minute = req->router->now_ms / 60000;
    struct auth_failures *place = &req->router->auth.failures[address / 2 % AUTH_FAILURES];
    if (place->address != address || place->minute != minute)
        *place = (struct auth_failures){.address = address, .minute = minute};
    return place;
}

static bool auth_too_many(const struct auth *auth, const struct auth_failures *failures)
{
    uint64_t most = auth->router->cfg->auth_failures;
    return most && failures->count >= most;
}

/* ---- the token of a request ---- */

static struct token_verdict auth_verify(struct auth *auth, struct slice token, struct slice name)
{
    static const struct texts no_secrets;
    static const struct project nobody;
    const struct config *cfg = auth->router->cfg;
    const struct project *known = auth_project(auth, name), *project = known ? known : &nobody;
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

static void auth_remember(struct auth_token *place, struct token_verdict verdict, uint64_t project)
{
    bool timely = verdict.fault != TOKEN_EARLY && verdict.fault != TOKEN_EXPIRED;
    place->project = project;
    place->fault = timely ? verdict.fault : TOKEN_GOOD;
    place->kind = verdict.kind;
    place->claims = verdict.claims;
    place->key = verdict.key ? auth_mark(slice_str(verdict.key)) : 0;
}

/* SHA256() would look the algorithm up each time, which takes longer than most tokens do. */
static void auth_digest_of(const struct auth *auth, struct slice token, unsigned char digest[DIGEST_BYTES])
{
    if (EVP_DigestInit_ex2(auth->hash, auth->sha256, NULL) != 1 ||
        EVP_DigestUpdate(auth->hash, token.data, token.len) != 1 || EVP_DigestFinal_ex(auth->hash, digest, NULL) != 1)
        fatalx("libcrypto has no SHA-256");
}

/* What is known of a token. Looking at one that is wrong costs work, so an address may not have it done for ever. NULL:
 * it has. The place is the token's until another is looked at. */
static const struct auth_token *auth_look_at(struct request *req, struct slice token, struct slice name)
{
    struct auth *auth = &req->router->auth;
    unsigned char digest[DIGEST_BYTES];
    uint64_t project = auth_mark(name), number;
    auth_digest_of(auth, token, digest);
    memcpy(&number, digest, sizeof number);
    struct auth_token *place = &auth->tokens[number % AUTH_TOKENS];
    if (place->project == project && memcmp(place->digest, digest, sizeof digest) == 0)
        return place;
    struct auth_failures *failures = auth_failures_of(req);
    if (auth_too_many(auth, failures))
        return NULL;
    struct token_verdict verdict = auth_verify(auth, token, name);
    failures->count += verdict.fault != TOKEN_GOOD;
    auth_forget_token(place);
    memcpy(place->digest, digest, sizeof digest);
    auth_remember(place, verdict, project);
    return place;
}

/* Its key would be one that the project has elsewhere, and that may not be known yet. */
static bool auth_is_foreign(const struct auth_token *known, const struct project *project)
{
    return known->fault == TOKEN_UNVERIFIED && known->kind != KEY_SECRET && project && project->jwks_url;
}

static enum token_fault auth_fault_of(struct auth *auth, const struct auth_token *known, const struct project *project)
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
    /* What is written to a project as a whole names its streams in the body, and each of them is checked. */
    bool whole = resource.len == project.len;
    bool fits = whole ? scope == SCOPE_WRITE : auth_stream_matches(claims->stream_id, resource, project);
    return fits ? TOKEN_GOOD : TOKEN_OTHER_STREAM;
}

static void auth_take_reader_key(const struct http_head *head, struct grant *grant)
{
    struct buf room = {0};
    struct slice key = query_text(head->query, SLICE("rk"), &room);
    if (key.len == sizeof "rk_" - 1 + 32 && memcmp(key.data, "rk_", 3) == 0)
        memcpy(grant->reader_key, key.data + 3, 32);
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
    const struct project *project = auth_project(auth, name);
    struct suspended_list *list = NULL;
    if (!project || !project->jwks_url)
        return NULL;
    if (auth_find_token(req, head, resource, &room, &token) == TOKEN_GOOD) {
        const struct auth_token *known = auth_look_at(req, token, name);
        if (known && auth_is_foreign(known, project))
            list = key_source_wait(&auth->sources, project->jwks_url);
    }
    buf_wipe(&room);
    return list;
}

/* What the token is good for, and what is wrong with it. */
static enum token_fault auth_use_token(struct request *req, const struct http_head *head, struct slice resource,
                                       enum scope scope, struct grant *grant)
{
    struct auth *auth = &req->router->auth;
    struct buf room = {0};
    struct slice name = project_of(resource), token;
    const struct auth_token *known = NULL;
    enum token_fault fault = auth_find_token(req, head, resource, &room, &token);
    if (fault == TOKEN_GOOD) {
        known = auth_look_at(req, token, name);
        fault = auth_fault_of(auth, known, auth_project(auth, name));
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
    grant->project = known->project;
    grant->narrow = known->claims.stream_id != NULL;
    return TOKEN_GOOD;
}

static enum error auth_check_into(struct request *req, const struct http_head *head, struct slice resource,
                                  enum scope scope, struct grant *grant, struct detail *detail)
{
    const struct project *project = auth_project(&req->router->auth, project_of(resource));
    *grant = (struct grant){.checked = true, .needed = scope, .shared = project && project->is_public};
    auth_take_reader_key(head, grant);
    grant->fault = auth_use_token(req, head, resource, scope, grant);
    if (grant->fault != TOKEN_GOOD && scope == SCOPE_READ) {
        grant->anonymous = !grant->shared;
        return ERR_NONE;
    }
    return auth_told(grant, token_fault_error(grant->fault), detail);
}

static bool auth_no_token(enum token_fault fault)
{
    return fault == TOKEN_ABSENT || fault == TOKEN_SCHEME;
}

/* Another token would do. */
static bool auth_wants_token(enum token_fault fault)
{
    return fault != TOKEN_OTHER_ORIGIN && fault != TOKEN_EVERYWHERE;
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
        return auth_no_token(grant->fault)     ? METRIC_REFUSED_MISSING
               : grant->fault == TOKEN_EXPIRED ? METRIC_REFUSED_EXPIRED
                                               : METRIC_REFUSED_INVALID;
    }
}

enum error auth_told(const struct grant *grant, enum error error, struct detail *detail)
{
    enum token_fault fault = grant->fault;
    if (fault == TOKEN_GOOD || (error != ERR_UNAUTHORIZED && error != token_fault_error(fault)))
        return error;
    const char *scope = fault == TOKEN_WEAK ? scope_name(grant->needed) : "";
    return detail_say(detail, token_fault_error(fault), "%s%s%s", token_fault_text(fault),
                      *scope ? "; this needs " : "", scope);
}

void auth_challenge(const struct grant *grant, enum error error, struct buf *head)
{
    char text[400] = "Bearer realm=\"streamd\"";
    size_t len = strlen(text);
    bool told = grant->fault != TOKEN_GOOD && token_fault_error(grant->fault) == error;
    if (error != ERR_UNAUTHORIZED && (error != ERR_FORBIDDEN || !told || !auth_wants_token(grant->fault)))
        return;
    if (told && !auth_no_token(grant->fault))
        len += (size_t)snprintf(text + len, sizeof text - len, ", error=\"%s\", error_description=\"%s\"",
                                error == ERR_FORBIDDEN ? "insufficient_scope" : "invalid_token",
                                token_fault_text(grant->fault));
    if (told && grant->fault == TOKEN_WEAK)
        len += (size_t)snprintf(text + len, sizeof text - len, ", scope=\"%s\"", scope_name(grant->needed));
    response_add(head, "WWW-Authenticate", slice_of(text, len));
}

/* What the callback has decided. It has not seen a cookie that does not count, which may be why. */
static enum error auth_check_decision(struct request *req, const struct http_head *head, struct slice resource,
                                      enum scope scope, struct detail *detail)
{
    enum error error = req->decision.error;
    req->grant.checked = true;
    auth_take_reader_key(head, &req->grant);
    if (error == ERR_UNAUTHORIZED && head->headers[HTTP_COOKIE_HEADER].data && !cors_trusts(req, head, resource))
        req->grant.fault = TOKEN_OTHER_ORIGIN;
    if (error == ERR_FORBIDDEN && req->decision.named != NAMED_PATH)
        return detail_say(detail, ERR_FORBIDDEN, "%s", named_refusal(req->decision.named));
    if (error == ERR_NONE && req->decision.scope < scope)
        return ERR_FORBIDDEN;
    return auth_told(&req->grant, error, detail);
}

enum error auth_check(struct request *req, const struct http_head *head, struct slice resource, enum scope scope,
                      struct detail *detail)
{
    req->grant = (struct grant){0};
    if (req->router->callbacks.on && scope != SCOPE_NONE)
        return auth_check_decision(req, head, resource, scope, detail);
    if (!req->router->auth.registry || scope == SCOPE_NONE)
        return ERR_NONE;
    return auth_check_into(req, head, resource, scope, &req->grant, detail);
}

/* A callback was asked about each before. A token that may write was found for the path: it must be good for these. */
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

bool auth_shared(const struct grant *grant, const struct wire_stream *stream)
{
    if (!grant->checked || grant->shared || (stream->flags & WIRE_STREAM_PUBLIC))
        return true;
    return *grant->reader_key && slice_equal(slice_str(grant->reader_key), stream->reader_key);
}

uint64_t auth_left_ms(const struct grant *grant)
{
    uint64_t now = auth_now_s();
    if (!grant->expires_s)
        return UINT64_MAX;
    uint64_t left = grant->expires_s > now ? grant->expires_s - now : 0;
    return left < UINT32_MAX ? left * 1000 : UINT64_MAX;
}
