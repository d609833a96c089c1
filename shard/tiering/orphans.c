/* A round goes through all orphans, some at a time:
 *
 *     row in the database --> the commit that made it an orphan is durable --> file removed --> row removed
 *
 * Happy path: a removal that ends makes room for the next orphan of the round, and the tick begins the next round.
 *
 * Failure modes: The file goes after the commit by which it is an orphan: a crash in between would give the segment
 * back without it. The store does not answer: the row stays for the next round, and the log says so once a round. An
 * orphan that a backup refers to is not among those that store_orphans() shows. One that an offload is making is passed
 * over: it is about to become a segment. */
#include "shard/tiering/orphans.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "shard/shard.h"
#include "shard/store/commit.h"
#include "shard/store/store.h"

#define AT_ONCE 64
#define AT_ONCE_AWAY 4 /* of an object store's connections, which reads need too */

/* A file that is to be removed. */
struct removal {
    struct list link; /* of those whose commit is not durable yet */
    struct shard *shard;
    struct object object;
    uint64_t commit; /* by which it is an orphan */
};

void orphans_init(struct shard *shard)
{
    list_init(&shard->orphans.waiting);
}

void orphans_clear(struct shard *shard)
{
    struct list *link;
    while ((link = list_pop(&shard->orphans.waiting)))
        free(LIST_OWNER(link, struct removal, link));
}

static void orphans_remove_some(struct shard *shard);

static void orphans_on_removed(void *ctx, const char *failure)
{
    struct removal *removal = ctx;
    struct shard *shard = removal->shard;
    char name[OBJECT_NAME_MAX];
    object_name(name, &removal->object);
    shard->orphans.removing--;
    if (failure && !shard->stopping && !shard->orphans.failed++)
        log_warn("segment %s cannot be removed: %s; will retry", name, failure);
    if (!failure && !shard->disk.stuck)
        store_orphan_delete(shard->store, &removal->object);
    free(removal);
    if (!shard->stopping)
        orphans_remove_some(shard);
}

static void orphans_visit(void *ctx, const struct object *object, const struct orphan_place *place)
{
    struct shard *shard = ctx;
    struct orphans *orphans = &shard->orphans;
    orphans->place = *place;
    if (offload_is_making(&shard->offloads, object))
        return;
    segments_forget(&shard->streams.segments, object);
    struct removal *removal = xcalloc(1, sizeof *removal);
    *removal = (struct removal){.shard = shard, .object = *object, .commit = store_visible(shard->store)};
    list_add_last(&orphans->waiting, &removal->link);
    orphans->removing++;
}

static struct removal *orphans_first(const struct orphans *orphans)
{
    return list_empty(&orphans->waiting) ? NULL : LIST_OWNER(orphans->waiting.next, struct removal, link);
}

void orphans_turn(struct shard *shard)
{
    const struct commits *commits = store_commits(shard->store);
    struct removal *removal;
    while ((removal = orphans_first(&shard->orphans)) && commits_are_durable(commits, removal->commit)) {
        list_remove(&removal->link);
        objects_remove(&shard->objects, &removal->object, orphans_on_removed, removal);
    }
    if (removal && !commits_is_pending(commits, removal->commit) && !shard->disk.stuck)
        shard->turn_again = true;
}

/* The next of this round, which ends where there are no more. */
static void orphans_remove_some(struct shard *shard)
{
    struct orphans *orphans = &shard->orphans;
    unsigned most = shard->objects.away ? AT_ONCE_AWAY : AT_ONCE;
    if (!orphans->round || orphans->visiting || orphans->removing > most / 2)
        return;
    orphans->visiting = true;
    struct orphan_place from = orphans->place;
    orphans->round = store_orphans(shard->store, &from, most - orphans->removing, orphans_visit, shard) > 0;
    orphans->visiting = false;
}

void orphans_upkeep(struct shard *shard)
{
    struct orphans *orphans = &shard->orphans;
    if (!orphans->round && !orphans->removing) {
        orphans->round = true;
        orphans->failed = 0;
        orphans->place = (struct orphan_place){0};
    }
    orphans_remove_some(shard);
}
