/* Each rule looks at one number of one process and prints a line if it is out of range, with what to do about it:
 *
 *     shard/1: the offload backlog is 73 % of segment.backlog_limit: the store takes segments too slowly
 *     router/0: uses 97 % of a core: raise router.workers
 *
 * Rates and quantiles are those of the period (`grown`); states and fill levels are those of now (`m`). The limits
 * are chosen so that a healthy server prints nothing. A slot whose process was never started, or a router that was
 * stopped, is skipped. */
#include "supervisor/cli/symptoms.h"

#include <inttypes.h>
#include <stdarg.h>

#include "common/clock.h"
#include "supervisor/children/child.h"

#define SLOW_US 25000u   /* a commit at the 99th percentile */
#define BEHIND_MS 1000u  /* a shard that is fed */
#define MUCH 50u         /* percent of a limit */
#define BUSY 90u         /* percent of a core */
#define BACKUPS_LATE 3u  /* intervals */
#define REFUSED_MANY 10u /* a second */

struct examination {
    FILE *out;
    const struct sample *grown;
    const struct config *cfg;
    unsigned found;
    char name[20]; /* of the process that is looked at */
};

static void symptoms_say(struct examination *e, const char *format, ...) PRINTF(2, 3);

static void symptoms_say(struct examination *e, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fprintf(e->out, "  %s: ", e->name);
    vfprintf(e->out, format, ap);
    fputc('\n', e->out);
    va_end(ap);
    e->found++;
}

static unsigned symptoms_percent(uint64_t part, uint64_t whole)
{
    return whole ? (unsigned)(part * 100 / whole) : 0;
}

/* ---- any process ---- */

static void symptoms_look_at_life(struct examination *e, const struct metrics *m, const struct sampled *grown)
{
    enum child_state state = (enum child_state)metrics_get(m, METRIC_STATE);
    if (state != CHILD_UP)
        symptoms_say(e, "is %s: its requests wait", child_state_name(state));
    if (grown->restarts > 1)
        symptoms_say(e, "died %" PRIu64 " times in this period: see the log", grown->restarts);
    else if (grown->restarts)
        symptoms_say(e, "died and was restarted in this period: see the log");
}

static void symptoms_look_at_cpu(struct examination *e, const struct sampled *grown, const char *remedy)
{
    unsigned busy = symptoms_percent(grown->cpu_ms, e->grown->time_ms);
    if (busy >= BUSY)
        symptoms_say(e, "uses %u %% of a core: %s", busy, remedy);
}

/* ---- shards ---- */

static void symptoms_look_at_commits(struct examination *e, const struct sampled *grown)
{
    uint64_t commit = metrics_quantile(grown->commits, 990, METRICS_US);
    uint64_t fsync = metrics_quantile(grown->fsyncs, 990, METRICS_US);
    /* Past the last bound of the histogram the quantile is unknown: the line then gives that bound, with "more
     * than". */
    const char *more = commit == UINT64_MAX ? "more than " : "";
    uint64_t ms = (commit == UINT64_MAX ? METRICS_STEP_US << (METRICS_BOUNDS - 1) : commit) / 1000;
    if (commit < SLOW_US)
        return;
    if (fsync >= commit / 2)
        symptoms_say(e, "commits take %s%" PRIu64 " ms (p99), most of it in fsync: the disk is slow", more, ms);
    else
        symptoms_say(e, "commits take %s%" PRIu64 " ms (p99), little of it in fsync: too large, or a busy disk", more,
                     ms);
}

static void symptoms_look_at_storage(struct examination *e, const struct metrics *m)
{
    unsigned backlog = symptoms_percent(metrics_get(m, METRIC_BACKLOG), metrics_get(m, METRIC_BACKLOG_LIMIT));
    uint64_t unflushed = metrics_get(m, METRIC_STORED + METRIC_KEPT_JOURNAL);
    if (metrics_get(m, METRIC_DISK_FULL))
        symptoms_say(e, "less than shard.disk_reserve is free on the disk: creates and appends are answered 507");
    if (metrics_get(m, METRIC_DISK_STUCK))
        symptoms_say(e, "the disk takes no more writes: deletes are also answered 507");
    if (metrics_get(m, METRIC_S3_UNREACHABLE))
        symptoms_say(e, "the store of segments does not answer: see the log");
    if (backlog >= 100)
        symptoms_say(e, "the offload backlog is past segment.backlog_limit: appends are answered 507");
    else if (backlog >= MUCH)
        symptoms_say(e, "the offload backlog is %u %% of segment.backlog_limit: the store takes segments too slowly",
                     backlog);
    if (unflushed > e->cfg->shard_flush_bytes * 2)
        symptoms_say(e, "flushing is behind: %" PRIu64 " MiB wait, shard.flush_bytes is %" PRIu64, unflushed >> 20,
                     e->cfg->shard_flush_bytes >> 20);
    if (metrics_get(m, METRIC_FETCH_WAITS))
        symptoms_say(e, "%" PRIu64 " requests wait for segments to be fetched", metrics_get(m, METRIC_FETCH_WAITS));
}

