/* The region outlives the processes that count in it, so a counter goes on after a restart. Only the supervisor knows
 * whether a process lives; memory and processor time it reads from /proc, because a process that hangs cannot say. */
#include "supervisor/children/stats.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/children/process.h"

#define EVERY_MS 2000u

static void stats_started(struct metrics *m, pid_t pid)
{
    metrics_set(m, METRIC_PID, (uint64_t)pid);
    metrics_set(m, METRIC_CPU_SEEN, 0);
    metrics_set(m, METRIC_STARTED, clock_unix_ms());
}

void stats_open(struct stats *stats, int fd)
{
    *stats = (struct stats){.fd = fd, .region = fd >= 0 ? metrics_map(fd) : NULL};
    if (!stats->region) {
        if (fd >= 0)
            close(fd);
        stats->fd = metrics_make();
        stats->region = metrics_map(stats->fd);
    }
    if (!stats->region)
        fatalx("cannot map the memory of metrics");
    stats->own = metrics_open(stats->region, metrics_slot(METRICS_SUPERVISOR, 0));
    metrics_set(stats->own, METRIC_UP, 1);
    metrics_set(stats->own, METRIC_STATE, CHILD_UP);
    if (metrics_get(stats->own, METRIC_PID) != (uint64_t)getpid()) /* an upgrade is no start */
        stats_started(stats->own, getpid());
}

void stats_close(struct stats *stats)
{
    close(stats->fd); /* the mapping goes with the process */
}

/* Reads /proc/PID/stat (proc(5)): utime and stime are fields 14 and 15, rss is field 24. Field 2, the name in
 * parentheses, may itself hold spaces and parentheses; so parsing begins behind the last ")". */
static bool stats_read_stat(uint64_t pid, uint64_t *ticks, uint64_t *pages)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[len > 0 ? len : 0] = '\0';
    const char *rest = strrchr(text, ')');
    unsigned long long user, system, resident;
    if (!rest ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %*u %*u %llu",
               &user, &system, &resident) != 3)
        return false;
    *ticks = user + system;
    *pages = resident;
    return true;
}

static void stats_look_at(struct metrics *m)
{
    uint64_t ticks, pages, pid = metrics_get(m, METRIC_PID);
    if (!pid || !stats_read_stat(pid, &ticks, &pages))
        return;
    /* The kernel counts from the start of the process, METRIC_CPU from the first process of the slot: only the
     * growth is added. */
    uint64_t cpu_ms = ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK), seen_ms = metrics_get(m, METRIC_CPU_SEEN);
    metrics_set(m, METRIC_MEMORY, pages * (uint64_t)sysconf(_SC_PAGESIZE));
    metrics_add(m, METRIC_CPU, cpu_ms - seen_ms);
    metrics_set(m, METRIC_CPU_SEEN, cpu_ms);
}

void stats_process(struct stats *stats, const struct process *process)
{
    enum metrics_of of = process->kind == ROLE_ROUTER ? METRICS_ROUTER : METRICS_SHARD;
    unsigned slot = metrics_slot(of, process->slot);
    if (process->argument || (!process->pid && !metrics_at(stats->region, slot)))
        return; /* it counts nothing, or there has never been one */
    struct metrics *m = metrics_open(stats->region, slot);
    if (process->pid && metrics_get(m, METRIC_PID) != (uint64_t)process->pid)
        stats_started(m, process->pid);
    if (process->life.state == CHILD_WAITING && metrics_get(m, METRIC_STATE) != CHILD_WAITING)
        metrics_add(m, METRIC_RESTARTS, 1); /* it died, and was not stopped */
    if (process->life.state == CHILD_UP && metrics_get(m, METRIC_STATE) != CHILD_UP)
        stats_look_at(m);
    metrics_set(m, METRIC_UP, process->life.state == CHILD_UP);
    metrics_set(m, METRIC_STATE, process->life.state);
    if (process->pid)
        return;
    metrics_set(m, METRIC_PID, 0);
    metrics_set(m, METRIC_MEMORY, 0);
    metrics_bury(m, of);
}

uint64_t stats_expire(struct stats *stats, uint64_t now_ms)
{
    if (now_ms < stats->next_ms)
        return stats->next_ms;
    for (unsigned slot = 0; slot < METRICS_SLOTS; slot++)
        if (metrics_at(stats->region, slot))
            stats_look_at(metrics_open(stats->region, slot));
    stats->next_ms = now_ms + EVERY_MS;
    return stats->next_ms;
}
