/* An index is a place, which successive processes take: a router that crashed, then its successor. An answer that was
 * meant for the former must not reach the latter, whose ids mean something else. So each place counts its processes
 * (generation), and an asker remembers the count at which it asked. Shards need no such care: what one shard asks of
 * another has a number that no successor uses (shard/peers/ask.h). */
#include "shard/peers/peers.h"

#include "common/clock.h"
#include "common/log.h"

void peers_init(struct peers *peers, struct event_base *base, const char *data_dir, unsigned index)
{
    const char *why = "it is missing";
    *peers = (struct peers){.base = base, .index = index};
    for (unsigned i = 0; i < PEERS_ROUTERS_MAX; i++)
        link_close(&peers->routers[i].link);
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        link_close(&peers->shards[i].link);
    if (layout_load(data_dir, &peers->layout, &why) != LAYOUT_LOADED)
        fatal_never_restart("%s/layout: %s", data_dir, why);
}

static void peers_close(struct peer *peer)
{
    link_close(&peer->link);
    release_clear(&peer->release);
}

void peers_clear(struct peers *peers)
{
    for (unsigned i = 0; i < PEERS_ROUTERS_MAX; i++)
        peers_close(&peers->routers[i]);
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        peers_close(&peers->shards[i]);
    buf_clear(&peers->self);
    layout_clear(&peers->layout);
}

/* ---- links ---- */

static void peers_up(struct peers *peers, struct peer *peer, unsigned index, int fd)
{
    peer->generation++;
    link_open(&peer->link, peers->base, fd, index);
    release_clear(&peer->release);
    peer->link.limit = 0; /* nothing leaves before it is sealed, also if the socket is writable in between */
}

void peers_router_up(struct peers *peers, unsigned router, int fd)
{
    peers_up(peers, &peers->routers[router], router, fd);
}

void peers_shard_up(struct peers *peers, unsigned shard, int fd)
{
    peers_up(peers, &peers->shards[shard], shard, fd);
}

bool peers_reap(struct peer *peer)
{
    if (peer->link.fd < 0 || !peer->link.dead)
        return false;
    peer->generation++;
    peers_close(peer);
    return true;
}

static void peers_seal_link(struct peer *peer, uint64_t commit, uint64_t durable)
{
    if (buf_len(&peer->link.out))
        release_seal(&peer->release, link_end(&peer->link), commit, durable);
}

void peers_seal(struct peers *peers, uint64_t commit, uint64_t durable)
{
    for (unsigned i = 0; i < PEERS_ROUTERS_MAX; i++)
        peers_seal_link(&peers->routers[i], commit, durable);
    for (unsigned i = 0; i < peers->layout.shards; i++)
        peers_seal_link(&peers->shards[i], commit, durable);
}

static void peers_release_link(struct peer *peer, uint64_t durable)
{
    if (!buf_len(&peer->link.out))
        return;
    peer->link.limit = release_upto(&peer->release, durable);
    link_flush(&peer->link);
}

void peers_release(struct peers *peers, uint64_t durable)
{
    for (unsigned i = 0; i < PEERS_ROUTERS_MAX; i++)
        peers_release_link(&peers->routers[i], durable);
    for (unsigned i = 0; i < peers->layout.shards; i++)
        peers_release_link(&peers->shards[i], durable);
}

void peers_quiesce_routers(struct peers *peers)
{
    for (unsigned i = 0; i < PEERS_ROUTERS_MAX; i++)
        link_quiesce(&peers->routers[i].link);
}

bool peers_routers_answered(const struct peers *peers)
{
    for (unsigned i = 0; i < PEERS_ROUTERS_MAX; i++) {
        const struct link *link = &peers->routers[i].link;
        if (link_up(link) && (!link->drained || buf_len(&link->out)))
            return false;
    }
    return true;
}

/* ---- who owns what ---- */

unsigned peers_owner_of_name(const struct peers *peers, struct slice name)
{
    return peers->layout.owner[layout_slot(&peers->layout, name)];
}

/* A uid that names no slot is nobody's: this shard finds out that there is no such stream. */
unsigned peers_owner_of_uid(const struct peers *peers, uint64_t uid)
{
    unsigned slot = layout_slot_of_uid(uid);
    return slot < LAYOUT_SLOTS ? peers->layout.owner[slot] : peers->index;
}

/* ---- where frames go ---- */

static struct buf *peers_link_out(struct peer *peer)
{
    return link_up(&peer->link) ? &peer->link.out : NULL;
}

struct buf *peers_out(struct peers *peers, unsigned shard)
{
    return shard == peers->index ? &peers->self : peers_link_out(&peers->shards[shard]);
}

struct buf *peers_router_out(struct peers *peers, unsigned router)
{
    return peers_link_out(&peers->routers[router]);
}

struct buf *asker_out(struct peers *peers, struct asker asker)
{
    struct peer *peer = &peers->routers[asker.router];
    return peer->generation == asker.generation ? peers_link_out(peer) : NULL;
}

struct buf *asker_out_enclose(struct peers *peers, struct asker asker, int fd)
{
    struct buf *out = asker_out(peers, asker);
    return out && link_enclose(&peers->routers[asker.router].link, fd) ? out : NULL;
}

/* ---- timed requests ---- */

void asker_time(struct buf *out, struct asker asker)
{
    if (asker.taken_us)
        wire_put_timed(out, &(struct wire_timed){asker.id, asker.taken_us, clock_monotonic_us()});
}

void peers_time(struct peers *peers, unsigned router, uint64_t id, uint64_t taken_us)
{
    peers->routers[router].timed_id = id;
    peers->routers[router].taken_us = taken_us;
}

struct asker peers_asker(struct peers *peers, unsigned router, uint64_t id)
{
    struct peer *peer = &peers->routers[router];
    struct asker asker = {.router = router, .generation = peer->generation, .id = id};
    if (peer->timed_id == id)
        asker.taken_us = peer->taken_us;
    peer->taken_us = 0; /* it was for this request only */
    return asker;
}
