/* GET /metrics: what all processes have counted, for those who may see it. */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/version.h"
#include "router/answer.h"
#include "router/metrics_page.h"
#include "router/router.h"
#include "router/verbs.h"

static bool is_local(const struct client *c)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    if (getpeername(event_get_fd(&c->event), (struct sockaddr *)&peer, &len) != 0)
        return false;
    if (peer.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&peer)->sin6_addr);
    return peer.ss_family == AF_INET && ntohl(((struct sockaddr_in *)&peer)->sin_addr.s_addr) >> 24 == 127;
}

static bool may_see(const struct client *c)
{
    const char *serve = c->router->cfg->metrics_serve;
    return c->only_metrics || strcmp(serve, "all") == 0 || (strcmp(serve, "local") == 0 && is_local(c));
}

static void add_build(struct buf *out)
{
    metrics_page_head(out, "streamd_build_info", "gauge", "Which streamd this is.");
    buf_add_slice(out, SLICE("streamd_build_info{version=\"" STREAMD_VERSION "\"} 1\n"));
}

void verb_metrics(struct client *c, const struct http_head *request, struct slice name, struct slice ignored)
{
    struct buf page = {0};
    (void)request;
    (void)name;
    (void)ignored;
    c->cors = CORS_NONE; /* no page of whoever's browser is on this machine reads it */
    if (!may_see(c)) {
        answer_error(c, ERR_NOT_FOUND);
        return;
    }
    add_build(&page);
    metrics_page_add(&page, c->router->region);
    struct buf *head = answer_begin(c, 200);
    const struct slice body = buf_slice(&page);
    response_add(head, "Content-Type", SLICE(METRICS_PAGE_TYPE));
    response_add(head, "Cache-Control", SLICE("no-store"));
    answer_end(c, &body, 1);
    buf_clear(&page);
}
