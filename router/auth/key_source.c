/* A key set is fetched when a token comes that no known key verifies, and when what is known is old.
 *
 *               key_source_wait(), _want(), or _keys() of an old one
 *     unknown ---------------------------------------------------> fetching --200, a key set--> known, tried_ms
 *        ^                                                           |                            |
 *        |                                                           +--anything else--> what it had before, tried_ms
 *        +--- another URL takes the place (the least recently used that is not being fetched)
 *
 * Waiting requests go on in both cases: with new keys their token may be good; without keys the answer is that it
 * cannot be verified now (unknown), or that it is wrong. Until auth.jwks_retry has passed since tried_ms nothing is
 * fetched again, so that wrong tokens cannot make the router flood another server with requests. Keys that were fetched
 * before stay when the URL does not answer: an outage of that server locks no one out. */
#include "router/auth/key_source.h"

#include <stdlib.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/words.h"
#include "router/router.h"

struct key_source {
    struct key_sources *all;
    char *url; /* NULL: the place is free */
    struct jwks keys;
    uint64_t text;       /* a hash of what was fetched */
    uint64_t fetched_ms; /* 0: never */
    uint64_t tried_ms;   /* when the last try ended */
    uint64_t used_ms;
    const char *failure; /* why the last try had none, or NULL */
    bool fetching;
    struct suspended_list waiting;
};

void key_sources_init(struct key_sources *sources, struct router *router, void (*changed)(struct router *router))
{
    *sources =
        (struct key_sources){.router = router, .changed = changed, .all = xcalloc(KEY_SOURCES, sizeof *sources->all)};
}

/* ---- whom it may be fetched from ---- */

static bool key_source_listed(const char *names, struct slice name)
{
    struct slice each;
    while (words_next(&names, &each))
        if (slice_alike(each, name))
            return true;
    return false;
}

/* http is for hosts that the configuration names; nothing that could be taken for another host passes. */
bool key_source_allowed(const struct config *cfg, const char *url)
{
    const char *host = strstr(url, "://");
    bool safe = strncmp(url, "https://", 8) == 0;
    if (!host)
        return false;
    host += 3;
    size_t authority = strcspn(host, "/?#\\"), len = strcspn(host, ":/?#\\");
    if (memchr(host, '@', authority))
        return false;
    if (*host == '[') {
        const char *end = memchr(host, ']', authority);
        len = end ? (size_t)(end - host) + 1 : authority;
    }
    return key_source_listed(cfg->auth_jwks_hosts, slice_of(host, len)) ||
           (safe && key_source_listed(cfg->auth_jwks_hosts, SLICE("*")));
}

/* ---- the places ---- */

static void key_source_clear(struct key_source *source)
{
    free(source->url);
    jwks_clear(&source->keys);
    *source = (struct key_source){0};
}

void key_sources_clear(struct key_sources *sources)
{
    for (unsigned i = 0; sources->all && i < KEY_SOURCES; i++)
        key_source_clear(&sources->all[i]);
    free(sources->all);
    *sources = (struct key_sources){0};
}

/* The place of this URL, perhaps that of the one that was used least recently. NULL: all of them are being fetched. */
static struct key_source *key_source_find(struct key_sources *sources, const char *url)
{
    struct key_source *oldest = NULL;
    for (unsigned i = 0; i < KEY_SOURCES; i++) {
        struct key_source *source = &sources->all[i];
        if (source->url && strcmp(source->url, url) == 0) {
            source->used_ms = sources->router->now_ms;
            return source;
        }
        if (!source->fetching && (!oldest || source->used_ms < oldest->used_ms))
            oldest = source;
    }
    if (!oldest)
        return NULL;
    key_source_clear(oldest);
    *oldest = (struct key_source){.all = sources, .url = xstrdup(url), .used_ms = sources->router->now_ms};
    return oldest;
}

/* ---- fetching ---- */

/* Logs the keys that were left out of a set: a key that is missing silently is hard to find. */
static void key_source_tell_left_off(const struct key_source *source)
{
    if (source->keys.left_off)
        log_warn("jwksUrl %s has %zu keys; only the first %zu are used (auth.jwks_keys)", source->url,
                 source->keys.count + source->keys.left_off, source->keys.count);
}

static const char *key_source_take(struct key_source *source, const struct http_client_answer *answer, bool *changed)
{
    struct jwks keys;
    const struct router *r = source->all->router;
    uint64_t text = hash_add(HASH_SEED, answer->body);
    *changed = false;
    if (answer->large)
        return "it is larger than auth.jwks_size";
    if (answer->failure)
        return answer->failure;
    if (answer->status != 200)
        return "its status is not 200";
    if (jwks_parse(answer->body, r->cfg->auth_jwks_keys, false, &keys))
        return "it is not a JSON Web Key Set";
    *changed = !source->fetched_ms || text != source->text;
    jwks_clear(&source->keys);
    source->keys = keys;
    source->text = text;
    source->fetched_ms = r->now_ms;
    if (*changed)
        key_source_tell_left_off(source);
    return NULL;
}

static void key_source_fetched(void *ctx, const struct http_client_answer *answer)
{
    struct key_source *source = ctx;
    bool changed;
    const char *failure = key_source_take(source, answer, &changed);
    if (failure && (!source->failure || strcmp(failure, source->failure) != 0))
        log_warn("jwksUrl %s: %s", source->url, failure);
    if (!failure && source->failure)
        log_info("jwksUrl %s can be fetched again", source->url);
    source->fetching = false;
    source->tried_ms = source->all->router->now_ms;
    source->failure = failure;
    if (changed)
        source->all->changed(source->all->router);
    suspended_resume(&source->waiting);
}

/* True: it is being fetched. Not more often than auth.jwks_retry says, whatever tokens come. */
static bool key_source_fetch(struct key_source *source)
{
    struct router *r = source->all->router;
    if (source->fetching)
        return true;
    if ((source->tried_ms && r->now_ms < source->tried_ms + r->cfg->auth_jwks_retry) ||
        !key_source_allowed(r->cfg, source->url))
        return false;
    source->fetching = true;
    http_client_send(&r->http_client, &(struct http_client_request){
                                          .url = source->url,
                                          .timeout_ms = r->cfg->auth_jwks_timeout,
                                          .most = r->cfg->auth_jwks_size,
                                          .done = key_source_fetched,
                                          .ctx = source,
                                      });
    return true;
}

const struct jwks *key_source_keys(struct key_sources *sources, const char *url)
{
    static const struct jwks none;
    struct key_source *source = key_source_find(sources, url);
    if (!source || !key_source_allowed(sources->router->cfg, url))
        return &none;
    if (source->fetched_ms && sources->router->now_ms > source->fetched_ms + sources->router->cfg->auth_jwks_cache)
        (void)key_source_fetch(source);
    return &source->keys;
}

struct suspended_list *key_source_wait(struct key_sources *sources, const char *url)
{
    struct key_source *source = key_source_find(sources, url);
    return source && key_source_fetch(source) ? &source->waiting : NULL;
}

void key_source_want(struct key_sources *sources, const char *url)
{
    struct key_source *source = key_source_find(sources, url);
    if (source)
        (void)key_source_fetch(source);
}

bool key_source_unknown(struct key_sources *sources, const char *url)
{
    const struct key_source *source = key_source_find(sources, url);
    return !source || !source->fetched_ms;
}
