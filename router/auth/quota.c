#include "router/auth/quota.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/hash.h"
#include "common/mem.h"
#include "router/conn/answer.h"
#include "router/dispatch.h"
#include "router/router.h"

#define READERS_RETRY_S 5
#define APPENDS_MAX 1000000000u /* a second: more is no limit, but would overflow */
#define APPEND 1000             /* one, in tally.appends_left */

struct tally_part {
    uint64_t streams, bytes;
    bool heard;
};

/* ---- the table ---- */

void tallies_init(struct tallies *tallies, struct router *router)
{
    *tallies = (struct tallies){.router = router, .buckets = 64};
    tallies->table = xcalloc(tallies->buckets, sizeof *tallies->table);
}

static struct tally **quota_chain(const struct tallies *tallies, uint64_t hash)
{
    return &tallies->table[(size_t)(hash ^ hash >> 32) & (tallies->buckets - 1)];
}

static void quota_grow(struct tallies *tallies)
{
    struct tally **old = tallies->table;
    size_t buckets = tallies->buckets;
    tallies->buckets *= 2;
    tallies->table = xcalloc(tallies->buckets, sizeof *tallies->table);
    for (size_t i = 0; i < buckets; i++)
        for (struct tally *u = old[i], *next; u; u = next) {
            struct tally **at = quota_chain(tallies, u->hash);
            next = u->next;
            u->next = *at;
            *at = u;
        }
    free(old);
}

static struct tally *quota_find(const struct tallies *tallies, struct slice project)
{
    uint64_t hash = hash_add(HASH_SEED, project);
    for (struct tally *tally = *quota_chain(tallies, hash); tally; tally = tally->next)
        if (tally->hash == hash && slice_equal(slice_str(tally->project), project))
            return tally;
    return NULL;
}

static void quota_watch(const struct tallies *tallies, const struct tally *tally, unsigned shard)
{
    shards_watch_usage(&tallies->router->shards, shard,
                &(struct wire_watch_usage){.project = slice_str(tally->project), .readers = tally->readers});
}

static struct tally *quota_add(struct tallies *tallies, struct slice project)
{
    unsigned shards = tallies->router->shards.layout.shards;
    struct tally *tally = xcalloc(1, sizeof *tally);
    if (++tallies->count > tallies->buckets)
        quota_grow(tallies);
    tally->hash = hash_add(HASH_SEED, project);
    struct tally **at = quota_chain(tallies, tally->hash);
    tally->project = xslicedup(project);
    tally->parts = xcalloc(shards, sizeof *tally->parts);
    tally->unheard = shards;
    tally->refilled_ms = tallies->router->now_ms;
    tally->appends_left = INT64_MAX / 2; /* as many as there may be */
    tally->next = *at;
    *at = tally;
    for (unsigned shard = 0; shard < shards; shard++)
        quota_watch(tallies, tally, shard);
    return tally;
}

struct tally *tally_of(struct tallies *tallies, struct slice project)
{
    if (!projects_find(&tallies->router->auth.projects, project))
        return NULL;
    struct tally *tally = quota_find(tallies, project);
    return tally ? tally : quota_add(tallies, project);
}

/* ---- shards ---- */

void tallies_shard_up(struct tallies *tallies, unsigned shard)
{
    for (size_t i = 0; i < tallies->buckets; i++)
        for (const struct tally *tally = tallies->table[i]; tally; tally = tally->next)
            quota_watch(tallies, tally, shard);
}

void tallies_heard(struct tallies *tallies, unsigned shard, const struct wire_usage *m)
{
    struct tally *tally = quota_find(tallies, m->project);
    if (!tally)
        return;
    struct tally_part *part = &tally->parts[shard];
    tally->streams += m->streams - part->streams;
    tally->bytes += m->bytes - part->bytes;
    tally->appends_left -= (int64_t)m->appends * APPEND;
    if (shard == shards_of(&tallies->router->shards, m->project))
        tally->readers_elsewhere = m->readers;
    part->streams = m->streams;
    part->bytes = m->bytes;
    if (part->heard)
        return;
    part->heard = true;
    if (!--tally->unheard)
        suspended_resume(&tally->waiting);
}

