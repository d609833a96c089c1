#include "shard/shard.h"

#include <sched.h>
#include <sys/time.h>
#include <time.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/random.h"
#include "shard/handlers/delete.h"
#include "shard/handlers/fork.h"
#include "shard/handlers/handlers.h"
#include "shard/handlers/list.h"
#include "shard/handlers/read.h"
#include "shard/handlers/subscribe.h"
#include "shard/janitor.h"
#include "shard/peers/disk.h"
#include "shard/segments/cold.h"
#include "shard/shard_role.h"
#include "shard/stats.h"
#include "shard/streams/watch.h"
#include "shard/tiering/flush.h"
#include "shard/tiering/offload.h"

/* Bytes taken from one link a turn: what is beyond waits in the socket, and its sender with it. */
#define TURN_BYTES ((size_t)2 << 20)
#define TURN_PASSES 4
#define TURN_MESSAGES 64 /* of the bus */
#define TICK_MS 200
#define LEAVE_MS 4000 /* an append may wait for fan-out */

/* ---- who is where ---- */

unsigned shard_owner_of_name(const struct shard *shard, struct slice name)
{
    return shard->layout.owner[layout_slot(name)];
}

unsigned shard_owner_of_uid(const struct shard *shard, uint64_t uid)
{
    unsigned slot = layout_slot_of_uid(uid);
    return slot < LAYOUT_SLOTS ? shard->layout.owner[slot] : shard->index;
}

struct buf *shard_out(struct shard *shard, unsigned index)
{
    if (index == shard->index)
        return &shard->self;
    struct link *link = &shard->shards[index].link;
    return link_up(link) ? &link->out : NULL;
}

struct buf *asker_out(struct shard *shard, struct asker asker)
{
    struct peer *peer = &shard->routers[asker.router];
    return peer->generation == asker.generation && link_up(&peer->link) ? &peer->link.out : NULL;
}

void asker_time(struct buf *out, struct asker asker)
{
    if (asker.taken_us)
        wire_put_timed(out, &(struct wire_timed){asker.id, asker.taken_us, clock_monotonic_us()});
}

void shard_time(struct shard *shard, unsigned router, uint64_t id, uint64_t taken_us)
{
    shard->routers[router].timed_id = id;
    shard->routers[router].taken_us = taken_us;
}

/* 0: nobody wants to know. */
static uint64_t shard_request_taken_us(struct shard *shard, struct asker asker)
{
    struct peer *peer = &shard->routers[asker.router];
    uint64_t taken = peer->timed_id == asker.id ? peer->taken_us : 0;
    peer->taken_us = 0;
    return taken;
}

bool shard_is_full(const struct shard *shard)
{
    return shard->disk_full || (shard->cfg->segment_store != SEGMENT_STORE_NONE &&
                                shard->streams.backlog > shard->cfg->segment_backlog_limit);
}

void shard_again(struct shard *shard)
{
    event_active(shard->again, EV_TIMEOUT, 0);
}

struct stream *shard_stream(struct shard *shard, struct slice name, enum error *error)
{
    struct stream *stream = streams_by_name(&shard->streams, name);
    if (stream && stream_expired(stream, shard->now_ms) && !stream->watcher_count)
        stream = shard->disk_stuck ? NULL : delete_expired(shard, stream);
    if (!stream) {
        *error = ERR_STREAM_NOT_FOUND;
        return NULL;
    }
    if (stream->row.state == STREAM_SOFT_DELETED) {
        *error = ERR_STREAM_GONE;
        return NULL;
    }
    return stream;
}

/* ---- frames in ---- */

static bool shard_on_time(struct shard *shard, unsigned router, struct slice body)
{
    struct wire_time m;
    if (!wire_get_time(body, &m))
        return false;
    shard_time(shard, router, m.id, clock_monotonic_us());
    return true;
}

