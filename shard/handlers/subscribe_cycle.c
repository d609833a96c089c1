/* A breadth-first walk upwards, from the sources of a subscription to theirs, in all shards that own them:
 *
 *     estuary <-- source (depth 1) <-- its sources (depth 2) <-- ... <-- at most fanout.depth
 *
 * Each stream is asked about once (SOURCES), all of a depth at the same time. The walk ends at the first answer that
 * names the estuary (a cycle), that is too deep, or when all have answered.
 *
 * Two subscriptions may be made at once that close a cycle only together. So each is on disk, though not in force,
 * before its search begins, and on_sources() names such subscriptions too: whichever search passes the other's estuary
 * later sees it. Both may be refused then; neither can be missed. */
#include "shard/handlers/subscribe_cycle.h"

#include <stdlib.h>

#include "common/mem.h"
#include "shard/handlers/names.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/store_fanout.h"

#define WALK_MAX 16384 /* streams looked at by one search */

/* A stream that is looked at, so many subscriptions above the estuary. */
struct cycle_step {
    struct ask ask;
    struct table_node by_name;
    struct cycle_search *search;
    uint64_t depth;
    bool answered; /* its question is over */
    size_t len;
    char name[];
};

static struct cycle_step *subscribe_cycle_step_of(struct ask *ask)
{
    return LIST_OWNER(ask, struct cycle_step, ask);
}

static struct slice subscribe_cycle_key(const struct table_node *node)
{
    const struct cycle_step *step = TABLE_OWNER(node, const struct cycle_step, by_name);
    return slice_of(step->name, step->len);
}

void subscribe_cycle_init(struct cycle_search *search)
{
    table_init(&search->steps, subscribe_cycle_key);
    search->unanswered = 0;
}

static void subscribe_cycle_add(struct cycle_search *search, struct slice name, uint64_t depth)
{
    struct shard *shard = search->shard;
    if (table_find(&search->steps, name))
        return; /* reached by another way */
    struct cycle_step *step = xcalloc(1, sizeof *step + name.len);
    step->search = search;
    step->depth = depth;
    step->len = name.len;
    memcpy(step->name, name.data, name.len);
    table_add(&search->steps, &step->by_name);
    search->unanswered++;
    ask_begin(&shard->asks[ASK_CYCLE], &step->ask, peers_owner_of_name(&shard->peers, name), search->deadline_ms);
}

void subscribe_cycle_from(struct cycle_search *search, struct slice source)
{
    subscribe_cycle_add(search, source, 1);
}

void subscribe_cycle_end(struct cycle_search *search)
{
    struct table_node *next, *node = table_next(&search->steps, NULL);
    for (; node; node = next) {
        struct cycle_step *step = TABLE_OWNER(node, struct cycle_step, by_name);
        next = table_next(&search->steps, node);
        if (!step->answered)
            ask_end(&search->shard->asks[ASK_CYCLE], &step->ask);
        table_remove(&search->steps, node);
        free(step);
    }
    table_clear(&search->steps);
    search->unanswered = 0;
}

/* ---- the questions ---- */

static void subscribe_cycle_put(const struct ask *ask, struct buf *out)
{
    const struct cycle_step *step = LIST_OWNER(ask, const struct cycle_step, ask);
    wire_put_sources(
        out, &(struct wire_sources){.id = ask->id, .step = step->depth, .name = slice_of(step->name, step->len)});
}

static void subscribe_cycle_expired(void *ctx, struct ask *ask)
{
    struct cycle_step *step = subscribe_cycle_step_of(ask);
    (void)ctx;
    step->answered = true;
    step->search->ops->expired(step->search);
}

/* The last question that is dropped takes the search with it. */
static void subscribe_cycle_drop(struct ask *ask)
{
    struct cycle_step *step = subscribe_cycle_step_of(ask);
    step->answered = true;
    if (!--step->search->unanswered)
        step->search->ops->drop(step->search);
}

const struct ask_kind subscribe_cycle_questions = {
    .most = UINT32_MAX, /* the number of subscriptions that are made is limited, and WALK_MAX */
    .writes = true,
    .put = subscribe_cycle_put,
    .expired = subscribe_cycle_expired,
    .drop = subscribe_cycle_drop,
};

/* ---- the answers ---- */

/* Adds the sources of a step's stream to the walk, or ends it. */
static enum error subscribe_cycle_look(struct cycle_search *search, struct slice names, uint64_t depth)
{
    while (names.len) {
        struct slice name = names_next(&names);
        if (slice_equal(name, search->estuary))
            return ERR_SUBSCRIPTION_CIRCLE;
        if (depth > search->shard->cfg->fanout_depth || search->steps.count >= WALK_MAX)
            return ERR_SUBSCRIPTIONS_TOO_DEEP;
        subscribe_cycle_add(search, name, depth);
    }
    return ERR_NONE;
}

void on_sourced(struct shard *shard, unsigned from, const struct wire_sourced *m)
{
    struct ask *ask = ask_find(&shard->asks[ASK_CYCLE], m->id, from);
    if (!ask)
        return; /* the search is over */
    struct cycle_step *step = subscribe_cycle_step_of(ask);
    struct cycle_search *search = step->search;
    ask_end(&shard->asks[ASK_CYCLE], ask);
    step->answered = true;
    search->unanswered--;
    enum error result = subscribe_cycle_look(search, m->sources, step->depth + 1);
    if (result != ERR_NONE || !search->unanswered)
        search->ops->found(search, result);
}

static void subscribe_cycle_note_name(void *ctx, const struct subscription_row *row, struct slice name)
{
    (void)row;
    names_add(ctx, name);
}

void on_sources(struct shard *shard, unsigned from, const struct wire_sources *m)
{
    struct buf names = {0}, *out = peers_out(&shard->peers, from);
    struct stream *stream = streams_by_name(&shard->streams, m->name);
    if (stream)
        store_sources_of(shard->store, stream->row.uid, subscribe_cycle_note_name, &names);
    if (out)
        wire_put_sourced(out, &(struct wire_sourced){.id = m->id, .step = m->step, .sources = buf_slice(&names)});
    buf_clear(&names);
}
