/* A source is in the store as long as an estuary is subscribed to it, and in memory once it was used; all changes go to
 * both at once, so it can be forgotten at any time unless a request holds it.
 *
 *     nobody --ATTACHED, source_acquire--> held --subscribed--> held, subscribed --source_release--> subscribed
 *       ^                                    |                                                          |
 *       +-----source_notify, source_remove---+-----------the last subscription has ended----------------+
 *
 * A subscription's life: [STORE_NONE, ..) is on disk and not in force, until the search for cycles has ended; [from,
 * ..) is in force; [from, until) has ended, and still gets what was appended before and is not here yet. */
#include "shard/fanout/source.h"

#include <stdlib.h>

#include "common/mem.h"
#include "shard/shard.h"
#include "shard/store/store.h"
#include "shard/store/store_fanout.h"

#define SOURCES_KEPT 4096

/* ---- the table ---- */

static struct source *source_of(const struct table_node *node)
{
    return TABLE_OWNER(node, struct source, by_uid);
}

static struct slice source_key(const struct table_node *node)
{
    return table_number(&TABLE_OWNER(node, const struct source, by_uid)->source_uid);
}

void sources_init(struct sources *sources)
{
    table_init(&sources->by_uid, source_key);
}

static void source_free(struct sources *sources, struct source *source)
{
    table_remove(&sources->by_uid, &source->by_uid);
    free((char *)(uintptr_t)source->name.data);
    free(source->subscriptions);
    free(source);
}

static void sources_forget(struct sources *sources, bool held_too)
{
    struct table_node *next, *node = table_next(&sources->by_uid, NULL);
    for (; node; node = next) {
        next = table_next(&sources->by_uid, node);
        if (held_too || !source_of(node)->held)
            source_free(sources, source_of(node));
    }
}

void sources_clear(struct sources *sources)
{
    sources_forget(sources, true);
    table_clear(&sources->by_uid);
}

void sources_tick(struct shard *shard)
{
    if (shard->sources.by_uid.count > SOURCES_KEPT)
        sources_forget(&shard->sources, false);
}

static bool source_counts(const struct subscription_row *row)
{
    return row->from != STORE_NONE && row->until == STORE_NONE;
}

static void source_add_subscription(void *ctx, const struct subscription_row *row)
{
    struct source *source = ctx;
    if ((source->count & (source->count - 1)) == 0) /* its size is the next power of two */
        source->subscriptions = xrealloc(source->subscriptions, (source->count ? source->count * 2 : 1) * sizeof *row);
    source->subscriptions[source->count++] = *row;
    source->subscribers += source_counts(row);
}

static struct source *source_add(struct sources *sources, const struct source_row *row)
{
    struct source *source = xcalloc(1, sizeof *source);
    *source = (struct source){
        .source_uid = row->source_uid,
        .feed = row->feed,
        .received = row->received,
        .name = slice_of(xslicedup(row->name), row->name.len),
    };
    table_add(&sources->by_uid, &source->by_uid);
    return source;
}

struct source *source_find(struct shard *shard, uint64_t source_uid)
{
    struct table_node *node = table_find(&shard->sources.by_uid, table_number(&source_uid));
    struct source_row row;
    if (node)
        return source_of(node);
    if (!store_source(shard->store, source_uid, &row))
        return NULL;
    struct source *source = source_add(&shard->sources, &row);
    store_subscriptions(shard->store, source_uid, source_add_subscription, source);
    return source;
}

/* ---- life ---- */

bool source_idle(const struct source *source)
{
    return !source->count && !source->held;
}

void source_acquire(struct shard *shard, uint64_t source_uid, uint64_t feed, struct slice name, uint64_t position)
{
    struct source *source = source_find(shard, source_uid);
    struct source_row row = {source_uid, feed, position, name};
    if (!source || source->feed != feed) {
        if (!source)
            source = source_add(&shard->sources, &row);
        /* otherwise the source's shard had forgotten us and begins anew */
        source->feed = feed;
        source->received = row.received = source->received > position ? source->received : position;
        store_source_put(shard->store, &row);
    }
    source->held++;
}

void source_release(struct shard *shard, uint64_t source_uid)
{
    struct source *source = source_find(shard, source_uid);
    if (!source)
        return; /* the stream was deleted meanwhile */
    source->held--;
    if (source_idle(source))
        source_notify(shard, source);
}

static void source_remove_subscription(struct shard *shard, struct source *source, size_t at)
{
    store_subscription_delete(shard->store, &source->subscriptions[at]);
    source->subscribers -= source_counts(&source->subscriptions[at]);
    memmove(source->subscriptions + at, source->subscriptions + at + 1,
            (--source->count - at) * sizeof *source->subscriptions);
}

void source_remove(struct shard *shard, struct source *source)
{
    while (source->count)
        source_remove_subscription(shard, source, source->count - 1);
    store_source_delete(shard->store, source->source_uid);
    source_free(&shard->sources, source);
}

void source_notify(struct shard *shard, struct source *source)
{
    struct buf *out = peers_out(&shard->peers, peers_owner_of_uid(&shard->peers, source->source_uid));
    bool over = source_idle(source);
    const struct wire_subscribers m = {
        .uid = source->source_uid, .feed = source->feed, .subscribers = source->subscribers};
    /* Nobody in force, but somebody about to be: a zero would end the feed. */
    if (out && (m.subscribers || over))
        wire_put_subscribers(out, &m);
    if (over)
        source_remove(shard, source);
}

/* ---- subscriptions ---- */

void source_subscribe(struct shard *shard, struct source *source, uint64_t estuary_uid, uint64_t from, unsigned flags)
{
    const struct subscription_row row = {source->source_uid, estuary_uid, from, STORE_NONE, flags};
    struct subscription_row before;
    if (store_subscription(shard->store, source->source_uid, estuary_uid, &before))
        source_unsubscribe(shard, source, estuary_uid, 0); /* it was not in force yet */
    store_subscription_put(shard->store, &row);
    source_add_subscription(source, &row);
}

uint64_t source_free_from(const struct source *source, uint64_t estuary_uid, uint64_t position)
{
    uint64_t from = source->received > position ? source->received : position;
    for (size_t i = 0; i < source->count; i++) { /* an earlier subscription may still get what it missed */
        const struct subscription_row *s = &source->subscriptions[i];
        if (s->estuary_uid == estuary_uid && s->until != STORE_NONE && s->until > from)
            from = s->until;
    }
    return from;
}

void source_unsubscribe(struct shard *shard, struct source *source, uint64_t estuary_uid, uint64_t until)
{
    for (size_t i = 0; i < source->count; i++) {
        struct subscription_row *s = &source->subscriptions[i];
        if (s->estuary_uid != estuary_uid)
            continue;
        if (until != STORE_NONE && s->until != STORE_NONE)
            continue; /* an earlier one, which still gets what it missed */
        if (until == STORE_NONE || until <= source->received || s->from == STORE_NONE || s->from >= until) {
            source_remove_subscription(shard, source, i--);
            continue;
        }
        source->subscribers -= source_counts(s);
        s->until = until;
        store_subscription_put(shard->store, s);
    }
}

void source_advance(struct shard *shard, struct source *source, uint64_t position)
{
    source->received = position;
    store_source_received(shard->store, source->source_uid, position);
    for (size_t i = source->count; i-- > 0;)
        if (source->subscriptions[i].until <= position)
            source_remove_subscription(shard, source, i);
}
