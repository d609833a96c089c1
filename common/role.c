/* The life of a router or a shard, from exec to exit. The supervisor talks, this process follows:
 *
 *     exec --> CONFIG --> start() --> READY --> turns: peers, listeners, reloads, backups ... --> stop() --> exit 0
 *                |                     |          |
 *                |                     |          +-- a report every second, from the loop itself
 *                +-- who this is       +-- the supervisor may send traffic now
 *
 * Happy path: role_run() checks that fd 3 is a control channel, waits for CONFIG (the only blocking read), maps the
 * metrics, starts the role, says READY and runs turns. A turn is one pass of the event loop and then role->turn():
 * callbacks only note what can be done, the turn does it.
 *
 * Failure modes:
 *   - The supervisor dies: EOF on fd 3, and this process leaves at once. Everything that was acknowledged is on disk,
 * and a process without a supervisor would hold the data folder's lock against the next one.
 *   - The loop hangs: reports stop, because they are sent by the loop. The supervisor kills the process.
 *   - The configuration does not parse: the two programs are of different versions. fatal_never_restart() says so by
 * its exit status; restarting could not help.
 *   - A control message that this role does not know: the same. Both sides are one program version, or it is a bug. */
#include "common/role.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/control.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/version.h"
#include "common/wire.h"

#define REPORT_EVERY_MS 1000u
#define REPORTS_PER_HANG_TIMEOUT 4u

/* Free bytes at the heap's end that are kept; also, a block of so many is mapped by itself. */
#define HEAP_KEEP (4 << 20)

/* role->state */
struct running {
    struct event_base *base;
    struct event *readable;  /* the control channel */
    struct event *heartbeat; /* armed anew after each report */
    struct config cfg;
    unsigned slot;
    struct metrics_region *region;
    struct metrics *metrics;
    bool done;
    char room[CONTROL_MAX];
};

static const char *role_name(const struct role *role)
{
    return role->kind == ROLE_ROUTER ? "router" : "shard";
}

/* The supervisor is gone, and with it the reason to live. Nothing needs saving: what is acknowledged is on disk. */
NORETURN static void role_leave_orphaned(void)
{
    log_warn("the supervisor is gone; exiting");
    _exit(1);
}

static void role_require_control_channel(const char *program)
{
    int type = 0;
    socklen_t len = sizeof type;
    if (getsockopt(ROLE_CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_SEQPACKET)
        fatal_never_restart("%s is started by streamd, not by hand", program);
}

/* The terminal's ^C goes to every process of the group; when to stop is the supervisor's decision alone. */
static void role_ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
}

static void role_raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn_errno("cannot raise the limit of open files");
}

/* By default glibc gives most of the heap's free end back at once: what a turn frees, the next turn would get from the
 * kernel again, page by page. Setting one of the two also ends glibc's own changes of both, which go up to 64 MiB. */
static void role_keep_heap(void)
{
    mallopt(M_TRIM_THRESHOLD, HEAP_KEEP);
    mallopt(M_MMAP_THRESHOLD, HEAP_KEEP);
}

static void role_send_or_leave(const struct control *message)
{
    if (control_send(ROLE_CONTROL_FD, message) == CONTROL_GONE)
        role_leave_orphaned();
}

static void role_config_parse(struct config *cfg, struct slice text)
{
    config_init(cfg);
    if (config_read_text(cfg, "configuration of the supervisor", text, stderr) > 0)
        fatal_never_restart("this program and its supervisor are of different versions");
}

static void role_on_config(struct role *role, const struct control *message)
{
    struct running *run = role->state;
    struct config fresh;
    role_config_parse(&fresh, message->text);
    if (config_reload(&run->cfg, &fresh, NULL) > 0) {
        log_configure(run->cfg.log_level, run->cfg.log_format);
        if (role->reload)
            role->reload(role->ctx);
    }
    config_clear(&fresh);
}

static void role_on_message(struct role *role, const struct control *message)
{
    switch (message->type) {
    case CONTROL_CONFIG:
        role_on_config(role, message);
        return;
    case CONTROL_PEER:
        role->peer(role->ctx, message->kind, message->index, message->fd);
        return;
    case CONTROL_LISTEN:
        if (!role->listener)
            break;
        role->listener(role->ctx, message->fd);
        return;
    case CONTROL_LISTEN_METRICS:
        if (!role->metrics_listener)
            break;
        role->metrics_listener(role->ctx, message->fd);
        return;
    case CONTROL_STOP:
        role->stop(role->ctx);
        return;
    case CONTROL_BACKUP:
        if (!role->backup || message->index >= BACKUP_STEPS)
            break;
        role->backup(role->ctx, (enum backup_step)message->index, message->text);
        return;
    case CONTROL_LEAVE:
        if (!role->leave)
            break;
        role->leave(role->ctx);
        return;
    case CONTROL_SUCCESSOR:
        if (!role->successor)
            break;
        role->successor(role->ctx, message->fd);
        return;
    case CONTROL_PREDECESSOR:
        if (!role->predecessor)
            break;
        role->predecessor(role->ctx, message->fd);
        return;
    case CONTROL_READY:
    case CONTROL_REPORT:
        break;
    }
    fatalx("control message %d is not for a %s", (int)message->type, role_name(role));
}

