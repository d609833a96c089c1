/* Gauges are set from what the shard has, counters grow where something happens. Sums over the table of segments cost a
 * walk, so stats_segments() goes through it a part at a time; until a round has ended the gauges show the last one. */
#include "shard/stats.h"

#include "common/clock.h"
#include "common/metrics.h"
#include "shard/shard.h"
#include "shard/store/store_disk.h"
#include "shard/store/store_orphan.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_wal.h"

#define SEGMENTS_AT_ONCE 5000
#define ORPHANS_MOST 10000

void stats_commit(struct shard *shard, uint64_t began_us)
{
    struct metrics *m = shard->metrics;
    uint64_t synced_us = store_synced_us(shard->store);
    if (!synced_us && !shard->turn_appends)
        return; /* there was nothing to write */
    metrics_observe_us(m, METRIC_COMMIT_US, clock_monotonic_us() - began_us);
    if (synced_us)
        metrics_observe_us(m, METRIC_FSYNC_US, synced_us);
    if (!shard->turn_appends)
        return;
    metrics_observe(m, METRIC_BATCH, shard->turn_appends, 1);
    metrics_add(m, METRIC_APPENDS, shard->turn_appends);
    metrics_add(m, METRIC_APPEND_BYTES, shard->turn_bytes);
}

/* For how long a shard has not taken what there is for it. */
static uint64_t stats_behind_ms(struct feed_peer *peer, uint64_t now_ms)
{
    if (!peer->window.bytes && list_empty(&peer->ready)) {
        peer->window.behind_since_ms = 0;
        return 0;
    }
    if (!peer->window.behind_since_ms)
        peer->window.behind_since_ms = now_ms;
    if (peer->window.progress_ms > peer->window.behind_since_ms)
        peer->window.behind_since_ms = peer->window.progress_ms;
    return now_ms > peer->window.behind_since_ms ? now_ms - peer->window.behind_since_ms : 0;
}

static void stats_fanout(struct shard *shard)
{
    struct metrics *m = shard->metrics;
    uint64_t furthest = 0, most = 0, circuits = 0;
    for (unsigned i = 0; i < shard->peers.layout.shards; i++) {
        struct feed_peer *peer = &shard->streams.feeds.peers[i];
        uint64_t behind = stats_behind_ms(peer, shard->ticks_ms);
        metrics_set(m, METRIC_PAIR_BEHIND_MS + i, behind);
        metrics_set(m, METRIC_PAIR_BYTES + i, peer->window.bytes);
        furthest = behind > furthest ? behind : furthest;
        most = peer->window.bytes > most ? peer->window.bytes : most;
        circuits += peer->circuit.open_until_ms > shard->ticks_ms;
    }
    metrics_set(m, METRIC_FANOUT_BEHIND, furthest);
    metrics_set(m, METRIC_FANOUT_WINDOW, most);
    metrics_set(m, METRIC_FANOUT_WINDOW_LIMIT, shard->cfg->fanout_window);
    metrics_set(m, METRIC_FANOUT_CIRCUITS, circuits);
}

void stats_tick(struct shard *shard)
{
    struct metrics *m = shard->metrics;
    const struct streams *streams = &shard->streams;
    metrics_set(m, METRIC_STREAMS, streams->usages.streams);
    metrics_set(m, METRIC_STREAMS_IN_MEMORY, streams_count(streams));
    metrics_set(m, METRIC_STORED + METRIC_KEPT_JOURNAL, streams->journal_bytes);
    metrics_set(m, METRIC_UNFLUSHED, streams->journal_entries);
    metrics_set(m, METRIC_BACKLOG, streams->backlog);
    metrics_set(m, METRIC_BACKLOG_LIMIT, shard->cfg->segment_backlog_limit);
    metrics_set(m, METRIC_OFFLOADS, shard->offloads.count);
    metrics_set(m, METRIC_FETCH_WAITS, shard->streams.segments.fetches.waits);
    metrics_set(m, METRIC_DISK_FULL, shard->disk.full);
    metrics_set(m, METRIC_DISK_STUCK, shard->disk.stuck);
    metrics_set(m, METRIC_S3_UNREACHABLE, shard->objects.unreachable);
    stats_fanout(shard);
}

/* A few at a time, round and round. */
static void stats_segments(struct shard *shard)
{
    struct metrics *m = shard->metrics;
    struct segment_sums *sums = &shard->segment_sums;
    if (store_segments_sum(shard->store, sums, SEGMENTS_AT_ONCE))
        return;
    const struct streams *streams = &shard->streams;
    uint64_t elsewhere = streams->journal_bytes + sums->bytes;
    metrics_set(m, METRIC_SEGMENTS, sums->count);
    metrics_set(m, METRIC_SEGMENT_FILES, sums->size);
    metrics_set(m, METRIC_STORED + METRIC_KEPT_SEGMENTS, sums->bytes);
    metrics_set(m, METRIC_STORED + METRIC_KEPT_CHUNKS,
                streams->usages.bytes > elsewhere ? streams->usages.bytes - elsewhere : 0);
    *sums = (struct segment_sums){0};
}

void stats_upkeep(struct shard *shard)
{
    metrics_set(shard->metrics, METRIC_DATABASE, store_size(shard->store));
    metrics_set(shard->metrics, METRIC_ORPHANS, store_orphan_count(shard->store, ORPHANS_MOST));
    stats_segments(shard);
}
