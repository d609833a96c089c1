/* All children, and the three ways in which something happens to them: a message on a control channel, a death, a time
 * that has come. Each becomes an event of child.c, whose action is done here (children_deliver()).
 *
 *      control channel ──► READY, REPORT ──┐
 *      waitpid()       ──► DIED, REFUSED ──┼──► child_event() ──► spawn, LEAVE, STOP, SIGKILL, give up
 *      child_deadline()──► TIMEOUT ────────┘
 *
 * Happy path: a process is forked and executed (process.c), gets its configuration, its listening socket if it is a
 * router, and a socket to each peer that works; it says READY, and REPORT every second from then on. Routers have two
 * slots each, so that in an upgrade the new process works beside the old one; one of the two is the spare.
 *
 * Failure modes:
 *   - A child dies: it is started again, at once or after server.restart_delay, and its peers get new sockets to it.
 *   - A child does not report for server.hang_timeout: it is killed, and then it is one that died.
 *   - A child ends with EXIT_NEVER_RESTART: gave_up is set, and the server ends. A spare that does so is only gone.
 *   - A child does not take its messages: they wait in channel.c, and no turn waits for it. */
#include "supervisor/children/children.h"

#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define PATH_ROOM 4096
#define FLUSH_AGAIN_MS 20u /* a message that did not fit is tried again after this */

void children_init(struct children *children, struct event_base *base, int lock, const struct listeners *listeners,
                   int metrics)
{
    *children = (struct children){.base = base, .folder = process_folder(), .lock = lock, .listeners = listeners};
    stats_open(&children->stats, metrics);
}

static void children_disband(struct children *children)
{
    for (unsigned i = 0; i < children->count; i++)
        process_clear(&children->list[i]);
    free(children->list);
    children->list = NULL;
    children->count = 0;
}

void children_clear(struct children *children)
{
    children_disband(children);
    stats_close(&children->stats);
    free(children->folder);
    free(children->config_text);
}

static void children_make_room(struct children *children, unsigned count, bool once)
{
    children_disband(children);
    children->list = xcalloc(count, sizeof *children->list);
    children->count = count;
    children->once = once;
    children->gave_up = false;
}

void children_form(struct children *children, unsigned routers, unsigned shards)
{
    children_make_room(children, 2 * routers + shards, false);
    for (unsigned i = 0; i < routers; i++) {
        process_init(&children->list[i], ROLE_ROUTER, i, NULL);
        process_init(&children->list[routers + i], ROLE_ROUTER, ROLE_ROUTERS_MAX + i, NULL);
        children->list[routers + i].spare = true;
    }
    for (unsigned i = 0; i < shards; i++)
        process_init(&children->list[2 * routers + i], ROLE_SHARD, i, NULL);
    for (unsigned i = 0; i < children->count; i++)
        children->list[i].children = children;
}

void children_form_once(struct children *children, const char *argument, const char *more)
{
    children_make_room(children, 1, true);
    process_init(&children->list[0], ROLE_SHARD, 0, argument);
    children->list[0].more = more;
    children->list[0].children = children;
}

static void children_send_config(struct process *process)
{
    channel_send(&process->control, &(struct control){.type = CONTROL_CONFIG,
                                                      .index = process->slot,
                                                      .text = slice_str(process->children->config_text),
                                                      .fd = -1});
}

void children_configure(struct children *children, const struct config *cfg)
{
    size_t len;
    free(children->config_text);
    FILE *out = open_memstream(&children->config_text, &len);
    if (!out)
        fatal("cannot print the configuration");
    config_print(cfg, out);
    if (fclose(out) != 0)
        fatal("cannot print the configuration");
    children->times.hang_timeout = cfg->server_hang_timeout;
    children->times.restart_delay = cfg->server_restart_delay;
    for (unsigned i = 0; i < children->count; i++)
        if (children->list[i].pid && !children->list[i].old)
            children_send_config(&children->list[i]);
}

static void children_pass_on(struct process *process, enum control_type type, int listener)
{
    int fd = fcntl(listener, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        fatal("cannot pass the listening socket on");
    channel_send(&process->control, &(struct control){.type = type, .fd = fd});
}

static void children_send_listener(struct process *process)
{
    const struct listeners *listeners = process->children->listeners;
    children_pass_on(process, CONTROL_LISTEN, listeners_fd(listeners, process->number));
    if (process->number == 0 && listeners->has_metrics)
        children_pass_on(process, CONTROL_LISTEN_METRICS, listeners->metrics);
}

static void children_send_peer(struct process *to, const struct process *peer, int fd)
{
    channel_send(&to->control,
                 &(struct control){.type = CONTROL_PEER, .kind = peer->kind, .index = peer->slot, .fd = fd});
}

static void children_wire(struct process *a, struct process *b)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        fatal("cannot connect %s with %s", a->name, b->name);
    children_send_peer(a, b, pair[0]);
    children_send_peer(b, a, pair[1]);
}