static void role_on_control(evutil_socket_t fd, short what, void *arg)
{
    struct role *role = arg;
    struct running *run = role->state;
    struct control message;
    (void)what;
    for (;;) {
        switch (control_receive(fd, run->room, &message)) {
        case CONTROL_DONE:
            role_on_message(role, &message);
            break;
        case CONTROL_AGAIN:
            return;
        case CONTROL_GONE:
            role_leave_orphaned();
        }
    }
}

static void role_heartbeat_arm(struct running *run)
{
    uint64_t ms = run->cfg.server_hang_timeout / REPORTS_PER_HANG_TIMEOUT;
    if (ms > REPORT_EVERY_MS)
        ms = REPORT_EVERY_MS;
    const struct timeval after = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_add(run->heartbeat, &after);
}

static void role_on_heartbeat(evutil_socket_t fd, short what, void *arg)
{
    struct role *role = arg;
    (void)fd;
    (void)what;
    log_tick(false);
    role_report(role);
    role_heartbeat_arm(role->state);
}

static void role_metrics_begin(struct role *role)
{
    struct running *run = role->state;
    enum metrics_of of = role->kind == ROLE_ROUTER ? METRICS_ROUTER : METRICS_SHARD;
    run->region = metrics_map(ROLE_METRICS_FD);
    if (!run->region) {
        log_warn("this program and its supervisor have different metrics; nothing is counted here");
        return;
    }
    run->metrics = metrics_open(run->region, metrics_slot(of, run->slot));
    metrics_bury(run->metrics, of); /* what a predecessor had */
}

const struct metrics_region *role_region(const struct role *role)
{
    const struct running *run = role->state;
    return run ? run->region : NULL;
}

struct metrics *role_metrics(const struct role *role)
{
    const struct running *run = role->state;
    return run ? run->metrics : NULL;
}

/* Blocks until the supervisor says who this process is. */
static void role_await_config(struct role *role)
{
    struct running *run = role->state;
    struct control message;
    if (control_receive(ROLE_CONTROL_FD, run->room, &message) != CONTROL_DONE)
        role_leave_orphaned();
    if (message.type != CONTROL_CONFIG)
        fatalx("the first control message is %d instead of the configuration", (int)message.type);
    run->slot = message.index;
    role_config_parse(&run->cfg, message.text);
    log_init(role_name(role), (int)role_number(role->kind, run->slot));
    log_configure(run->cfg.log_level, run->cfg.log_format);
    log_info("streamd %s, libevent %s, pid %d", STREAMD_VERSION, event_get_version(), (int)getpid());
}

static void role_loop_open(struct role *role)
{
    struct running *run = role->state;
    evutil_make_socket_nonblocking(ROLE_CONTROL_FD);
    run->base = event_base_new();
    if (!run->base)
        fatalx("cannot make an event loop");
    run->readable = event_new(run->base, ROLE_CONTROL_FD, EV_READ | EV_PERSIST, role_on_control, role);
    run->heartbeat = evtimer_new(run->base, role_on_heartbeat, role);
    if (!run->readable || !run->heartbeat || event_add(run->readable, NULL) != 0)
        fatalx("cannot watch the control channel");
}

/* The base and the configuration stay: what the role still holds refers to them until the process exits. */
static void role_loop_close(struct running *run)
{
    event_free(run->readable);
    event_free(run->heartbeat);
}

NORETURN static void role_print_version(const struct role *role)
{
    printf("streamd-%s %s wire %d data %d\n", role_name(role), STREAMD_VERSION, WIRE_VERSION, STREAMD_DATA_VERSION);
    exit(0);
}

bool role_version_parse(const char *line, struct role_version *version)
{
    return sscanf(line, "streamd-%*s %31s wire %u data %u", version->version, &version->wire, &version->data) == 3;
}

int role_run(struct role *role, int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "version") == 0)
        role_print_version(role);
    role_ignore_signals();
    log_init(role_name(role), -1);
    role_require_control_channel(argc > 0 ? argv[0] : role_name(role));
    role_raise_fd_limit();
    role_keep_heap();
    struct running *run = xcalloc(1, sizeof *run);
    role->state = run;
    role_await_config(role);
    role_metrics_begin(role);
    role_loop_open(role);
    role->start(role->ctx, run->base, &run->cfg, run->slot);
    role_send_or_leave(&(struct control){.type = CONTROL_READY, .index = WIRE_VERSION, .fd = -1});
    role_heartbeat_arm(run);
    while (!run->done) {
        event_base_loop(run->base, EVLOOP_ONCE);
        role->turn(role->ctx);
    }
    role_loop_close(run);
    log_tick(true);
    return 0;
}

void role_done(struct role *role)
{
    struct running *run = role->state;
    run->done = true;
}

void role_report(struct role *role)
{
    (void)role;
    role_send_or_leave(&(struct control){.type = CONTROL_REPORT, .fd = -1});
}

/* One that is lost, because the supervisor does not read, ends the backup and nothing else. */
void role_backup(struct role *role, enum backup_step step, struct slice text)
{
    (void)role;
    role_send_or_leave(&(struct control){.type = CONTROL_BACKUP, .index = step, .text = text, .fd = -1});
}
