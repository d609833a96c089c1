/* `streamd status`: the control socket's command. status_turn() keeps two samples, ten and up to twenty seconds old.
 * An answer shows what has grown since the older one: a rate of the last moment would jump, and one since the start
 * would hide what is wrong now.
 *
 *     ok streamd VERSION, N requests/s
 *     PROCESS / SHARD / ROUTER / FAN-OUT tables, one line for each process or pair of shards
 *     What is slow, and why (the last 14s):
 *       shard/0: commits take 31 ms (p99), most of it in fsync: the disk is slow
 *
 * States and sizes are read from the region now, rates come from the difference. The text belongs to struct status
 * and lives until the next answer. */
#include "supervisor/cli/status.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/version.h"
#include "supervisor/children/child.h"
#include "supervisor/cli/symptoms.h"

#define EVERY_MS 10000u

void status_open(struct status *status, const struct metrics_region *region, const struct config *cfg, uint64_t now_ms)
{
    *status = (struct status){.region = region, .cfg = cfg, .next_ms = now_ms + EVERY_MS};
    for (size_t i = 0; i < 2; i++) {
        status->samples[i] = xmalloc(sizeof *status->samples[i]);
        sample_take(status->samples[i], region, now_ms);
    }
}

void status_close(struct status *status)
{
    free(status->samples[0]);
    free(status->samples[1]);
    free(status->text);
}

void status_turn(struct status *status, uint64_t now_ms)
{
    if (now_ms < status->next_ms)
        return;
    /* The two buffers change places: the older sample is overwritten by a new one, so samples[0] is always the
     * older. */
    struct sample *oldest = status->samples[0];
    status->samples[0] = status->samples[1];
    status->samples[1] = oldest;
    sample_take(oldest, status->region, now_ms);
    status->next_ms = now_ms + EVERY_MS;
}

/* ---- numbers for people ---- */

struct text {
    char text[24];
};

/* The unit changes at 1024, and a value below ten has one decimal: 812B, 1.5K, 340M. Tenths are computed as an
 * integer: a double would round 9.97 up to "10.0". */
static struct text status_bytes(uint64_t value)
{
    static const char units[] = "BKMGTPE";
    struct text t;
    unsigned unit = 0;
    uint64_t tenths = value * 10;
    for (; tenths >= 10240; unit++)
        tenths /= 1024;
    if (unit && tenths < 100)
        snprintf(t.text, sizeof t.text, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10, tenths % 10, units[unit]);
    else
        snprintf(t.text, sizeof t.text, "%" PRIu64 "%c", tenths / 10, units[unit]);
    return t;
}