/* Readers are counted together by the one shard that their project's name belongs to. */
void tallies_tell(struct tallies *tallies)
{
    struct tally *tally;
    while ((tally = tallies->changed)) {
        tallies->changed = tally->changed_next;
        tally->changed = false;
        quota_watch(tallies, tally, shards_of(&tallies->router->shards, slice_str(tally->project)));
    }
}

/* ---- live readers ---- */

static void quota_readers_changed(struct tallies *tallies, struct tally *tally)
{
    if (tally->changed)
        return;
    tally->changed = true;
    tally->changed_next = tallies->changed;
    tallies->changed = tally;
}

struct tally *tally_reader(struct tallies *tallies, struct slice name)
{
    struct tally *tally = tally_of(tallies, project_of(name));
    if (!tally)
        return NULL;
    tally->readers++;
    quota_readers_changed(tallies, tally);
    return tally;
}

void tally_reader_gone(struct tallies *tallies, struct tally *tally)
{
    if (!tally)
        return;
    tally->readers--;
    quota_readers_changed(tallies, tally);
}

/* ---- quotas ---- */

/* The quotas of the project of `name` and what it uses. False: it has none. What is refused after this, is refused for
 * them. */
static bool quota_look_up(struct request *req, struct slice name, struct quotas *quotas, struct tally **tally)
{
    struct router *r = req->router;
    struct slice project = project_of(name);
    const struct project *configured = projects_find(&r->auth.projects, project);
    if (!configured || !project_has_quotas(&configured->quotas))
        return false;
    *quotas = configured->quotas;
    if (quotas->appends > APPENDS_MAX)
        quotas->appends = APPENDS_MAX;
    *tally = req->tally = tally_of(&r->tallies, project);
    return true;
}

struct suspended_list *quota_wait(struct request *req, struct slice name)
{
    struct quotas quotas;
    struct tally *tally;
    return quota_look_up(req, name, &quotas, &tally) && tally->unheard ? &tally->waiting : NULL;
}

struct suspended_list *tally_wait(struct request *req, struct slice project)
{
    struct tally *tally = tally_of(&req->router->tallies, project);
    return tally && tally->unheard ? &tally->waiting : NULL;
}

/* A second's worth may come at once. */
static void quota_refill(struct tally *tally, const struct quotas *quotas, uint64_t now_ms)
{
    uint64_t passed = now_ms - tally->refilled_ms;
    int64_t most = (int64_t)quotas->appends * APPEND;
    tally->refilled_ms = now_ms;
    tally->appends_left += passed < 1000000 ? (int64_t)(passed * quotas->appends) : most;
    if (tally->appends_left > most)
        tally->appends_left = most;
}

static bool quota_too_many_bytes(const struct tally *tally, const struct quotas *quotas, size_t more)
{
    return quotas->bytes && more && tally->bytes + more > quotas->bytes;
}

enum error quota_append(struct request *req, struct slice name, size_t bytes)
{
    struct quotas quotas;
    struct tally *tally;
    if (!quota_look_up(req, name, &quotas, &tally))
        return ERR_NONE;
    if (quota_too_many_bytes(tally, &quotas, bytes))
        return ERR_QUOTA_EXCEEDED;
    if (!quotas.appends)
        return ERR_NONE;
    quota_refill(tally, &quotas, req->router->now_ms);
    if (tally->appends_left < APPEND)
        return ERR_QUOTA_RATE_EXCEEDED;
    tally->appends_left -= APPEND;
    return ERR_NONE;
}

enum error quota_create(struct request *req, struct slice name, size_t bytes)
{
    struct quotas quotas;
    struct tally *tally;
    if (!quota_look_up(req, name, &quotas, &tally))
        return ERR_NONE;
    bool full = (quotas.streams && tally->streams >= quotas.streams) || quota_too_many_bytes(tally, &quotas, bytes);
    return full ? ERR_QUOTA_EXCEEDED : ERR_NONE;
}

