/* Shards report usage unasked: the first request that needs a project's usage makes all shards watch it, and from then
 * on each shard reports its part whenever that has changed (WATCH_USAGE, USAGE).
 *
 *     streams, bytes      the sum over all shards; a shard that starts again says its part again, as a whole
 *     appends             counted by each router (quota.c); a shard says what other routers have appended there since
 *                         it was asked to: a router that meets a project begins with a full bucket
 *     readers             counted by each router, and told to the one shard that the project's name belongs to; that
 *                         shard says how many the other routers have
 *
 * A shard that is away keeps the part that it said last. Reports about readers that were lost
 * while it was away are sent again when it is up. */
#include "router/auth/project_usage.h"

#include "common/mem.h"
#include "common/project.h"
#include "common/wire.h"
#include "router/router.h"

#define APPENDS_MAX UINT64_C(1000000000) /* a second: more is no limit, but would overflow */

struct project_usage_part {
    uint64_t streams, bytes;
    bool said;
};

static struct slice project_usage_key(const struct table_node *node)
{
    return slice_str(TABLE_OWNER(node, struct project_usage, node)->project);
}

void project_usages_init(struct project_usages *usages, struct router *router)
{
    *usages = (struct project_usages){.router = router};
    table_init(&usages->table, project_usage_key);
}

static struct project_usage *project_usage_find(const struct project_usages *usages, struct slice project)
{
    struct table_node *node = table_find(&usages->table, project);
    return node ? TABLE_OWNER(node, struct project_usage, node) : NULL;
}

static void project_usage_watch(const struct project_usages *usages, const struct project_usage *usage, unsigned shard)
{
    shards_watch_usage(&usages->router->shards, shard,
                       &(struct wire_watch_usage){.project = slice_str(usage->project), .readers = usage->readers});
}

static struct project_usage *project_usage_add(struct project_usages *usages, struct slice project)
{
    unsigned shards = usages->router->shards.layout.shards;
    struct project_usage *usage = xcalloc(1, sizeof *usage);
    usage->project = xslicedup(project);
    usage->parts = xcalloc(shards, sizeof *usage->parts);
    usage->missing = shards;
    usage->refilled_ms = usages->router->now_ms;
    usage->appends_left = INT64_MAX / 2; /* as many as there may be */
    table_add(&usages->table, &usage->node);
    for (unsigned shard = 0; shard < shards; shard++)
        project_usage_watch(usages, usage, shard);
    return usage;
}

/* The registry is asked each time: a project that is deleted has no usage from then on. */
struct project_usage *project_usage_of(struct project_usages *usages, struct slice project)
{
    if (!projects_find(&usages->router->auth.projects, project))
        return NULL;
    struct project_usage *usage = project_usage_find(usages, project);
    return usage ? usage : project_usage_add(usages, project);
}

struct suspended_list *project_usage_wait(struct project_usages *usages, struct slice project)
{
    struct project_usage *usage = project_usage_of(usages, project);
    return usage && usage->missing ? &usage->waiting : NULL;
}

/* ---- appends ---- */

/* A second's worth may come at once. */
void project_usage_refill(struct project_usage *usage, const struct quotas *quotas, uint64_t now_ms)
{
    uint64_t passed = now_ms - usage->refilled_ms,
             second = quotas->appends < APPENDS_MAX ? quotas->appends : APPENDS_MAX;
    int64_t most = (int64_t)second * QUOTA_APPEND;
    usage->refilled_ms = now_ms;
    usage->appends_left += passed < 1000000 ? (int64_t)(passed * second) : most;
    if (usage->appends_left > most)
        usage->appends_left = most;
}

/* The bucket is refilled first: what it would lose at its brim is no credit for appends that come later. */
static void project_usage_appended_elsewhere(const struct project_usages *usages, struct project_usage *usage,
                                             uint64_t appends)
{
    const struct project *project = projects_find(&usages->router->auth.projects, slice_str(usage->project));
    if (!project || !project->quotas.appends)
        return;
    project_usage_refill(usage, &project->quotas, usages->router->now_ms);
    usage->appends_left -= (int64_t)appends * QUOTA_APPEND;
}

/* ---- shards ---- */

void project_usages_shard_up(struct project_usages *usages, unsigned shard)
{
    for (struct table_node *node = NULL; (node = table_next(&usages->table, node));)
        project_usage_watch(usages, TABLE_OWNER(node, struct project_usage, node), shard);
}

void project_usages_on_usage(struct project_usages *usages, unsigned shard, const struct wire_usage *m)
{
    struct project_usage *usage = project_usage_find(usages, m->project);
    if (!usage)
        return;
    struct project_usage_part *part = &usage->parts[shard];
    usage->streams += m->streams - part->streams;
    usage->bytes += m->bytes - part->bytes;
    if (m->appends)
        project_usage_appended_elsewhere(usages, usage, m->appends);
    if (shard == shards_of(&usages->router->shards, m->project))
        usage->readers_elsewhere = m->readers;
    part->streams = m->streams;
    part->bytes = m->bytes;
    if (part->said)
        return;
    part->said = true;
    if (!--usage->missing)
        suspended_resume(&usage->waiting);
}

void project_usages_send(struct project_usages *usages)
{
    struct project_usage *usage;
    while ((usage = usages->changed)) {
        usages->changed = usage->changed_next;
        usage->changed = false;
        project_usage_watch(usages, usage, shards_of(&usages->router->shards, slice_str(usage->project)));
    }
}

/* ---- live readers ---- */

/* Told once a turn, however many come and go. */
static void project_usage_readers_changed(struct project_usages *usages, struct project_usage *usage)
{
    if (usage->changed)
        return;
    usage->changed = true;
    usage->changed_next = usages->changed;
    usages->changed = usage;
}

struct project_usage *project_usage_reader(struct project_usages *usages, struct slice name)
{
    struct project_usage *usage = project_usage_of(usages, project_of(name));
    if (!usage)
        return NULL;
    usage->readers++;
    project_usage_readers_changed(usages, usage);
    return usage;
}

void project_usage_reader_gone(struct project_usages *usages, struct project_usage *usage)
{
    if (!usage)
        return;
    usage->readers--;
    project_usage_readers_changed(usages, usage);
}
