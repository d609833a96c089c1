/* Frames in. Each is decoded and given to the handler of its message (common/wire.def). Links are read in passes: what
 * a router sends while this turn works still joins its commit, so that a commit is as large as the load allows. */
#include "shard/frames.h"

#include <sched.h>

#include "common/clock.h"
#include "common/log.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"

/* Bytes taken from one link a turn: what is beyond waits in the socket, and its sender with it. */
#define TURN_BYTES ((size_t)2 << 20)
#define TURN_PASSES 4
#define TURN_MESSAGES 64 /* of the bus */

/* ---- from a frame to its handler ---- */

/* Who sent it is a router or a shard, by the message's direction. False: the frame is malformed. */
typedef bool frames_handler(struct shard *shard, unsigned from, struct slice body);

/* TIME is about the frame behind it. */
void on_time(struct shard *shard, struct asker asker, const struct wire_time *m)
{
    peers_time(&shard->peers, asker.router, m->id, clock_monotonic_us());
}

#define ANSWER(NAME) m.id
#define NO_ANSWER 0
#define ROUTER_TO_SHARD(name, id)                                                                                      \
    static bool frames_handle_##name(struct shard *shard, unsigned router, struct slice body)                          \
    {                                                                                                                  \
        struct wire_##name m;                                                                                          \
        bool good = wire_get_##name(body, &m);                                                                         \
        if (good)                                                                                                      \
            on_##name(shard, peers_asker(&shard->peers, router, id), &m);                                              \
        return good;                                                                                                   \
    }
#define SHARD_TO_SHARD(name, id)                                                                                       \
    static bool frames_handle_##name(struct shard *shard, unsigned from, struct slice body)                            \
    {                                                                                                                  \
        struct wire_##name m;                                                                                          \
        bool good = wire_get_##name(body, &m);                                                                         \
        if (good)                                                                                                      \
            on_##name(shard, from, &m);                                                                                \
        return good;                                                                                                   \
    }
#define ANSWER_TO_ROUTER(name, id)
#define SHARD_TO_ROUTER(name, id)
#define ROUTER_TO_ROUTER(name, id)
#define INSIDE(name, id)
#define MESSAGE(NAME, name, direction, answer, room, fields) direction(name, answer)
#include "common/wire.def"
#undef MESSAGE
#undef SHARD_TO_SHARD
#undef ROUTER_TO_SHARD
#undef NO_ANSWER
#undef ANSWER

static frames_handler *const frames_handlers[WIRE_TYPE_COUNT] = {
#define ROUTER_TO_SHARD(NAME, name) [WIRE_##NAME] = frames_handle_##name,
#define SHARD_TO_SHARD(NAME, name) [WIRE_##NAME] = frames_handle_##name,
#define MESSAGE(NAME, name, direction, answer, room, fields) direction(NAME, name)
#include "common/wire.def"
#undef MESSAGE
#undef SHARD_TO_SHARD
#undef ROUTER_TO_SHARD
#undef INSIDE
#undef ROUTER_TO_ROUTER
#undef SHARD_TO_ROUTER
#undef ANSWER_TO_ROUTER
};

static bool frames_from_router(struct shard *shard, unsigned router, enum wire_type type, struct slice body)
{
    return wire_direction(type) == WIRE_ROUTER_TO_SHARD && frames_handlers[type](shard, router, body);
}

static bool frames_from_shard(struct shard *shard, unsigned from, enum wire_type type, struct slice body)
{
    if (shard->disk.stuck && wire_waits_for_room(type))
        return true; /* it is dropped, and comes again */
    return wire_direction(type) == WIRE_SHARD_TO_SHARD && frames_handlers[type](shard, from, body);
}

/* ---- from the sockets ---- */

typedef bool take_frame(struct shard *shard, unsigned from, enum wire_type type, struct slice body);

/* Frames for which a full disk has room in the next turn only. On a disk that is stuck frames are taken, and answered
 * with an error or dropped: their senders must not hang. */
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
        log_error("peer %u: unexpected or malformed %s", from, wire_name(type));
        link->dead = true;
        break;
    }
    link_release(link, cursor);
    link->readable_now = cursor > 0 || frames_wait(shard);
    if (frames_wait(shard))
        shard->turn_again = true;
    return cursor > 0;
}

/* Frames that arrive while a turn works join its commit, so that a commit is as large as the load allows. */
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

/* A message of the bus has no sender: the shard is that of the source's uid. */
void frames_take_bus(struct shard *shard)
{
    struct slice message;
    for (unsigned i = 0; i < TURN_MESSAGES && bus_receive(&shard->bus, &message); i++) {
        struct slice rest = message, body;
        enum wire_type type;
        struct wire_deliver m;
        size_t size;
        while (wire_peek(rest, &type, &body, &size) == WIRE_PEEK_FRAME) {
            rest = slice_from(rest, size);
            if (type == WIRE_DELIVER && wire_get_deliver(body, &m) && layout_slot_of_uid(m.uid) < LAYOUT_SLOTS)
                on_deliver(shard, peers_owner_of_uid(&shard->peers, m.uid), &m);
            else
                log_error("bus: unexpected or malformed %s", wire_name(type));
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