static struct text status_duration(uint64_t ms)
{
    struct text t;
    uint64_t s = ms / 1000;
    if (s < 60)
        snprintf(t.text, sizeof t.text, "%" PRIu64 "s", s);
    else if (s < 3600)
        snprintf(t.text, sizeof t.text, "%" PRIu64 "m%" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(t.text, sizeof t.text, "%" PRIu64 "h%" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(t.text, sizeof t.text, "%" PRIu64 "d%" PRIu64 "h", s / 86400, s / 3600 % 24);
    return t;
}

/* The bound of a bucket: "0.8 ms"; "-" where nothing was measured. */
static struct text status_latency(const uint64_t *cells, unsigned thousandths)
{
    struct text t = {"-"};
    uint64_t us = metrics_quantile(cells, thousandths, METRICS_US);
    if (us == UINT64_MAX)
        snprintf(t.text, sizeof t.text, ">%u s", (METRICS_STEP_US << (METRICS_BOUNDS - 1)) / 1000000);
    else if (us >= 10000)
        snprintf(t.text, sizeof t.text, "%" PRIu64 " ms", us / 1000);
    else if (us >= 100)
        snprintf(t.text, sizeof t.text, "%" PRIu64 ".%" PRIu64 " ms", us / 1000, us / 100 % 10);
    else if (us)
        snprintf(t.text, sizeof t.text, "<0.1 ms");
    return t;
}

static uint64_t status_per_second(uint64_t count, const struct sample *grown)
{
    return grown->time_ms ? count * 1000 / grown->time_ms : 0;
}

/* ---- the parts ---- */

struct report {
    FILE *out;
    const struct metrics_region *region;
    const struct sample *grown;
};

/* The next slot of that kind from *slot on: of a router's two slots the one where a process is. */
static const struct metrics *status_next(const struct report *report, enum metrics_of of, unsigned *slot, char name[20])
{
    for (; *slot < METRICS_SLOTS; ++*slot) {
        const struct metrics *m = metrics_at(report->region, *slot);
        bool routes = metrics_slot_of(*slot) == METRICS_ROUTER;
        bool gone = m && routes && metrics_get(m, METRIC_STATE) == CHILD_DOWN;
        if (!m || gone || (of != METRICS_PROCESS && metrics_slot_of(*slot) != of))
            continue;
        metrics_slot_name(*slot, name);
        return m;
    }
    return NULL;
}

static void status_write_processes(const struct report *report)
{
    char name[20];
    const struct metrics *m;
    uint64_t now = clock_unix_ms();
    fprintf(report->out, "%-12s %-9s %8s %8s %7s %8s %5s\n", "PROCESS", "STATE", "PID", "UP", "DEATHS", "MEMORY",
            "CPU");
    for (unsigned slot = 0; (m = status_next(report, METRICS_PROCESS, &slot, name)); slot++) {
        uint64_t started = metrics_get(m, METRIC_STARTED);
        bool lives = metrics_get(m, METRIC_PID) != 0;
        fprintf(report->out, "%-12s %-9s %8" PRIu64 " %8s %7" PRIu64 " %8s %4" PRIu64 "%%\n", name,
                child_state_name((enum child_state)metrics_get(m, METRIC_STATE)), metrics_get(m, METRIC_PID),
                lives && now > started ? status_duration(now - started).text : "-", metrics_get(m, METRIC_RESTARTS),
                status_bytes(metrics_get(m, METRIC_MEMORY)).text,
                status_per_second(report->grown->list[slot].cpu_ms, report->grown) / 10);
    }
}

static void status_write_shards(const struct report *report)
{
    char name[20];
    const struct metrics *m;
    fprintf(report->out, "\n%-12s %10s %9s %9s %9s %8s %8s %8s %8s\n", "SHARD", "STREAMS", "APPENDS/S", "COMMIT", "P99",
            "JOURNAL", "CHUNKS", "SEGMENTS", "BACKLOG");
    for (unsigned slot = 0; (m = status_next(report, METRICS_SHARD, &slot, name)); slot++) {
        const struct sampled *grown = &report->grown->list[slot];
        fprintf(report->out, "%-12s %10" PRIu64 " %9" PRIu64 " %9s %9s %8s %8s %8s %8s\n", name,
                metrics_get(m, METRIC_STREAMS), status_per_second(grown->appends, report->grown),
                status_latency(grown->commits, 500).text, status_latency(grown->commits, 990).text,
                status_bytes(metrics_get(m, METRIC_STORED + METRIC_KEPT_JOURNAL)).text,
                status_bytes(metrics_get(m, METRIC_STORED + METRIC_KEPT_CHUNKS)).text,
                status_bytes(metrics_get(m, METRIC_STORED + METRIC_KEPT_SEGMENTS)).text,
                status_bytes(metrics_get(m, METRIC_BACKLOG)).text);
    }
}

static void status_write_routers(const struct report *report)
{
    char name[20];
    const struct metrics *m;
    fprintf(report->out, "\n%-12s %11s %10s %13s %9s %8s %8s %8s\n", "ROUTER", "CONNECTIONS", "LONG-POLLS",
            "EVENT STREAMS", "WATCHED", "FRAMES", "ANSWERS", "BODIES");
    for (unsigned slot = 0; (m = status_next(report, METRICS_ROUTER, &slot, name)); slot++)
        fprintf(report->out, "%-12s %11" PRIu64 " %10" PRIu64 " %13" PRIu64 " %9" PRIu64 " %8s %8s %8s\n", name,
                metrics_get(m, METRIC_CONNECTIONS), metrics_get(m, METRIC_READERS + METRIC_READER_LONG_POLL),
                metrics_get(m, METRIC_READERS + METRIC_READER_SSE), metrics_get(m, METRIC_WATCHED),
                status_bytes(metrics_get(m, METRIC_QUEUE + METRIC_QUEUE_SHARD)).text,
                status_bytes(metrics_get(m, METRIC_QUEUE + METRIC_QUEUE_ANSWERS)).text,
                status_bytes(metrics_get(m, METRIC_QUEUE + METRIC_QUEUE_BODIES)).text);
}

/* The pairs of shards between which something is under way. */
static void status_write_fanout(const struct report *report)
{
    char name[20], to[20];
    const struct metrics *m;
    bool any = false;
    for (unsigned slot = 0; (m = status_next(report, METRICS_SHARD, &slot, name)); slot++)
        for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++) {
            uint64_t behind = metrics_get(m, METRIC_PAIR_BEHIND_MS + i), way = metrics_get(m, METRIC_PAIR_BYTES + i);
            if (!behind && !way)
                continue;
            if (!any)
                fprintf(report->out, "\n%-12s %-12s %9s %9s\n", "FAN-OUT FROM", "TO", "BEHIND", "UNDER WAY");
            any = true;
            metrics_slot_name(metrics_slot(METRICS_SHARD, i), to);
            fprintf(report->out, "%-12s %-12s %6" PRIu64 " ms %9s\n", name, to, behind, status_bytes(way).text);
        }
    if (!any)
        fprintf(report->out, "\nFan-out: every shard has taken all there is.\n");
}

static void status_write_all(const struct status *status, FILE *out, const struct sample *grown)
{
    const struct report report = {.out = out, .region = status->region, .grown = grown};
    fprintf(out, "ok streamd " STREAMD_VERSION ", %" PRIu64 " requests/s\n\n",
            status_per_second(grown->requests, grown));
    status_write_processes(&report);
    status_write_shards(&report);
    status_write_routers(&report);
    status_write_fanout(&report);
    fprintf(out, "\nWhat is slow, and why (the last %s):\n", status_duration(grown->time_ms).text);
    if (!symptoms_write(out, status->region, grown, status->cfg))
        fprintf(out, "  nothing\n");
}

const char *status_say(struct status *status, uint64_t now_ms)
{
    struct sample *grown = xmalloc(sizeof *grown);
    size_t len = 0;
    free(status->text);
    status->text = NULL;
    FILE *out = open_memstream(&status->text, &len);
    if (!out)
        fatal("open_memstream");
    sample_take(grown, status->region, now_ms);
    sample_subtract(grown, status->samples[0]);
    status_write_all(status, out, grown);
    free(grown);
    if (fclose(out) != 0)
        fatal("open_memstream");
    /* open_memstream(3) gives the final length only after fclose(). */
    status->text[len - 1] = '\0'; /* the line's end comes with the answer */
    return status->text;
}