static void symptoms_look_at_fanout(struct examination *e, const struct metrics *m)
{
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++) {
        uint64_t behind = metrics_get(m, METRIC_PAIR_BEHIND_MS + i);
        if (behind >= BEHIND_MS)
            symptoms_say(e, "shard/%u has not acknowledged messages for its estuaries for %" PRIu64 " s", i,
                         behind / 1000);
    }
    if (metrics_get(m, METRIC_FANOUT_CIRCUITS))
        symptoms_say(e, "appends no longer wait for the estuaries of %" PRIu64 " slow shards",
                     metrics_get(m, METRIC_FANOUT_CIRCUITS));
}

/* ---- routers ---- */

static void symptoms_look_at_queues(struct examination *e, const struct metrics *m)
{
    static const struct {
        const char *what, *limit;
    } queues[METRIC_QUEUE_COUNT] = {
        [METRIC_QUEUE_SHARD] = {"requests for one shard", "router.queue_memory"},
        [METRIC_QUEUE_ANSWERS] = {"answers that clients do not take", "router.answer_memory"},
        [METRIC_QUEUE_BODIES] = {"arriving bodies", "router.body_memory"},
    };
    for (unsigned i = 0; i < METRIC_QUEUE_COUNT; i++) {
        unsigned full = symptoms_percent(metrics_get(m, METRIC_QUEUE + i), metrics_get(m, METRIC_QUEUE_LIMIT + i));
        if (full >= MUCH)
            symptoms_say(e, "%s fill %u %% of %s", queues[i].what, full, queues[i].limit);
    }
    unsigned full = symptoms_percent(metrics_get(m, METRIC_CONNECTIONS), metrics_get(m, METRIC_CONNECTIONS_LIMIT));
    if (full >= MUCH)
        symptoms_say(e, "has %u %% of limits.max_connections", full);
}

/* ---- all together ---- */

static void symptoms_look_at_errors(struct examination *e)
{
    static const struct {
        enum error error;
        const char *meaning;
    } rows[] = {
        {ERR_SEGMENT_MISSING, "the file of a segment is missing: `streamd verify` says which"},
        {ERR_SEGMENT_TRUNCATED, "the file of a segment is damaged: `streamd verify` says which"},
        {ERR_SEGMENT_UNAVAILABLE, "the store of segments did not answer"},
        {ERR_SHARD_UNAVAILABLE, "a shard was restarting"},
        {ERR_OVERLOADED, "a queue of a router was full"},
        {ERR_TOO_MANY_CONNECTIONS, "past limits.max_connections"},
        {ERR_AUTH_UNAVAILABLE, "the authorization service was unavailable"},
        {ERR_INTERNAL, "an internal error: see the log"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (e->grown->errors[rows[i].error])
            symptoms_say(e, "%" PRIu64 " answers %d %s: %s", e->grown->errors[rows[i].error],
                         error_status(rows[i].error), error_code(rows[i].error), rows[i].meaning);
}

static void symptoms_look_at_clients(struct examination *e)
{
    if (e->grown->dropped)
        symptoms_say(e, "%" PRIu64 " live readers were disconnected because they did not read", e->grown->dropped);
    if (e->grown->refused * 1000 > REFUSED_MANY * e->grown->time_ms)
        symptoms_say(e, "%" PRIu64 " requests were refused because of their tokens", e->grown->refused);
}

static void symptoms_look_at_backups(struct examination *e, const struct metrics *m)
{
    uint64_t interval = metrics_get(m, METRIC_BACKUP_INTERVAL), last = metrics_get(m, METRIC_BACKUP_LAST);
    uint64_t since = last ? last : metrics_get(m, METRIC_STARTED), now = clock_unix_ms();
    if (interval && now > since + BACKUPS_LATE * interval)
        symptoms_say(e, "the last complete backup is %" PRIu64 " minutes old%s", (now - since) / 60000,
                     last ? "" : ", or older: none was made since the start");
}

unsigned symptoms_write(FILE *out, const struct metrics_region *region, const struct sample *grown,
                        const struct config *cfg)
{
    struct examination e = {.out = out, .grown = grown, .cfg = cfg};
    for (unsigned slot = 0; slot < METRICS_SLOTS; slot++) {
        const struct metrics *m = metrics_at(region, slot);
        enum metrics_of of = metrics_slot_of(slot);
        if (!m || (of == METRICS_ROUTER && !metrics_get(m, METRIC_PID) && metrics_get(m, METRIC_STATE) == CHILD_DOWN))
            continue;
        metrics_slot_name(slot, e.name);
        symptoms_look_at_life(&e, m, &grown->list[slot]);
        if (of == METRICS_SUPERVISOR) {
            symptoms_look_at_backups(&e, m);
        } else if (of == METRICS_ROUTER) {
            symptoms_look_at_cpu(&e, &grown->list[slot], "raise router.workers");
            symptoms_look_at_queues(&e, m);
        } else {
            symptoms_look_at_cpu(&e, &grown->list[slot], "raise shard.count");
            symptoms_look_at_commits(&e, &grown->list[slot]);
            symptoms_look_at_storage(&e, m);
            symptoms_look_at_fanout(&e, m);
        }
    }
    snprintf(e.name, sizeof e.name, "clients");
    symptoms_look_at_errors(&e);
    symptoms_look_at_clients(&e);
    return e.found;
}