/* Every pair but router and router. The later one of a pair is wired when it starts, so this is also what a restart
 * needs. */
static void children_wire_to_peers(struct process *process)
{
    struct children *children = process->children;
    for (unsigned i = 0; i < children->count; i++) {
        struct process *peer = &children->list[i];
        bool both_route = peer->kind == ROLE_ROUTER && process->kind == ROLE_ROUTER;
        if (peer != process && child_works(&peer->life) && !both_route && peer->wire == process->wire)
            children_wire(process, peer);
    }
}

static void children_on_backup(const struct process *process, const struct control *message)
{
    const struct children_hooks *hooks = &process->children->hooks;
    if (hooks->on_backup)
        hooks->on_backup(hooks->ctx, process->slot, (enum backup_step)message->index, message->text);
}

static void children_on_control(evutil_socket_t fd, short what, void *arg)
{
    char room[CONTROL_MAX];
    struct process *process = arg;
    struct control message;
    enum control_result result;
    (void)what;
    while ((result = control_receive(fd, room, &message)) == CONTROL_DONE) {
        if (message.type == CONTROL_READY && message.index == process->wire)
            children_deliver(process, CHILD_EVENT_READY, clock_monotonic_ms());
        else if (message.type == CONTROL_READY)
            log_error("%s is of another version than streamd", process->name);
        else if (message.type == CONTROL_REPORT)
            children_deliver(process, CHILD_EVENT_REPORT, clock_monotonic_ms());
        else if (message.type == CONTROL_BACKUP && process->kind == ROLE_SHARD)
            children_on_backup(process, &message);
        else
            log_error("%s sent control message %d, which it must not send", process->name, (int)message.type);
    }
    if (result == CONTROL_GONE)
        event_del(process->readable); /* it is dying: waitpid() says so, or hang_timeout does */
}

static void children_watch_control(struct process *process)
{
    process->readable =
        event_new(process->children->base, process->control.fd, EV_READ | EV_PERSIST, children_on_control, process);
    if (!process->readable || event_add(process->readable, NULL) != 0)
        fatalx("cannot watch the control channel of %s", process->name);
}

static void children_spawn(struct process *process)
{
    struct children *children = process->children;
    process_spawn(process, children->folder, &(struct process_fds){children->lock, children->stats.fd});
    log_debug("%s started, pid %d", process->name, (int)process->pid);
    children_watch_control(process);
    children_send_config(process);
    if (process->kind == ROLE_ROUTER && !process->spare)
        children_send_listener(process);
    children_wire_to_peers(process);
}

/* The one place where a child's life goes on. */
void children_deliver(struct process *process, enum child_event event, uint64_t now)
{
    enum child_state before = process->life.state;
    enum child_action action = child_event(&process->life, event, &process->children->times, now);
    if (process->life.state != before)
        log_debug("%s: %s -> %s", process->name, child_state_name(before), child_state_name(process->life.state));
    switch (action) {
    case CHILD_NOTHING:
        break;
    case CHILD_SPAWN:
        children_spawn(process);
        break;
    case CHILD_SAY_LEAVE:
        channel_send(&process->control, &(struct control){.type = CONTROL_LEAVE, .fd = -1});
        break;
    case CHILD_SAY_STOP:
        channel_send(&process->control, &(struct control){.type = CONTROL_STOP, .fd = -1});
        break;
    case CHILD_SIGKILL:
        if (event == CHILD_EVENT_TIMEOUT)
            log_error("%s (pid %d) has not reported for %llu ms, killing it", process->name, (int)process->pid,
                      (unsigned long long)(now - process->life.reported));
        kill(process->pid, SIGKILL);
        break;
    case CHILD_GIVE_UP:
        process->children->gave_up = true;
        break;
    }
    stats_process(&process->children->stats, process);
}

void children_event(struct children *children, enum role_kind kind, enum child_event event, uint64_t now)
{
    for (unsigned i = 0; i < children->count; i++)
        if (children->list[i].kind == kind && (event != CHILD_EVENT_START || !children->list[i].spare))
            children_deliver(&children->list[i], event, now);
}

void children_send_backup(struct children *children, unsigned index, enum backup_step step, struct slice text)
{
    for (unsigned i = 0; i < children->count; i++) {
        struct process *process = &children->list[i];
        if (process->kind == ROLE_SHARD && process->pid && (index == UINT_MAX || index == process->number))
            channel_send(&process->control,
                         &(struct control){.type = CONTROL_BACKUP, .index = step, .text = text, .fd = -1});
    }
}

