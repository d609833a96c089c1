#include "supervisor/children.h"

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
#include "supervisor/backups.h"
#include "supervisor/handoff.h"

#define PATH_ROOM 4096
#define FLUSH_AGAIN_MS 20u /* a message that did not fit is tried again after this */

uint64_t fleet_now(void)
{
    return clock_monotonic_ms();
}

void fleet_init(struct fleet *fleet, struct event_base *base, int lock, const struct listeners *listeners, int metrics)
{
    *fleet = (struct fleet){.base = base, .folder = process_folder(), .lock = lock, .listeners = listeners};
    meter_open(&fleet->meter, metrics);
}

static void children_disband(struct fleet *fleet)
{
    for (unsigned i = 0; i < fleet->count; i++)
        process_clear(&fleet->list[i]);
    free(fleet->list);
    fleet->list = NULL;
    fleet->count = 0;
}

void fleet_clear(struct fleet *fleet)
{
    children_disband(fleet);
    meter_close(&fleet->meter);
    free(fleet->folder);
    free(fleet->config_text);
}

static void children_form(struct fleet *fleet, unsigned count, bool once)
{
    children_disband(fleet);
    fleet->list = xcalloc(count, sizeof *fleet->list);
    fleet->count = count;
    fleet->once = once;
    fleet->gave_up = false;
}

void fleet_form(struct fleet *fleet, unsigned routers, unsigned shards)
{
    children_form(fleet, 2 * routers + shards, false);
    for (unsigned i = 0; i < routers; i++) {
        process_init(&fleet->list[i], ROLE_ROUTER, i, NULL);
        process_init(&fleet->list[routers + i], ROLE_ROUTER, ROLE_ROUTERS_MAX + i, NULL);
        fleet->list[routers + i].spare = true;
    }
    for (unsigned i = 0; i < shards; i++)
        process_init(&fleet->list[2 * routers + i], ROLE_SHARD, i, NULL);
    for (unsigned i = 0; i < fleet->count; i++)
        fleet->list[i].fleet = fleet;
}

void fleet_form_once(struct fleet *fleet, const char *argument, const char *more)
{
    children_form(fleet, 1, true);
    process_init(&fleet->list[0], ROLE_SHARD, 0, argument);
    fleet->list[0].more = more;
    fleet->list[0].fleet = fleet;
}

static void children_send_config(struct process *process)
{
    channel_send(&process->control, &(struct control){.type = CONTROL_CONFIG,
                                                      .index = process->place,
                                                      .text = slice_str(process->fleet->config_text),
                                                      .fd = -1});
}

void fleet_configure(struct fleet *fleet, const struct config *cfg)
{
    size_t len;
    free(fleet->config_text);
    FILE *out = open_memstream(&fleet->config_text, &len);
    if (!out)
        fatal("cannot print the configuration");
    config_print(cfg, out);
    if (fclose(out) != 0)
        fatal("cannot print the configuration");
    fleet->times.hang_timeout = cfg->server_hang_timeout;
    fleet->times.restart_delay = cfg->server_restart_delay;
    for (unsigned i = 0; i < fleet->count; i++)
        if (fleet->list[i].pid && !fleet->list[i].old)
            children_send_config(&fleet->list[i]);
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
    const struct listeners *listeners = process->fleet->listeners;
    children_pass_on(process, CONTROL_LISTEN, listeners_fd(listeners, process->number));
    if (process->number == 0 && listeners->has_metrics)
        children_pass_on(process, CONTROL_LISTEN_METRICS, listeners->metrics);
}

static void children_send_peer(struct process *to, const struct process *peer, int fd)
{
    channel_send(&to->control,
                 &(struct control){.type = CONTROL_PEER, .kind = peer->kind, .index = peer->place, .fd = fd});
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
    struct fleet *fleet = process->fleet;
    for (unsigned i = 0; i < fleet->count; i++) {
        struct process *peer = &fleet->list[i];
        bool both_route = peer->kind == ROLE_ROUTER && process->kind == ROLE_ROUTER;
        if (peer != process && child_works(&peer->life) && !both_route && peer->wire == process->wire)
            children_wire(process, peer);
    }
}

static void children_deliver(struct process *process, enum child_event event, uint64_t now);

static void children_on_control(evutil_socket_t fd, short what, void *arg)
{
    char room[CONTROL_MAX];
    struct process *process = arg;
    struct control message;
    enum control_result result;
    (void)what;
    while ((result = control_receive(fd, room, &message)) == CONTROL_DONE) {
        if (message.type == CONTROL_READY && message.index == process->wire)
            children_deliver(process, CHILD_EVENT_READY, fleet_now());
        else if (message.type == CONTROL_READY)
            log_error("%s is of another version than streamd", process->name);
        else if (message.type == CONTROL_REPORT)
            children_deliver(process, CHILD_EVENT_REPORT, fleet_now());
        else if (message.type == CONTROL_BACKUP && process->kind == ROLE_SHARD && process->fleet->backups)
            backups_heard(process->fleet->backups, process->place, (enum backup_step)message.index, message.text);
        else
            log_error("%s sent control message %d, which is not its to send", process->name, (int)message.type);
    }
    if (result == CONTROL_GONE)
        event_del(process->readable); /* it is dying: waitpid() tells; or it will be missed by hang_timeout */
}

static void children_watch_control(struct process *process)
{
    process->readable =
        event_new(process->fleet->base, process->control.fd, EV_READ | EV_PERSIST, children_on_control, process);
    if (!process->readable || event_add(process->readable, NULL) != 0)
        fatalx("cannot watch the control channel of %s", process->name);
}