static bool shard_from_router(struct shard *shard, unsigned router, enum wire_type type, struct slice body)
{
    struct asker asker = {.router = router, .generation = shard->routers[router].generation};
    switch (type) {
#define ROUTER_CASE(NAME, name)                                                                                        \
    case WIRE_##NAME: {                                                                                                \
        struct wire_##name m;                                                                                          \
        if (!wire_get_##name(body, &m))                                                                                \
            return false;                                                                                              \
        on_##name(shard, asker, &m);                                                                                   \
        return true;                                                                                                   \
    }
#define ROUTER_CASE_ID(NAME, name)                                                                                     \
    case WIRE_##NAME: {                                                                                                \
        struct wire_##name m;                                                                                          \
        if (!wire_get_##name(body, &m))                                                                                \
            return false;                                                                                              \
        asker.id = m.id;                                                                                               \
        asker.taken_us = shard_request_taken_us(shard, asker);                                                         \
        on_##name(shard, asker, &m);                                                                                   \
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
        return shard_on_time(shard, router, body);
    default:
        return false;
    }
}

/* Handling these frames writes to the database, and their sender repeats them until that is done. While the disk takes
 * nothing they are dropped. */
static bool shard_waits_for_room(enum wire_type type)
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

static bool shard_from_shard(struct shard *shard, unsigned from, enum wire_type type, struct slice body)
{
    if (shard->disk_stuck && shard_waits_for_room(type))
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

void shard_retake(struct shard *shard, bool router, unsigned index, struct slice frame)
{
    enum wire_type type;
    struct slice body;
    size_t size;
    if (wire_peek(frame, &type, &body, &size) != WIRE_PEEK_FRAME ||
        !(router ? shard_from_router : shard_from_shard)(shard, index, type, body))
        fatalx("a frame that was kept does not read back");
}

typedef bool take_frame(struct shard *shard, unsigned from, enum wire_type type, struct slice body);

/* Frames for which a full disk has room in the next turn only. */
static bool shard_wait_their_turn(const struct shard *shard)
{
    return !shard->disk_stuck && disk_spent(shard);
}

/* Returns true if the link had frames: more may have come while they were worked on. */
static bool shard_take_frames(struct shard *shard, struct peer *peer, unsigned from, take_frame *take)
{
    struct link *link = &peer->link;
    enum wire_type type;
    struct slice body;
    size_t cursor = 0;
    if (!link_receive(link, TURN_BYTES))
        return false;
    while (!shard_wait_their_turn(shard) && link_next(link, &cursor, &type, &body)) {
        if (take(shard, from, type, body))
            continue;
        log_error("peer %u: %s does not belong here or is malformed", from, wire_name(type));
        link->dead = true;
        break;
    }
    link_release(link, cursor);
    link->readable_now = cursor > 0 || shard_wait_their_turn(shard);
    if (shard_wait_their_turn(shard))
        shard_again(shard);
    return cursor > 0;
}

/* What comes while a turn works still joins its commit, so that a commit is as large as the load allows. */
static void shard_take_routers(struct shard *shard)
{
    bool more = true;
    for (unsigned pass = 0; more && pass < TURN_PASSES; pass++) {
        if (pass)
            sched_yield(); /* a router that is about to send more goes first */
        more = false;
        for (unsigned i = 0; i < SHARD_ROUTERS_MAX; i++)
            more |= shard_take_frames(shard, &shard->routers[i], i, shard_from_router);
    }
}

static void shard_take_own_frames(struct shard *shard)
{
    struct buf frames = shard->self;
    enum wire_type type;
    struct slice body;
    size_t size;
    shard->self = (struct buf){0};
    while (wire_peek(buf_slice(&frames), &type, &body, &size) == WIRE_PEEK_FRAME) {
        if (!shard_from_shard(shard, shard->index, type, body))
            fatalx("a frame to myself is malformed: %s", wire_name(type));
        buf_consume(&frames, size);
    }
    buf_clear(&frames);
    if (buf_len(&shard->self))
        shard_again(shard);
}

/* What comes over the bus says itself whose source it is of. */
static void shard_take_bus(struct shard *shard)
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
                on_deliver(shard, shard_owner_of_uid(shard, m.uid), &m);
            else
                log_error("bus: %s does not belong here or is malformed", wire_name(type));
        }
        bus_release(message);
    }
    if (shard->bus.readable_now)
        shard_again(shard);
}

/* ---- the turn ---- */

static void shard_commit(struct shard *shard)
{
    uint64_t began_us = clock_monotonic_us();
    if (!store_commit(shard->store))
        return;
    measure_commit(shard, began_us);
    disk_committed(shard);
}

