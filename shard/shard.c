/* The turn: what a shard does between two waits for its sockets.
 *
 *     take frames -> handlers add to the journal or to a -> upkeep -> seal: one commit,
 *          ^         transaction, and put answers into                answers are marked with its number
 *          |         buffers                                                     |
 *          |                                                                     v
 *          +--- the loop waits, or goes on at once <- flush: a transaction <- release, if it
 *               if work is left over                  nobody waits for        is durable
 *
 *     a commit is durable -> what is marked with it, or with an earlier one, leaves
 *
 * Nothing leaves before its commit is durable: not an answer, not an event, not a frame to another shard, not a message
 * on the bus. The local database is durable when sealing returns, so the two lines above are one, and a turn is the
 * group commit: while it commits, the next turn's frames gather in the sockets. With another keeper
 * (shard/store/commit.h) turns go on while commits are under way. If one fails the process ends. Nobody has heard of
 * anything that was not durable; a keeper must see to it that the successor does not begin with a database that is
 * ahead. */
#include "shard/shard.h"

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "shard/fanout/feed.h"
#include "shard/fanout/feed_send.h"
#include "shard/fanout/feed_wait.h"
#include "shard/frames.h"
#include "shard/handlers/delete.h"
#include "shard/handlers/fork.h"
#include "shard/handlers/listing.h"
#include "shard/handlers/read.h"
#include "shard/handlers/remote_read.h"
#include "shard/handlers/subscribe.h"
#include "shard/handlers/subscribe_cycle.h"
#include "shard/janitor.h"
#include "shard/shard_role.h"
#include "shard/stats.h"
#include "shard/streams/watch.h"
#include "shard/tiering/flush.h"
#include "shard/tiering/offload.h"
#include "shard/store/commit.h"
#include "shard/store/store.h"
#include "shard/store/store_fanout.h"
#include "shard/streams/recover.h"

#define TICK_MS 200
#define LEAVE_MS 4000 /* an append may wait for fan-out */

/* ---- the turn ---- */

static void shard_commit(struct shard *shard)
{
    uint64_t began_us = clock_monotonic_us();
    if (!store_commit(shard->store))
        return;
    stats_commit(shard, began_us);
    disk_committed(&shard->disk);
}

/* Everything that this turn has put aside belongs to the newest commit, also if the turn has written nothing: it may
 * have read rows of a commit that is not durable. */
static void shard_seal(struct shard *shard)
{
    const struct commits *commits = store_commits(shard->store);
    shard_commit(shard);
    feed_send_seal(shard, commits->sealed, commits->durable);
    peers_seal(&shard->peers, commits->sealed, commits->durable);
}

/* At the end of a turn, and whenever commits have become durable. */
static void shard_release(void *ctx)
{
    struct shard *shard = ctx;
    uint64_t durable = store_commits(shard->store)->durable;
    feed_send_release(shard, durable);
    peers_release(&shard->peers, durable);
}

static bool shard_is_durable(const struct shard *shard)
{
    const struct commits *commits = store_commits(shard->store);
    return commits_are_durable(commits, commits->sealed);
}

static void shard_reap(struct shard *shard)
{
    for (unsigned i = 0; i < PEERS_ROUTERS_MAX; i++)
        if (peers_reap(&shard->peers.routers[i])) {
            watch_router_gone(shard, i);
            usage_router_gone(shard, i);
        }
    for (unsigned i = 0; i < shard->peers.layout.shards; i++)
        if (peers_reap(&shard->peers.shards[i]))
            feeds_shard_down(shard, i);
}

/* Every router has had an answer to all it has sent. What waits for a segment or for another shard may be asked again,
 * and is: of the successor. */
static bool shard_may_leave(struct shard *shard)
{
    if (clock_monotonic_ms() >= shard->leave_until_ms)
        return true;
    return peers_routers_answered(&shard->peers) && !feed_wait_any(shard);
}

/* Work that is left over, and frames to this shard itself, get another turn at once, without a socket that wakes it. */
static void shard_go_again(struct shard *shard)
{
    if (shard->turn_again || buf_len(&shard->peers.self))
        event_active(shard->wake, EV_TIMEOUT, 0);
}

static void shard_leave_if_done(struct shard *shard)
{
    if (shard->stopping && (!buf_len(&shard->streams.touched) || shard->disk.stuck) && shard_is_durable(shard))
        role_done(shard->role);
    if (!shard->stopping && shard->leave_until_ms && shard_may_leave(shard)) {
        fault_point("shard.left");
        shard_stop(shard);
    }
}

void shard_turn_at(struct shard *shard, uint64_t now_ms, uint64_t ticks_ms)
{
    shard->now_ms = now_ms;
    shard->ticks_ms = ticks_ms;
    if (backup_holds(shard))
        return;
    shard->turn_appends = shard->turn_bytes = shard->turn_read = 0;
    shard->turn_again = false;
    read_turn(shard); /* large pages that the last turn put off */
    frames_take_routers(shard);
    frames_take_shards(shard);
    frames_take_bus(shard);
    frames_take_own(shard);
    listing_turn(shard);     /* listings that were asked for */
    feed_send_turn(shard);   /* shards that are behind */
    usage_notify_all(shard); /* what this turn has added to projects */
    watch_notify_all(shard); /* events follow the answers of this turn */
    delete_turn(shard);      /* streams that were found expired, or that nothing holds any more */
    janitor_turn(shard);     /* by the tick: expiry, sweeping, giving up on questions */
    offload_turn(shard);     /* what is flushed leaves the database */
    orphans_turn(shard);     /* files that no stream needs go */
    shard_seal(shard);       /* one commit; from the moment that it is durable all this is true */
    shard_release(shard);    /* and only then somebody hears of it */
    flush_turn(shard);       /* a transaction of its own, which waits for no fsync */
    backup_turn(shard);      /* a copy of what is there now */
    fault_point("shard.after-reply");
    shard_reap(shard);
    shard->tick_due = false;
    shard_leave_if_done(shard);
    shard_go_again(shard);
}

