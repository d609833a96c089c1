/* One question's life:
 *
 *     ask_begin --> under way --answer found--> ask_end, or ask_next and under way again
 *                    |      ^
 *                    |      +-- its shard has a new link: asked again, under the same number
 *                    +--deadline--> expired()
 *
 * A frame is lost only with its link, so no timer repeats anything. If the process dies, nobody remembers what it
 * asked: numbers begin anywhere, so late answers to a predecessor match nothing. */
#include "shard/peers/ask.h"

#include "common/random.h"
#include "shard/peers/peers.h"

static struct slice ask_key(const struct table_node *node)
{
    return table_number(&TABLE_OWNER(node, const struct ask, by_id)->id);
}

void asks_init(struct asks *asks, const struct ask_kind *kind, struct peers *peers, void *ctx)
{
    *asks = (struct asks){.kind = kind, .peers = peers, .ctx = ctx, .last_id = random_secret()};
    list_init(&asks->pending);
    table_init(&asks->by_id, ask_key);
}

void asks_clear(struct asks *asks)
{
    while (!list_empty(&asks->pending)) {
        struct ask *ask = LIST_OWNER(asks->pending.next, struct ask, link);
        ask_end(asks, ask);
        asks->kind->drop(ask);
    }
    table_clear(&asks->by_id);
}

bool asks_full(const struct asks *asks)
{
    return asks->by_id.count >= asks->kind->most;
}

/* While the shard is down nothing is put: asks_shard_up() does. */
static void ask_put(const struct asks *asks, const struct ask *ask)
{
    struct buf *out = peers_out(asks->peers, ask->shard);
    if (out)
        asks->kind->put(ask, out);
}

/* Nearly always the latest deadline: all wait equally long, but for what belongs to something that began earlier. */
static void ask_list(struct asks *asks, struct ask *ask)
{
    struct list *at = &asks->pending;
    while (at->prev != &asks->pending && LIST_OWNER(at->prev, struct ask, link)->deadline_ms > ask->deadline_ms)
        at = at->prev;
    list_insert(at, &ask->link);
}

void ask_begin(struct asks *asks, struct ask *ask, unsigned shard, uint64_t deadline_ms)
{
    *ask = (struct ask){.id = ++asks->last_id, .shard = shard, .deadline_ms = deadline_ms};
    ask_list(asks, ask);
    table_add(&asks->by_id, &ask->by_id);
    ask_put(asks, ask);
}

void ask_next(struct asks *asks, struct ask *ask, unsigned shard)
{
    table_remove(&asks->by_id, &ask->by_id);
    ask->id = ++asks->last_id;
    ask->shard = shard;
    table_add(&asks->by_id, &ask->by_id);
    ask_put(asks, ask);
}

void ask_end(struct asks *asks, struct ask *ask)
{
    list_remove(&ask->link);
    table_remove(&asks->by_id, &ask->by_id);
}

struct ask *ask_find(const struct asks *asks, uint64_t id, unsigned from)
{
    struct table_node *node = table_find(&asks->by_id, table_number(&id));
    struct ask *ask = node ? TABLE_OWNER(node, struct ask, by_id) : NULL;
    return ask && ask->shard == from ? ask : NULL;
}

void asks_shard_up(struct asks *asks, unsigned shard)
{
    LIST_EACH(link, &asks->pending)
    if (LIST_OWNER(link, struct ask, link)->shard == shard)
        ask_put(asks, LIST_OWNER(link, struct ask, link));
}

void asks_tick(struct asks *asks, uint64_t ticks_ms)
{
    while (!list_empty(&asks->pending)) {
        struct ask *ask = LIST_OWNER(asks->pending.next, struct ask, link);
        if (ask->deadline_ms > ticks_ms)
            return;
        ask_end(asks, ask);
        asks->kind->expired(asks->ctx, ask);
    }
}