static void shard_reap_router(struct shard *shard, unsigned router)
{
    struct peer *peer = &shard->routers[router];
    if (peer->link.fd < 0 || !peer->link.dead)
        return;
    watch_router_gone(shard, router);
    usage_router_gone(shard, router);
    peer->generation++;
    link_close(&peer->link);
}

static void shard_reap_shard(struct shard *shard, unsigned index)
{
    struct peer *peer = &shard->shards[index];
    if (peer->link.fd < 0 || !peer->link.dead)
        return;
    feeds_shard_down(shard, index);
    peer->generation++;
    link_close(&peer->link);
}

static void shard_flush_links(struct shard *shard)
{
    for (unsigned i = 0; i < SHARD_ROUTERS_MAX; i++)
        if (buf_len(&shard->routers[i].link.out))
            link_flush(&shard->routers[i].link);
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        if (buf_len(&shard->shards[i].link.out))
            link_flush(&shard->shards[i].link);
}

/* Every router has had an answer to all it has sent. What waits for a segment or for another shard may be asked again,
 * and is: of the successor. */
static bool shard_may_leave(struct shard *shard)
{
    if (clock_monotonic_ms() >= shard->leave_until_ms)
        return true;
    for (unsigned i = 0; i < SHARD_ROUTERS_MAX; i++) {
        const struct link *link = &shard->routers[i].link;
        if (link_up(link) && (!link->drained || buf_len(&link->out)))
            return false;
    }
    return !shard->streams.feeds.first;
}

void shard_turn(void *ctx)
{
    struct shard *shard = ctx;
    shard->now_ms = clock_unix_ms();
    shard->ticks_ms = clock_monotonic_ms();
    if (backup_holds(shard))
        return;
    shard->turn_appends = shard->turn_bytes = shard->turn_read = 0;
    read_turn(shard); /* large pages that the last turn put off */
    shard_take_routers(shard);
    for (unsigned i = 0; i < shard->layout.shards; i++)
        shard_take_frames(shard, &shard->shards[i], i, shard_from_shard);
    shard_take_bus(shard);
    shard_take_own_frames(shard);
    list_turn(shard);      /* listings that were asked for */
    feeds_turn(shard);     /* shards that are behind */
    usage_tell_all(shard); /* what this turn has added to projects */
    watch_tell_all(shard); /* events follow the answers of this turn */
    janitor_turn(shard);   /* expiry, deletion, forks' duties: by the tick */
    offload_turn(shard);   /* what is settled leaves the database */
    flush_turn(shard);     /* in the same transaction: no fsync of its own */
    shard_commit(shard);   /* from here on it is true */
    feeds_flush(shard);    /* and only now somebody hears of it */
    shard_flush_links(shard);
    backup_turn(shard); /* a copy of what is true now */
    fault_point("shard.after-reply");
    for (unsigned i = 0; i < SHARD_ROUTERS_MAX; i++)
        shard_reap_router(shard, i);
    for (unsigned i = 0; i < shard->layout.shards; i++)
        shard_reap_shard(shard, i);
    shard->tick_due = false;
    if (shard->stopping && (!shard->streams.touched_first || shard->disk_stuck))
        role_done(shard->role);
    if (!shard->stopping && shard->leave_until_ms && shard_may_leave(shard)) {
        fault_point("shard.left");
        shard_stop(shard);
    }
}

/* ---- the role ---- */

static void shard_on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ((struct shard *)arg)->tick_due = true;
}

static void shard_on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg; /* waking the loop was all */
}

static void shard_load_layout(struct shard *shard)
{
    const char *why = "it is missing";
    if (layout_load(shard->cfg->server_data_dir, &shard->layout, &why) != LAYOUT_LOADED)
        fatal_never_restart("%s/layout: %s", shard->cfg->server_data_dir, why);
}

