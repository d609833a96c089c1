/* Frames in. Each is decoded and given to the handler of its message (common/wire.def). Links are read in passes: what
 * a router sends while this turn works still joins its commit, so that a commit is as large as the load allows. */
#include "shard/frames.h"

#include <sched.h>

#include "common/clock.h"
#include "common/log.h"
#include "shard/handlers/handlers.h"
#include "shard/shard.h"

/* Bytes taken from one link a turn: what is beyond waits in the socket, and its sender with it. */
#define TURN_BYTES ((size_t)2 << 20)
#define TURN_PASSES 4
#define TURN_MESSAGES 64 /* of the bus */

static bool frames_on_time(struct shard *shard, unsigned router, struct slice body)
{
    struct wire_time m;
    if (!wire_get_time(body, &m))
        return false;
    peers_time(&shard->peers, router, m.id, clock_monotonic_us());
    return true;
}

static bool frames_from_router(struct shard *shard, unsigned router, enum wire_type type, struct slice body)
{
    switch (type) {
#define ROUTER_CASE(NAME, name)                                                                                        \
    case WIRE_##NAME: {                                                                                                \
        struct wire_##name m;                                                                                          \
        if (!wire_get_##name(body, &m))                                                                                \
            return false;                                                                                              \
        on_##name(shard, peers_asker(&shard->peers, router, 0), &m);                                                   \
        return true;                                                                                                   \
    }
#define ROUTER_CASE_ID(NAME, name)                                                                                     \
    case WIRE_##NAME: {                                                                                                \
        struct wire_##name m;                                                                                          \
        if (!wire_get_##name(body, &m))                                                                                \
            return false;                                                                                              \
        on_##name(shard, peers_asker(&shard->peers, router, m.id), &m);                                                \
        return true;                                                                                                   \
    }
        ROUTER_CASE_ID(CREATE, create)
        ROUTER_CASE_ID(APPEND, append)
        ROUTER_CASE_ID(READ, read)
        ROUTER_CASE_ID(HEAD, head)
        ROUTER_CASE_ID(DELETE, delete)
        ROUTER_CASE_ID(LIST, list)
        ROUTER_CASE_ID(SHOW, show)
        ROUTER_CASE_ID(SUBSCRIBE, subscribe)
        ROUTER_CASE_ID(ESTUARY, estuary)
        ROUTER_CASE(UNWATCH, unwatch)
        ROUTER_CASE(WATCH_USAGE, watch_usage)
#undef ROUTER_CASE
#undef ROUTER_CASE_ID
    case WIRE_TIME:
        return frames_on_time(shard, router, body);
    default:
        return false;
    }
}

/* Handling these frames writes to the database, and their sender repeats them until that is done. While the disk takes
 * nothing they are dropped. */
static bool frames_wait_for_room(enum wire_type type)
{
    switch (type) {
    case WIRE_UNPIN:
    case WIRE_UNPINNED:
    case WIRE_PROBED:
    case WIRE_ATTACHED:
    case WIRE_SOURCED:
    case WIRE_SUBSCRIBERS:
    case WIRE_TAKEN:
    case WIRE_ENDED:
        return true;
    default:
        return false;
    }
}

static bool frames_from_shard(struct shard *shard, unsigned from, enum wire_type type, struct slice body)
{
    if (shard->disk.stuck && frames_wait_for_room(type))
        return true;
    switch (type) {
#define SHARD_CASE(NAME, name)                                                                                         \
    case WIRE_##NAME: {                                                                                                \
        struct wire_##name m;                                                                                          \
        if (!wire_get_##name(body, &m))                                                                                \
            return false;                                                                                              \
        on_##name(shard, from, &m);                                                                                    \
        return true;                                                                                                   \
    }
        SHARD_CASE(PIN, pin)
        SHARD_CASE(PINNED, pinned)
        SHARD_CASE(BOUNDARY, boundary)
        SHARD_CASE(BOUNDED, bounded)
        SHARD_CASE(UNPIN, unpin)
        SHARD_CASE(UNPINNED, unpinned)
        SHARD_CASE(PROBE, probe)
        SHARD_CASE(PROBED, probed)
        SHARD_CASE(FETCH, fetch)
        SHARD_CASE(FETCHED, fetched)
        SHARD_CASE(ATTACH, attach)
        SHARD_CASE(ATTACHED, attached)
        SHARD_CASE(SUBSCRIBERS, subscribers)
        SHARD_CASE(DELIVER, deliver)
        SHARD_CASE(TAKEN, taken)
        SHARD_CASE(WANTED, wanted)
        SHARD_CASE(ENDED, ended)
        SHARD_CASE(SOURCES, sources)
        SHARD_CASE(SOURCED, sourced)
#undef SHARD_CASE
    default:
        return false;
    }
}

