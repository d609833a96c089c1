/* A project's usage is the store's sum of flushed rows, plus what memory has beyond it: a stream in memory keeps its
 * project's usage in memory, and changes it at once.
 *
 * Routers enforce quotas, and each knows its own requests before the shard does. So a router gets, after the commit of
 * a turn that changed something, the sums of this shard and what the *other* routers did since. */
#include "shard/streams/usage.h"

#include <stdlib.h>

#include "common/mem.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/store_usage.h"

/* Readers and appends of each router, for the others. */
struct usage_watch {
    bool watching[PEERS_ROUTERS_MAX];
    uint64_t readers[PEERS_ROUTERS_MAX];
    uint64_t appends[PEERS_ROUTERS_MAX]; /* since the others last got a USAGE */
};

/* ---- the table ---- */

static struct usage *usage_of_node(const struct table_node *node)
{
    return TABLE_OWNER(node, struct usage, by_project);
}

static struct slice usage_name_of(const struct usage *usage)
{
    return slice_of(usage->project, usage->project_len);
}

static struct slice usage_key(const struct table_node *node)
{
    return usage_name_of(usage_of_node(node));
}

void usages_init(struct usages *usages, struct store *store)
{
    *usages = (struct usages){.store = store};
    store_usage_all(store, &usages->streams, &usages->bytes);
    table_init(&usages->table, usage_key);
}

static void usage_free(struct usage *usage)
{
    free(usage->project);
    free(usage->watch);
    free(usage);
}

void usages_clear(struct usages *usages)
{
    struct table_node *node = table_next(&usages->table, NULL);
    while (node) {
        struct usage *usage = usage_of_node(node);
        node = table_next(&usages->table, node);
        usage_free(usage);
    }
    table_clear(&usages->table);
    *usages = (struct usages){0};
}

/* Nothing of a project that is not in memory is unflushed, so what the store says is all there is. */
static struct usage *usage_find(struct usages *usages, struct slice project)
{
    struct table_node *node = table_find(&usages->table, project);
    if (node)
        return usage_of_node(node);
    struct usage *usage = xcalloc(1, sizeof *usage);
    usage->project = xslicedup(project);
    usage->project_len = project.len;
    table_add(&usages->table, &usage->by_project);
    store_usage(usages->store, project, &usage->streams, &usage->bytes);
    return usage;
}

struct usage *usage_ref(struct usages *usages, struct slice name)
{
    const char *slash = memchr(name.data, '/', name.len);
    struct usage *usage = usage_find(usages, slice_of(name.data, slash ? (size_t)(slash - name.data) : name.len));
    usage->refs++;
    return usage;
}

/* A project that a router has asked for stays in memory: its sums are sent whenever they change. */
void usage_unref(struct usages *usages, struct usage *usage)
{
    if (--usage->refs || usage->watch)
        return;
    table_remove(&usages->table, &usage->by_project);
    usage_free(usage);
}

/* ---- changes ---- */

static void usage_mark_changed(struct usages *usages, struct usage *usage)
{
    if (!usage->watch || usage->changed)
        return;
    usage->changed = true;
    usage->changed_next = usages->changed;
    usages->changed = usage;
}

void usage_add(struct usages *usages, struct usage *usage, int64_t streams, int64_t bytes)
{
    usage->streams += (uint64_t)streams;
    usage->bytes += (uint64_t)bytes;
    usages->streams += (uint64_t)streams;
    usages->bytes += (uint64_t)bytes;
    usage_mark_changed(usages, usage);
}

void usage_appended(struct usages *usages, struct usage *usage, unsigned router)
{
    if (usage->watch)
        usage->watch->appends[router]++;
    usage_mark_changed(usages, usage);
}

/* ---- routers ---- */

/* Of its own doing a router knows before we do. */
static void usage_notify(struct shard *shard, const struct usage *usage, unsigned router)
{
    const struct usage_watch *watch = usage->watch;
    struct buf *out = peers_router_out(&shard->peers, router);
    struct wire_usage m = {.project = usage_name_of(usage), .streams = usage->streams, .bytes = usage->bytes};
    if (!watch->watching[router] || !out)
        return;
    for (unsigned other = 0; other < PEERS_ROUTERS_MAX; other++) {
        m.appends += other == router ? 0 : watch->appends[other];
        m.readers += other == router ? 0 : watch->readers[other];
    }
    wire_put_usage(out, &m);
}

void usage_notify_all(struct shard *shard)
{
    struct usages *usages = &shard->streams.usages;
    struct usage *usage;
    while ((usage = usages->changed)) {
        usages->changed = usage->changed_next;
        usage->changed = false;
        for (unsigned router = 0; router < PEERS_ROUTERS_MAX; router++)
            usage_notify(shard, usage, router);
        memset(usage->watch->appends, 0, sizeof usage->watch->appends);
    }
}

void on_watch_usage(struct shard *shard, struct asker asker, const struct wire_watch_usage *m)
{
    struct usage *usage = usage_find(&shard->streams.usages, m->project);
    if (!usage->watch)
        usage->watch = xcalloc(1, sizeof *usage->watch);
    usage->watch->watching[asker.router] = true;
    usage->watch->readers[asker.router] = m->readers;
    usage_mark_changed(&shard->streams.usages, usage);
}

/* The readers of a router that is gone are gone too. Its appends stay in the sum: the others have yet to hear of them.
 */
void usage_router_gone(struct shard *shard, unsigned router)
{
    struct usages *usages = &shard->streams.usages;
    for (struct table_node *node = table_next(&usages->table, NULL); node; node = table_next(&usages->table, node)) {
        struct usage *usage = usage_of_node(node);
        if (!usage->watch)
            continue;
        usage->watch->watching[router] = false;
        usage->watch->readers[router] = 0;
        usage_mark_changed(usages, usage);
    }
}
