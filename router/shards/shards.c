/* One socket to each shard. Frames are gathered during a turn and leave with one send at its end.
 *
 *     shards_receive() --> shard_frames.c --> answers end requests, events go to readers
 *     ... the turn     --> shard_request.c puts frames into link.out
 *     shards_flush()   --> link.out leaves
 *
 * Failure modes: The shard dies, or sends a frame that does not parse: the link is dead, and shards_peer_down() sorts
 * what was sent (repeat, or outcome unknown). The supervisor starts a new process and sends a new socket: shards_peer()
 * tells the watches (events->up), and then sends what waits. Requests for a shard that is away wait up to
 * router.shard_wait, in a queue of at most router.queue_memory bytes. */
#include "router/shards/shards.h"

#include "common/log.h"
#include "common/mem.h"
#include "router/router.h"
#include "router/shards/shard_frames.h"
#include "router/shards/shard_request.h"

#define RECEIVE_LIMIT ((size_t)4 << 20) /* from one shard in one turn */

void shards_init(struct shards *shards, struct router *router, const struct shards_events *events)
{
    const char *why = "";
    shards->router = router;
    shards->events = events;
    switch (layout_load(router->cfg->server_data_dir, &shards->layout, &why)) {
    case LAYOUT_LOADED:
        break;
    case LAYOUT_ABSENT:
        fatal_never_restart("%s/layout is missing", router->cfg->server_data_dir);
    case LAYOUT_DAMAGED:
        fatal_never_restart("%s/layout: %s", router->cfg->server_data_dir, why);
    }
    shards->peers = xcalloc(LAYOUT_SHARDS_MAX, sizeof *shards->peers);
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++) {
        struct shard_peer *peer = &shards->peers[i];
        peer->link.fd = -1;
        list_init(&peer->sent);
        list_init(&peer->queue);
        list_init(&peer->reads);
    }
}

unsigned shards_of(const struct shards *shards, struct slice name)
{
    return shards->layout.owner[layout_slot(&shards->layout, name)];
}

void shards_unwatch(struct shards *shards, unsigned shard, struct slice name, uint64_t watch)
{
    struct shard_peer *peer = &shards->peers[shard];
    size_t before = buf_len(&peer->link.out);
    if (!link_up(&peer->link))
        return;
    wire_put_unwatch(&peer->link.out, &(struct wire_unwatch){.name = name, .watch = watch});
    peer->put += buf_len(&peer->link.out) - before;
}

void shards_watch_usage(struct shards *shards, unsigned shard, const struct wire_watch_usage *m)
{
    struct shard_peer *peer = &shards->peers[shard];
    size_t before = buf_len(&peer->link.out);
    if (!link_up(&peer->link))
        return;
    wire_put_watch_usage(&peer->link.out, m);
    peer->put += buf_len(&peer->link.out) - before;
}

static void shards_take_frames(struct shards *shards, unsigned shard)
{
    struct link *link = &shards->peers[shard].link;
    size_t cursor = 0;
    enum wire_type type;
    struct slice body;
    while (link_next(link, &cursor, &type, &body)) {
        if (shard_frames_take(shards, shard, type, body))
            continue;
        log_error("shard %u sent a broken %s", shard, wire_name(type));
        link->dead = true;
        break;
    }
    link_release(link, cursor);
}

/* ---- life and death of a shard ---- */

static void shards_peer_down(struct shards *shards, unsigned shard)
{
    struct shard_peer *peer = &shards->peers[shard];
    /* Bytes that left this process. The shard may have read them, or not: both counts as sent. */
    uint64_t sent = peer->put - buf_len(&peer->link.out);
    struct list lost;
    list_init(&lost);
    log_info("shard %u is down", shard);
    link_close(&peer->link);
    peer->put = 0;
    shard_requests_lost(shards, peer, sent, &lost);
    shards->events->down(shards->router, shard);
    shard_requests_fail(shards, &lost, "the shard died with this request; whether it took effect is unknown");
}

void shards_receive(struct shards *shards)
{
    for (unsigned i = 0; i < shards->count; i++) {
        struct link *link = &shards->peers[i].link;
        if (link_receive(link, RECEIVE_LIMIT))
            shards_take_frames(shards, i);
        if (link->fd >= 0 && link->dead)
            shards_peer_down(shards, i);
    }
}

void shards_flush(struct shards *shards)
{
    for (unsigned i = 0; i < shards->count; i++)
        if (buf_len(&shards->peers[i].link.out) > 0)
            link_flush(&shards->peers[i].link);
}

void shards_peer(struct shards *shards, unsigned shard, int fd)
{
    if (shard >= LAYOUT_SHARDS_MAX)
        fatalx("there is no shard %u", shard);
    struct shard_peer *peer = &shards->peers[shard];
    if (peer->link.fd >= 0) {
        /* Answers that the old process sent before it died are taken first: they end requests that would otherwise be
         * repeated, or fail. */
        peer->link.readable_now = true;
        if (link_receive(&peer->link, SIZE_MAX))
            shards_take_frames(shards, shard);
        shards_peer_down(shards, shard);
    }
    if (shards->count <= shard)
        shards->count = shard + 1;
    link_open(&peer->link, shards->router->base, fd, shard);
    shards->events->up(shards->router, shard);
    shard_requests_pump(peer);
}