static void children_log_death(const struct process *process, pid_t pid, int wait_status, uint64_t now)
{
    char how[96];
    const struct child *life = &process->life;
    process_describe_death(wait_status, how, sizeof how);
    if (wait_status == 0 && (life->state == CHILD_DOWN || life->state == CHILD_STARTING))
        log_debug("%s (pid %d) %s", process->name, (int)pid, how);
    else if (life->state == CHILD_WAITING)
        log_warn("%s (pid %d) %s after %llu ms, death %u; starting it again in %llu ms", process->name, (int)pid, how,
                 (unsigned long long)(now - life->started), life->deaths, (unsigned long long)(life->due - now));
    else
        log_warn("%s (pid %d) %s after %llu ms, death %u", process->name, (int)pid, how,
                 (unsigned long long)(now - life->started), life->deaths);
}

static void children_on_death(struct process *process, int wait_status, uint64_t now)
{
    struct children *children = process->children;
    pid_t pid = process->pid;
    bool refused = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_NEVER_RESTART;
    process_clear(process);
    children_deliver(process, children->once || (refused && !process->spare) ? CHILD_EVENT_REFUSED : CHILD_EVENT_DIED,
                     now);
    if (process->spare)
        children_deliver(process, CHILD_EVENT_KILL, now); /* a spare has no successor */
    if (children->gave_up)
        children->give_up_status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
    children_log_death(process, pid, wait_status, now);
    if (process->kind == ROLE_SHARD && children->hooks.on_shard_death)
        children->hooks.on_shard_death(children->hooks.ctx);
}

void children_reap(struct children *children, uint64_t now)
{
    int wait_status;
    for (unsigned i = 0; i < children->count; i++) {
        struct process *process = &children->list[i];
        if (process->pid && waitpid(process->pid, &wait_status, WNOHANG) == process->pid)
            children_on_death(process, wait_status, now);
    }
}

uint64_t children_expire(struct children *children, uint64_t now)
{
    uint64_t next = stats_expire(&children->stats, now);
    for (unsigned i = 0; i < children->count; i++) {
        struct process *process = &children->list[i];
        if (child_deadline(&process->life, &children->times) <= now)
            children_deliver(process, CHILD_EVENT_TIMEOUT, now);
        uint64_t due = child_deadline(&process->life, &children->times);
        if (due < next)
            next = due;
    }
    /* After the loop: a process that was just started has given its peers a message too. */
    for (unsigned i = 0; i < children->count; i++)
        if (channel_flush(&children->list[i].control) && next > now + FLUSH_AGAIN_MS)
            next = now + FLUSH_AGAIN_MS;
    return next;
}

bool children_all_in(const struct children *children, enum role_kind kind, enum child_state state)
{
    for (unsigned i = 0; i < children->count; i++)
        if (children->list[i].kind == kind && children->list[i].life.state != state &&
            !(children->list[i].spare && state == CHILD_UP))
            return false;
    return true;
}

/* ---- upgrades ---- */

struct process *children_find(struct children *children, enum role_kind kind, unsigned number, bool spare)
{
    for (unsigned i = 0; i < children->count; i++) {
        struct process *process = &children->list[i];
        if (process->kind == kind && process->number == number && process->spare == spare)
            return process;
    }
    return NULL;
}

void children_replace(struct process *from, struct process *to, uint64_t now)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        fatal("cannot connect %s with its successor", from->name);
    to->spare = false;
    from->spare = true;
    children_send_listener(to);
    channel_send(&to->control, &(struct control){.type = CONTROL_PREDECESSOR, .fd = pair[1]});
    channel_send(&from->control, &(struct control){.type = CONTROL_SUCCESSOR, .fd = pair[0]});
    children_deliver(from, CHILD_EVENT_RETIRE, now);
}

bool children_quiet(const struct children *children)
{
    for (unsigned i = 0; i < children->count; i++)
        if (children->list[i].control.first || (children->list[i].spare && children->list[i].pid))
            return false;
    return children_all_in(children, ROLE_ROUTER, CHILD_UP) && children_all_in(children, ROLE_SHARD, CHILD_UP);
}

/* Of a router's two slots the one that is taken is no spare. */
static struct process *children_take_slot(struct children *children, enum role_kind kind, unsigned slot)
{
    struct process *found = NULL;
    unsigned number = role_number(kind, slot);
    for (unsigned i = 0; i < children->count; i++) {
        struct process *process = &children->list[i];
        if (process->kind != kind || process->number != number)
            continue;
        process->spare = process->slot != slot;
        if (!process->spare)
            found = process;
    }
    return found;
}

bool children_adopt(struct children *children, const struct children_adopted *child, uint64_t now)
{
    struct process *process = children_take_slot(children, child->kind, child->slot);
    if (!process)
        return false;
    process->pid = child->pid;
    process->old = true;
    process->wire = child->wire;
    process->life =
        (struct child){.state = CHILD_UP, .started = child->started, .reported = now, .deaths = child->deaths};
    channel_init(&process->control, child->control);
    children_watch_control(process);
    stats_process(&children->stats, process);
    return true;
}