typedef bool take_frame(struct shard *shard, unsigned from, enum wire_type type, struct slice body);

/* Frames for which a full disk has room in the next turn only. */
static bool frames_wait(const struct shard *shard)
{
    return !shard->disk.stuck && disk_spent(&shard->disk);
}

/* Returns true if the link had frames: more may have come while they were worked on. */
static bool frames_take(struct shard *shard, struct peer *peer, unsigned from, take_frame *take)
{
    struct link *link = &peer->link;
    enum wire_type type;
    struct slice body;
    size_t cursor = 0;
    if (!link_receive(link, TURN_BYTES))
        return false;
    while (!frames_wait(shard) && link_next(link, &cursor, &type, &body)) {
        if (take(shard, from, type, body))
            continue;
        log_error("peer %u: %s does not belong here or is malformed", from, wire_name(type));
        link->dead = true;
        break;
    }
    link_release(link, cursor);
    link->readable_now = cursor > 0 || frames_wait(shard);
    if (frames_wait(shard))
        shard->turn_again = true;
    return cursor > 0;
}

/* What comes while a turn works still joins its commit, so that a commit is as large as the load allows. */
void frames_take_routers(struct shard *shard)
{
    bool more = true;
    for (unsigned pass = 0; more && pass < TURN_PASSES; pass++) {
        if (pass)
            sched_yield(); /* a router that is about to send more goes first */
        more = false;
        for (unsigned i = 0; i < PEERS_ROUTERS_MAX; i++)
            more |= frames_take(shard, &shard->peers.routers[i], i, frames_from_router);
    }
}

void frames_take_own(struct shard *shard)
{
    struct buf frames = shard->peers.self;
    enum wire_type type;
    struct slice body;
    size_t size;
    shard->peers.self = (struct buf){0};
    while (wire_peek(buf_slice(&frames), &type, &body, &size) == WIRE_PEEK_FRAME) {
        if (!frames_from_shard(shard, shard->peers.index, type, body))
            fatalx("a frame to myself is malformed: %s", wire_name(type));
        buf_consume(&frames, size);
    }
    buf_clear(&frames);
}

/* What comes over the bus says itself whose source it is of. */
void frames_take_bus(struct shard *shard)
{
    struct slice message;
    for (unsigned i = 0; i < TURN_MESSAGES && bus_receive(&shard->bus, &message); i++) {
        struct slice rest = message, body;
        enum wire_type type;
        struct wire_deliver m;
        size_t size;
        while (wire_peek(rest, &type, &body, &size) == WIRE_PEEK_FRAME) {
            rest = slice_of(rest.data + size, rest.len - size);
            if (type == WIRE_DELIVER && wire_get_deliver(body, &m) && layout_slot_of_uid(m.uid) < LAYOUT_SLOTS)
                on_deliver(shard, peers_owner_of_uid(&shard->peers, m.uid), &m);
            else
                log_error("bus: %s does not belong here or is malformed", wire_name(type));
        }
        bus_release(message);
    }
    if (shard->bus.readable_now)
        shard->turn_again = true;
}

void frames_take_shards(struct shard *shard)
{
    for (unsigned i = 0; i < shard->peers.layout.shards; i++)
        frames_take(shard, &shard->peers.shards[i], i, frames_from_shard);
}
