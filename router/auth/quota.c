/* Quotas: a limit is compared with what the project uses, as far as this router knows.
 *
 *     quota_wait()     once after the start of a router or the first use of a project: until all shards have said
 *                      what they hold
 *     quota_append()   bytes, then the rate. The rate is a bucket of one second: refilled by the clock, emptied by the
 *     quota_create()   appends of this router and, when the shards say so, by those of the others; so it may go below 0
 *     quota_read_live()
 *     quota_refuse()   the answer, with what is left of each quota and when to come back
 *
 * Limits are soft: requests that are under way at the same time, also at other routers, do not see each other. */
#include "router/auth/quota.h"

#include <stdio.h>
#include <string.h>

#include "common/project.h"
#include "router/auth/project_usage.h"
#include "router/conn/answer.h"
#include "router/router.h"

#define READERS_RETRY_S 5

/* The quotas of the project of `name` and what it uses. False: it has none. A request that is refused after this call
 * is refused because of them. */
static bool quota_look_up(struct request *req, struct slice name, struct quotas *quotas, struct project_usage **usage)
{
    struct router *r = req->router;
    struct slice project = project_of(name);
    const struct project *configured = projects_find(&r->auth.projects, project);
    if (!configured || !project_has_quotas(&configured->quotas))
        return false;
    *quotas = configured->quotas;
    *usage = req->usage = project_usage_of(&r->usages, project);
    return true;
}

struct suspended_list *quota_wait(struct request *req, struct slice name)
{
    struct quotas quotas;
    struct project_usage *usage;
    return quota_look_up(req, name, &quotas, &usage) && usage->missing ? &usage->waiting : NULL;
}

static bool quota_too_many_bytes(const struct project_usage *usage, const struct quotas *quotas, size_t more)
{
    return quotas->bytes && more && usage->bytes + more > quotas->bytes;
}

enum error quota_append(struct request *req, struct slice name, size_t bytes)
{
    return quota_batch(req, name, bytes, 1);
}

/* Several are let in where one is: the bucket then goes below 0. */
enum error quota_batch(struct request *req, struct slice name, size_t bytes, size_t appends)
{
    struct quotas quotas;
    struct project_usage *usage;
    if (!quota_look_up(req, name, &quotas, &usage))
        return ERR_NONE;
    if (quota_too_many_bytes(usage, &quotas, bytes))
        return ERR_QUOTA_EXCEEDED;
    if (!quotas.appends)
        return ERR_NONE;
    project_usage_refill(usage, &quotas, req->router->now_ms);
    if (usage->appends_left < QUOTA_APPEND)
        return ERR_QUOTA_RATE_EXCEEDED;
    usage->appends_left -= (int64_t)appends * QUOTA_APPEND;
    return ERR_NONE;
}

enum error quota_create(struct request *req, struct slice name, size_t bytes)
{
    struct quotas quotas;
    struct project_usage *usage;
    if (!quota_look_up(req, name, &quotas, &usage))
        return ERR_NONE;
    bool full = (quotas.streams && usage->streams >= quotas.streams) || quota_too_many_bytes(usage, &quotas, bytes);
    return full ? ERR_QUOTA_EXCEEDED : ERR_NONE;
}

enum error quota_read_live(struct request *req, struct slice name)
{
    struct quotas quotas;
    struct project_usage *usage;
    if (!quota_look_up(req, name, &quotas, &usage) || !quotas.readers)
        return ERR_NONE;
    return usage->readers + usage->readers_elsewhere >= quotas.readers ? ERR_QUOTA_RATE_EXCEEDED : ERR_NONE;
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

static uint64_t quota_seconds_to_an_append(const struct project_usage *usage, const struct quotas *quotas)
{
    uint64_t missing = usage->appends_left < QUOTA_APPEND ? (uint64_t)(QUOTA_APPEND - usage->appends_left) : 0;
    uint64_t second = quotas->appends * QUOTA_APPEND;
    return second ? (missing + second - 1) / second : 0;
}

/* Names the quota that is in the way: an append meets that of bytes, all else that of streams first. */
static void quota_say(struct detail *detail, const struct request *req, enum error error, const struct quotas *quotas,
                      const struct project_usage *usage, bool by_readers)
{
    bool appends =
        (req->stats.route == ROUTE_STREAM && req->stats.method == HTTP_POST) || req->stats.route == ROUTE_BATCH;
    bool by_streams = !appends && quotas->streams && usage->streams >= quotas->streams;
    bool rate = error != ERR_QUOTA_EXCEEDED;
    uint64_t quota = rate         ? by_readers ? quotas->readers : quotas->appends
                     : by_streams ? quotas->streams
                                  : quotas->bytes;
    const char *what = rate ? by_readers ? "live readers" : "appends a second" : by_streams ? "streams" : "bytes";
    (void)detail_say(detail, error, "the project's quota of %llu %s is used up", (unsigned long long)quota, what);
}

struct buf *quota_refuse_begin(struct request *req, enum error error, struct detail *detail)
{
    struct quotas quotas;
    struct project_usage *usage;
    char policy[256] = "", limit[256] = "";
    struct buf *head = answer_error_begin(req, error);
    if (quota_look_up(req, slice_str(req->usage->project), &quotas, &usage)) {
        uint64_t readers = usage->readers + usage->readers_elsewhere,
                 wait_s = quota_seconds_to_an_append(usage, &quotas);
        uint64_t appends = usage->appends_left > 0 ? (uint64_t)usage->appends_left / QUOTA_APPEND : 0;
        quota_add_quota(policy, limit, "streams", quotas.streams, quota_left(quotas.streams, usage->streams), "", 0);
        quota_add_quota(policy, limit, "bytes", quotas.bytes, quota_left(quotas.bytes, usage->bytes), "", 0);
        quota_add_quota(policy, limit, "appends", quotas.appends, appends, ";w=1", wait_s);
        quota_add_quota(policy, limit, "readers", quotas.readers, quota_left(quotas.readers, readers), "", 0);
        response_add(head, "RateLimit-Policy", slice_str(policy));
        response_add(head, "RateLimit", slice_str(limit));
        bool by_readers = quotas.readers && readers >= quotas.readers && !wait_s;
        quota_say(detail, req, error, &quotas, usage, by_readers);
        if (!error_retry_after(error)) /* the rate's depends on which one it is */
            response_add_number(head, "Retry-After", by_readers ? READERS_RETRY_S : wait_s);
    }
    return head;
}

void quota_refuse(struct request *req, enum error error)
{
    struct detail detail = {0};
    (void)quota_refuse_begin(req, error, &detail);
    answer_error_end(req, error, detail.text);
}