static void children_spawn(struct process *process)
{
    struct fleet *fleet = process->fleet;
    process_spawn(process, fleet->folder, &(struct inherited){fleet->lock, fleet->meter.fd});
    log_debug("%s started, pid %d", process->name, (int)process->pid);
    children_watch_control(process);
    children_send_config(process);
    if (process->kind == ROLE_ROUTER && !process->spare)
        children_send_listener(process);
    children_wire_to_peers(process);
}

/* The one place where a child's life goes on. */
static void children_deliver(struct process *process, enum child_event event, uint64_t now)
{
    enum child_state before = process->life.state;
    enum child_action action = child_event(&process->life, event, &process->fleet->times, now);
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
                      (unsigned long long)(now - process->life.heard));
        kill(process->pid, SIGKILL);
        break;
    case CHILD_GIVE_UP:
        process->fleet->gave_up = true;
        break;
    }
    meter_process(&process->fleet->meter, process);
}

void fleet_event(struct fleet *fleet, enum role_kind kind, enum child_event event, uint64_t now)
{
    for (unsigned i = 0; i < fleet->count; i++)
        if (fleet->list[i].kind == kind && (event != CHILD_EVENT_START || !fleet->list[i].spare))
            children_deliver(&fleet->list[i], event, now);
}

void fleet_backup(struct fleet *fleet, unsigned index, enum backup_step step, struct slice text)
{
    for (unsigned i = 0; i < fleet->count; i++) {
        struct process *process = &fleet->list[i];
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

static void children_bury(struct process *process, int wait_status, uint64_t now)
{
    struct fleet *fleet = process->fleet;
    pid_t pid = process->pid;
    bool refused = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_NEVER_RESTART;
    process_clear(process);
    children_deliver(process, fleet->once || (refused && !process->spare) ? CHILD_EVENT_REFUSED : CHILD_EVENT_DIED,
                     now);
    if (process->spare)
        children_deliver(process, CHILD_EVENT_KILL, now); /* nobody takes its place */
    if (fleet->gave_up)
        fleet->give_up_status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
    children_log_death(process, pid, wait_status, now);
    if (process->kind == ROLE_SHARD && fleet->backups)
        backups_give_up(fleet->backups, "a shard died");
}

void fleet_reap(struct fleet *fleet, uint64_t now)
{
    int wait_status;
    for (unsigned i = 0; i < fleet->count; i++) {
        struct process *process = &fleet->list[i];
        if (process->pid && waitpid(process->pid, &wait_status, WNOHANG) == process->pid)
            children_bury(process, wait_status, now);
    }
}

uint64_t fleet_expire(struct fleet *fleet, uint64_t now)
{
    uint64_t next = meter_expire(&fleet->meter, now);
    for (unsigned i = 0; i < fleet->count; i++) {
        struct process *process = &fleet->list[i];
        if (child_deadline(&process->life, &fleet->times) <= now)
            children_deliver(process, CHILD_EVENT_TIMEOUT, now);
        uint64_t due = child_deadline(&process->life, &fleet->times);
        if (due < next)
            next = due;
    }
    /* After the loop: a process that was just started has given its peers a message too. */
    for (unsigned i = 0; i < fleet->count; i++)
        if (channel_flush(&fleet->list[i].control) && next > now + FLUSH_AGAIN_MS)
            next = now + FLUSH_AGAIN_MS;
    return next;
}

bool fleet_all_in(const struct fleet *fleet, enum role_kind kind, enum child_state state)
{
    for (unsigned i = 0; i < fleet->count; i++)
        if (fleet->list[i].kind == kind && fleet->list[i].life.state != state &&
            !(fleet->list[i].spare && state == CHILD_UP))
            return false;
    return true;
}

/* ---- upgrades ---- */

struct process *fleet_process(struct fleet *fleet, enum role_kind kind, unsigned number, bool spare)
{
    for (unsigned i = 0; i < fleet->count; i++) {
        struct process *process = &fleet->list[i];
        if (process->kind == kind && process->number == number && process->spare == spare)
            return process;
    }
    return NULL;
}

void fleet_deliver(struct process *process, enum child_event event, uint64_t now)
{
    children_deliver(process, event, now);
}

void fleet_replace(struct process *from, struct process *to, uint64_t now)
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

bool fleet_quiet(const struct fleet *fleet)
{
    for (unsigned i = 0; i < fleet->count; i++)
        if (fleet->list[i].control.first || (fleet->list[i].spare && fleet->list[i].pid))
            return false;
    return fleet_all_in(fleet, ROLE_ROUTER, CHILD_UP) && fleet_all_in(fleet, ROLE_SHARD, CHILD_UP);
}

/* Of a router's two places the one that is taken is no spare. */
static struct process *children_place_of(struct fleet *fleet, enum role_kind kind, unsigned place)
{
    struct process *found = NULL;
    unsigned number = role_number(kind, place);
    for (unsigned i = 0; i < fleet->count; i++) {
        struct process *process = &fleet->list[i];
        if (process->kind != kind || process->number != number)
            continue;
        process->spare = process->place != place;
        if (!process->spare)
            found = process;
    }
    return found;
}

bool fleet_adopt(struct fleet *fleet, const struct inherited_child *child, uint64_t now)
{
    struct process *process = children_place_of(fleet, child->kind, child->place);
    if (!process)
        return false;
    process->pid = child->pid;
    process->old = true;
    process->wire = child->wire;
    process->life = (struct child){.state = CHILD_UP, .started = child->started, .heard = now, .deaths = child->deaths};
    channel_init(&process->control, child->control);
    children_watch_control(process);
    meter_process(&fleet->meter, process);
    return true;
}