void shard_start(void *ctx, struct event_base *base, const struct config *cfg, unsigned index)
{
    struct shard *shard = ctx;
    struct timeval tick = {0, TICK_MS * 1000};
    shard->base = base;
    shard->cfg = cfg;
    shard->metrics = role_metrics(shard->role);
    shard->index = index;
    shard->now_ms = clock_unix_ms();
    shard->ticks_ms = shard->written_ms = clock_monotonic_ms();
    shard->last_id = random_secret();
    for (unsigned i = 0; i < SHARD_ROUTERS_MAX; i++)
        link_close(&shard->routers[i].link);
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        link_close(&shard->shards[i].link);
    shard_load_layout(shard);
    shard->store = store_open(cfg->server_data_dir, index, cfg->shard_page_cache);
    disk_look(shard);
    read_init(shard);
    list_init(shard);
    worker_init(&shard->worker, base);
    objects_init(&shard->objects, cfg, base, &shard->worker);
    shard->objects.metrics = shard->metrics;
    objects_own(&shard->objects, shard->store);
    streams_init(&shard->streams, shard->store, cfg);
    feeds_init(&shard->streams.feeds, shard->now_ms);
    segments_init(&shard->streams.segments, shard->store, &shard->objects, cold_arrived, shard);
    streams_recover(&shard->streams, shard->now_ms);
    shard->journaled = shard->streams.journal_entries;
    shard->journaled_bytes = shard->streams.journal_bytes;
    inflows_init(&shard->inflows);
    if (!shard->disk_stuck)
        store_subscriptions_clean(shard->store);
    backup_init(shard);
    bus_open(&shard->bus, base, cfg->server_data_dir, index);
    feeds_recover(shard);
    shard->tick = event_new(base, -1, EV_PERSIST, shard_on_tick, shard);
    shard->again = event_new(base, -1, 0, shard_on_again, shard);
    if (!shard->tick || !shard->again || event_add(shard->tick, &tick) != 0)
        fatalx("cannot set up the tick");
    log_info("%zu streams with %llu unsettled appends", shard->streams.count,
             (unsigned long long)shard->streams.journal_entries);
}

void shard_peer(void *ctx, enum role_kind kind, unsigned index, int fd)
{
    struct shard *shard = ctx;
    if (kind == ROLE_ROUTER && index < SHARD_ROUTERS_MAX) {
        watch_router_gone(shard, index);
        usage_router_gone(shard, index);
        shard->routers[index].generation++;
        link_open(&shard->routers[index].link, shard->base, fd, index);
    } else if (kind == ROLE_SHARD && index < shard->layout.shards) {
        shard->shards[index].generation++;
        link_open(&shard->shards[index].link, shard->base, fd, index);
        fork_shard_up(shard, index);
        feeds_shard_up(shard, index);
        subscribe_shard_up(shard, index);
        read_shard_up(shard, index);
    } else {
        fatalx("a socket to a peer that cannot be: %d/%u", kind, index);
    }
}

void shard_backup(void *ctx, enum backup_step step, struct slice text)
{
    backup_step(ctx, step, text);
}

void shard_leave(void *ctx)
{
    struct shard *shard = ctx;
    shard->leave_until_ms = clock_monotonic_ms() + LEAVE_MS;
    for (unsigned i = 0; i < SHARD_ROUTERS_MAX; i++)
        link_quiesce(&shard->routers[i].link);
    fault_point("shard.leaving");
    shard_again(shard);
}

/* Nothing is in flight: the routers have stopped before us, or we have answered them. What was touched is written
 * down. */
void shard_stop(void *ctx)
{
    struct shard *shard = ctx;
    shard->stopping = true;
    shard_again(shard);
}

void shard_close(struct shard *shard)
{
    event_free(shard->tick);
    event_free(shard->again);
    for (unsigned i = 0; i < SHARD_ROUTERS_MAX; i++)
        link_close(&shard->routers[i].link);
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        link_close(&shard->shards[i].link);
    shard->stopping = true;
    shard->objects.stopping = true;
    worker_clear(&shard->worker); /* before the requests whose bytes it has */
    objects_clear(&shard->objects);
    offload_clear(shard);
    backup_clear(shard);
    cold_clear(shard);
    fork_clear(shard);
    subscribe_clear(shard);
    feeds_clear(shard);
    inflows_clear(&shard->inflows);
    bus_close(&shard->bus);
    read_clear(shard);
    list_clear(shard);
    buf_clear(&shard->self);
    streams_clear(&shard->streams);
    store_close(shard->store);
}