enum error quota_read_live(struct request *req, struct slice name)
{
    struct quotas quotas;
    struct tally *tally;
    if (!quota_look_up(req, name, &quotas, &tally) || !quotas.readers)
        return ERR_NONE;
    return tally->readers + tally->readers_elsewhere >= quotas.readers ? ERR_QUOTA_RATE_EXCEEDED : ERR_NONE;
}

/* ---- saying so ---- */

static uint64_t quota_left(uint64_t quota, uint64_t used)
{
    return used < quota ? quota - used : 0;
}

/* One quota in the two fields of draft-ietf-httpapi-ratelimit-headers; `parameters` end the policy's. */
static void quota_add_quota(char policy[256], char limit[256], const char *name, uint64_t quota, uint64_t remaining,
                            const char *parameters, uint64_t reset_s)
{
    size_t policy_len = strlen(policy), limit_len = strlen(limit);
    const char *comma = policy_len ? ", " : "";
    if (!quota)
        return;
    snprintf(policy + policy_len, 256 - policy_len, "%s\"%s\";q=%llu%s", comma, name, (unsigned long long)quota,
             parameters);
    snprintf(limit + limit_len, 256 - limit_len, "%s\"%s\";r=%llu", comma, name, (unsigned long long)remaining);
    limit_len = strlen(limit);
    if (!remaining && reset_s)
        snprintf(limit + limit_len, 256 - limit_len, ";t=%llu", (unsigned long long)reset_s);
}

static uint64_t quota_seconds_to_an_append(const struct tally *tally, const struct quotas *quotas)
{
    uint64_t missing = tally->appends_left < APPEND ? (uint64_t)(APPEND - tally->appends_left) : 0;
    uint64_t second = quotas->appends * APPEND;
    return second ? (missing + second - 1) / second : 0;
}

/* Names the quota that is in the way: an append meets that of bytes, all else that of streams first. */
static void quota_say(struct detail *detail, const struct request *req, enum error error, const struct quotas *quotas,
                      const struct tally *tally, bool by_readers)
{
    bool appends = req->stats.route == ROUTE_STREAM && req->stats.method == HTTP_POST;
    bool by_streams = !appends && quotas->streams && tally->streams >= quotas->streams;
    bool rate = error != ERR_QUOTA_EXCEEDED;
    uint64_t quota = rate         ? by_readers ? quotas->readers : quotas->appends
                     : by_streams ? quotas->streams
                                  : quotas->bytes;
    const char *what = rate ? by_readers ? "live readers" : "appends a second" : by_streams ? "streams" : "bytes";
    (void)detail_say(detail, error, "the project's quota of %llu %s is used up", (unsigned long long)quota, what);
}

void quota_refuse(struct request *req, enum error error)
{
    struct quotas quotas;
    struct tally *tally;
    char policy[256] = "", limit[256] = "";
    struct detail detail = {0};
    struct buf *head = answer_error_begin(req, error);
    if (quota_look_up(req, slice_str(req->tally->project), &quotas, &tally)) {
        uint64_t readers = tally->readers + tally->readers_elsewhere,
                 wait_s = quota_seconds_to_an_append(tally, &quotas);
        uint64_t appends = tally->appends_left > 0 ? (uint64_t)tally->appends_left / APPEND : 0;
        quota_add_quota(policy, limit, "streams", quotas.streams, quota_left(quotas.streams, tally->streams), "", 0);
        quota_add_quota(policy, limit, "bytes", quotas.bytes, quota_left(quotas.bytes, tally->bytes), "", 0);
        quota_add_quota(policy, limit, "appends", quotas.appends, appends, ";w=1", wait_s);
        quota_add_quota(policy, limit, "readers", quotas.readers, quota_left(quotas.readers, readers), "", 0);
        response_add(head, "RateLimit-Policy", slice_str(policy));
        response_add(head, "RateLimit", slice_str(limit));
        bool by_readers = quotas.readers && readers >= quotas.readers && !wait_s;
        quota_say(&detail, req, error, &quotas, tally, by_readers);
        if (!error_retry_after(error)) /* the rate's depends on which one it is */
            response_add_number(head, "Retry-After", by_readers ? READERS_RETRY_S : wait_s);
    }
    answer_error_end(req, error, detail.text);
}
