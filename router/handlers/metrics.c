/* GET /metrics: the counters of all processes, in Prometheus' text format.
 *
 *     may this client see them? --> build info --> every metric (observe/metrics_page.c) --> projects, if configured
 *
 * The counters are in memory that all processes share, so one router answers for the whole server and asks nobody.
 *
 * Failure modes: A client that may not see the page gets 404, the same as if there were no such route. The registry
 * cannot be read: the page comes with fewer projects, and the log says so. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/registry.h"
#include "common/version.h"
#include "router/conn/answer.h"
#include "router/handlers/handlers.h"
#include "router/observe/metrics_page.h"
#include "router/router.h"

static bool metrics_is_local(const struct request *req)
{
    struct sockaddr_storage peer;
    if (!connection_address(req->connection, &peer))
        return false;
    if (peer.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&peer)->sin6_addr);
    return peer.ss_family == AF_INET && ntohl(((struct sockaddr_in *)&peer)->sin_addr.s_addr) >> 24 == 127;
}

static bool metrics_may_see(const struct request *req)
{
    enum metrics_serve serve = req->router->cfg->metrics_serve;
    return req->connection->only_metrics || serve == METRICS_SERVE_ALL ||
           (serve == METRICS_SERVE_LOCAL && metrics_is_local(req));
}

static void metrics_add_build(struct buf *out)
{
    metrics_page_head(out, "streamd_build_info", "gauge", "Which streamd this is.");
    buf_add_slice(out, SLICE("streamd_build_info{version=\"" STREAMD_VERSION "\"} 1\n"));
}

/* ---- projects: at most metrics.projects of them ---- */

struct shown_projects {
    struct project_usages *usages;
    uint64_t left;
    struct project_usage **list;
    size_t count;
};

/* Takes a project whose usage every shard has reported. project_usage_of() begins to follow a project that was not
 * followed yet, so the first page can come without it; a number that is too small is never shown. */
static void metrics_note_project(void *ctx, struct slice name)
{
    struct shown_projects *projects = ctx;
    struct project_usage *usage = projects->left ? project_usage_of(projects->usages, name) : NULL;
    if (!usage)
        return;
    projects->left--;
    if (!usage->missing)
        projects->list[projects->count++] = usage;
}

static uint64_t metrics_readers_of(const struct project_usage *usage)
{
    return usage->readers + usage->readers_elsewhere;
}

static uint64_t metrics_streams_of(const struct project_usage *usage)
{
    return usage->streams;
}

static uint64_t metrics_bytes_of(const struct project_usage *usage)
{
    return usage->bytes;
}

static void metrics_add_projects(struct buf *out, struct router *r)
{
    static const struct {
        const char *name, *help;
        uint64_t (*value)(const struct project_usage *usage);
    } rows[] = {
        {"streamd_project_streams", "Streams of a project.", metrics_streams_of},
        {"streamd_project_bytes", "Bytes of messages of a project.", metrics_bytes_of},
        {"streamd_project_live_readers", "Live readers of a project.", metrics_readers_of},
    };
    struct shown_projects projects = {.usages = &r->usages, .left = r->cfg->metrics_projects};
    if (!r->auth.projects.registry || !projects.left)
        return;
    projects.list = xcalloc(projects.left, sizeof *projects.list);
    if (registry_names(r->auth.projects.registry, metrics_note_project, &projects) != REGISTRY_OK)
        log_warn("metrics: the registry cannot be read: not all projects are shown");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        metrics_page_head(out, rows[i].name, "gauge", rows[i].help);
        for (size_t j = 0; j < projects.count; j++) {
            char line[256];
            int len = snprintf(line, sizeof line, "%s{project=\"%.128s\"} %llu\n", rows[i].name,
                               projects.list[j]->project, (unsigned long long)rows[i].value(projects.list[j]));
            buf_add(out, line, (size_t)len);
        }
    }
    free(projects.list);
}

void handle_metrics(struct request *req, const struct http_head *request, struct slice name, struct slice ignored)
{
    struct buf page = {0};
    (void)request;
    (void)name;
    (void)ignored;
    req->cors = CORS_NONE; /* a browser on this machine is local, but the web pages in it are not */
    if (!metrics_may_see(req)) {
        answer_error(req, ERR_NOT_FOUND);
        return;
    }
    metrics_add_build(&page);
    if (req->router->region)
        metrics_page_add(&page, req->router->region);
    metrics_add_projects(&page, req->router);
    struct buf *head = answer_begin(req, 200);
    const struct slice body = buf_slice(&page);
    response_add(head, "Content-Type", SLICE(METRICS_PAGE_TYPE));
    response_add(head, "Cache-Control", SLICE("no-store"));
    answer_end(req, &body, 1);
    buf_clear(&page);
}
