/* How much projects use, over all shards and routers. Only projects of the registry are kept track of, and of them
 * those that have quotas or live readers, or whose usage was asked for. */
#ifndef ROUTER_AUTH_PROJECT_USAGE_H
#define ROUTER_AUTH_PROJECT_USAGE_H

#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"
#include "common/table.h"
#include "router/conn/suspend.h"

struct quotas;
struct router;
struct wire_usage;

#define QUOTA_APPEND 1000 /* one append, in project_usage.appends_left */

/* What one project uses. Kept as long as the process lives. */
struct project_usage {
    struct table_node node;
    char *project;
    struct project_usage_part *parts; /* a shard each */
    unsigned missing;                 /* shards that have not said anything yet; until then the rest is too little */
    uint64_t streams, bytes;
    uint64_t readers, readers_elsewhere; /* of this router and of the others */
    int64_t appends_left;                /* of a second, in thousandths; refilled at refilled_ms */
    uint64_t refilled_ms;
    struct suspended_list waiting; /* requests, until no shard is missing */
    struct project_usage *changed_next;
    bool changed; /* readers, since the shard was told */
};

struct project_usages {
    struct router *router;
    struct table table; /* by project */
    struct project_usage *changed;
};

void project_usages_init(struct project_usages *usages, struct router *router);

/* Of a project that the registry has; NULL: it has none of this name. */
struct project_usage *project_usage_of(struct project_usages *usages, struct slice project);

/* What a request that asks for the usage has to wait for; NULL: nothing. */
struct suspended_list *project_usage_wait(struct project_usages *usages, struct slice project) MUSTUSE;

/* Adds what the time since the last call has made due to appends_left, up to a second's worth. The project has a quota
 * of appends. */
void project_usage_refill(struct project_usage *usage, const struct quotas *quotas, uint64_t now_ms);

/* A live reader of this stream begins; NULL if nobody counts it. And it ends (NULL: nothing). */
struct project_usage *project_usage_reader(struct project_usages *usages, struct slice name);
void project_usage_reader_gone(struct project_usages *usages, struct project_usage *usage);

/* A shard is there (again), and watches nothing; a shard has said what it holds. */
void project_usages_shard_up(struct project_usages *usages, unsigned shard);
void project_usages_on_usage(struct project_usages *usages, unsigned shard, const struct wire_usage *m);

/* Tells shards of the live readers that have come and gone in this turn. */
void project_usages_send(struct project_usages *usages);

#endif