void shard_turn(void *ctx)
{
    shard_turn_at(ctx, clock_unix_ms(), clock_monotonic_ms());
}

/* ---- the role ---- */

static void shard_on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ((struct shard *)arg)->tick_due = true;
}

static void shard_on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg; /* waking the loop was all */
}

/* Readings that waited for a segment have gone on, perhaps in the middle of a turn. */
static void shard_on_resumed(void *ctx)
{
    ((struct shard *)ctx)->turn_again = true;
}

void shard_start(void *ctx, struct event_base *base, const struct config *cfg, unsigned index)
{
    struct shard *shard = ctx;
    struct timeval tick = {0, TICK_MS * 1000};
    shard->base = base;
    shard->cfg = cfg;
    shard->metrics = role_metrics(shard->role);
    shard->now_ms = clock_unix_ms();
    shard->ticks_ms = shard->written_ms = clock_monotonic_ms();
    peers_init(&shard->peers, base, cfg->server_data_dir, index);
    shard->store = store_open(cfg->server_data_dir, index, cfg->shard_page_cache);
    store_commits(shard->store)->on_durable = shard_release;
    store_commits(shard->store)->ctx = shard;
    disk_init(&shard->disk, shard->store, cfg, shard->metrics, shard->peers.layout.shards);
    asks_init(&shard->asks[ASK_FORK], &fork_questions, &shard->peers, shard);
    asks_init(&shard->asks[ASK_READ], &remote_read_questions, &shard->peers, shard);
    asks_init(&shard->asks[ASK_ATTACH], &subscribe_questions, &shard->peers, shard);
    asks_init(&shard->asks[ASK_CYCLE], &subscribe_cycle_questions, &shard->peers, shard);
    read_init(shard);
    listing_init(shard);
    worker_init(&shard->worker, base);
    objects_init(&shard->objects, cfg, base, &shard->worker);
    shard->objects.metrics = shard->metrics;
    objects_own(&shard->objects, shard->store);
    offload_init(shard);
    orphans_init(shard);
    streams_init(&shard->streams, shard->store, cfg);
    segments_init(&shard->streams.segments, shard->store, &shard->objects, shard_on_resumed, shard);
    streams_recover(&shard->streams, shard->now_ms);
    shard->journaled = shard->streams.journal_entries;
    shard->journaled_bytes = shard->streams.journal_bytes;
    sources_init(&shard->sources);
    if (!shard->disk.stuck) {
        store_subscriptions_clean(shard->store);
    }
    backup_init(shard);
    bus_open(&shard->bus, base, cfg->server_data_dir, index);
    feeds_recover(shard);
    shard->tick = event_new(base, -1, EV_PERSIST, shard_on_tick, shard);
    shard->wake = event_new(base, -1, 0, shard_on_wake, shard);
    if (!shard->tick || !shard->wake || event_add(shard->tick, &tick) != 0)
        fatalx("cannot set up the tick");
    log_info("%zu streams with %llu unflushed appends", streams_count(&shard->streams),
             (unsigned long long)shard->streams.journal_entries);
}

void shard_peer(void *ctx, enum role_kind kind, unsigned index, int fd)
{
    struct shard *shard = ctx;
    if (kind == ROLE_ROUTER && index < PEERS_ROUTERS_MAX) {
        watch_router_gone(shard, index);
        usage_router_gone(shard, index);
        peers_router_up(&shard->peers, index, fd);
    } else if (kind == ROLE_SHARD && index < shard->peers.layout.shards) {
        peers_shard_up(&shard->peers, index, fd);
        for (unsigned i = 0; i < ASK_KINDS; i++)
            asks_shard_up(&shard->asks[i], index);
        feeds_shard_up(shard, index);
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
    peers_quiesce_routers(&shard->peers);
    fault_point("shard.leaving");
    shard->turn_again = true;
}

/* Nothing is in flight: the routers have stopped before us, or we have answered them. What was touched is written
 * down. */
void shard_stop(void *ctx)
{
    struct shard *shard = ctx;
    shard->stopping = true;
    fetches_stop(&shard->streams.segments.fetches);
    shard->turn_again = true;
}

void shard_close(struct shard *shard)
{
    event_free(shard->tick);
    event_free(shard->wake);
    shard->stopping = true;
    shard->objects.stopping = true;
    fetches_stop(&shard->streams.segments.fetches);
    worker_clear(&shard->worker); /* before the requests whose bytes it has */
    objects_clear(&shard->objects);
    offload_clear(shard);
    orphans_clear(shard);
    backup_clear(shard);
    for (unsigned i = 0; i < ASK_KINDS; i++)
        asks_clear(&shard->asks[i]);
    feeds_clear(shard);
    sources_clear(&shard->sources);
    bus_close(&shard->bus);
    read_clear(shard);
    listing_clear(shard);
    peers_clear(&shard->peers);
    streams_clear(&shard->streams);
    store_close(shard->store);
}
