/*     MOVING ──► SERVING ──► STOPPING_ROUTERS ──► STOPPING_SHARDS ──► OVER
 *
 * MOVING only if shard.count has changed; one signal stops in order, a second one at once. Routers go first: what they
 * have taken on, the shards still answer. An upgrade (supervisor/upgrade.h) is part of SERVING. */
#include "supervisor/server.h"

#include <event2/event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "common/version.h"
#include "supervisor/backups.h"
#include "supervisor/children.h"
#include "supervisor/cli/status.h"
#include "supervisor/control_socket.h"
#include "supervisor/data_dir.h"
#include "supervisor/handoff.h"
#include "supervisor/notify.h"
#include "supervisor/passed.h"
#include "supervisor/programs.h"
#include "supervisor/reload.h"
#include "supervisor/upgrade.h"

/* If this process itself did not run for this long, a child's silence means nothing. */
#define PAUSE_MS 2000u

/* A stop signal this soon after the first is its echo: a terminal and a wrapper often send one each. */
#define SECOND_SIGNAL_MS 250u

#define EXTEND_MS 30000u /* of the time that systemd gives a start, while streams are moved */
#define CHECK_MS 60000u  /* new programs are checked, and every process is up, in this; or there is no upgrade */

enum phase { PHASE_MOVING, PHASE_SERVING, PHASE_STOPPING_ROUTERS, PHASE_STOPPING_SHARDS, PHASE_OVER };

#define SIGNALS 5
static const int server_signal_numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD};

struct server {
    const struct options *options;
    struct config *cfg;
    struct event_base *base;
    struct event *signals[SIGNALS];
    struct event *timer;
    struct listeners listeners;
    struct fleet fleet;
    struct backups backups;
    struct console console;
    struct status status;
    struct notify notify;
    struct programs programs;
    struct upgrade upgrade;
    enum phase phase;
    bool stop_asked;
    bool reload_asked;
    bool upgrade_asked;
    bool announced; /* the ready line is out */
    bool killed;    /* everything was sent SIGKILL */
    uint64_t stop_began;
    uint64_t stop_until; /* when stopping turns into killing */
    uint64_t last_turn;
    int exit_status;
};

/* Not a signal handler: libevent calls it from the loop. SIGCHLD needs no more than the turn that follows. */
static void server_on_signal(evutil_socket_t number, short what, void *arg)
{
    struct server *server = arg;
    (void)what;
    if (number == SIGTERM || number == SIGINT)
        server->stop_asked = true;
    if (number == SIGHUP)
        server->reload_asked = true;
    if (number == SIGUSR2)
        server->upgrade_asked = true;
}

static void server_on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg; /* it only wakes the loop for its turn */
}

static void server_event_all(struct server *server, enum child_event event, uint64_t now)
{
    fleet_event(&server->fleet, ROLE_ROUTER, event, now);
    fleet_event(&server->fleet, ROLE_SHARD, event, now);
}

static void server_begin_serving(struct server *server, uint64_t now)
{
    server->phase = PHASE_SERVING;
    fleet_form(&server->fleet, (unsigned)server->cfg->router_workers, (unsigned)server->cfg->shard_count);
    fleet_event(&server->fleet, ROLE_SHARD, CHILD_EVENT_START, now);
    fleet_event(&server->fleet, ROLE_ROUTER, CHILD_EVENT_START, now);
}

static void server_begin_moving(struct server *server, unsigned from, uint64_t now)
{
    log_info("moving streams from %u to %u shards", from, (unsigned)server->cfg->shard_count);
    server->phase = PHASE_MOVING;
    fleet_form_once(&server->fleet, "move", NULL);
    fleet_event(&server->fleet, ROLE_SHARD, CHILD_EVENT_START, now);
}

static void server_begin_stop(struct server *server, uint64_t now)
{
    server->stop_began = now;
    notify_tell(&server->notify, "STOPPING=1\nSTATUS=stopping");
    server->backups.another = false;
    backups_give_up(&server->backups, "streamd stops");
    server->stop_until = now + server->cfg->server_stop_timeout;
    /* Once the routers close theirs, new connections are refused; or they wait, if systemd has the sockets too. */
    listeners_close(&server->listeners);
    if (server->phase == PHASE_MOVING) { /* a move can be cut anywhere */
        server->phase = PHASE_STOPPING_SHARDS;
        server_event_all(server, CHILD_EVENT_KILL, now);
        return;
    }
    server->phase = PHASE_STOPPING_ROUTERS;
    fleet_event(&server->fleet, ROLE_ROUTER, CHILD_EVENT_STOP, now);
}

static void server_kill_all(struct server *server, const char *why, uint64_t now)
{
    if (server->killed)
        return;
    server->killed = true;
    log_warn("%s: killing what is left", why);
    server_event_all(server, CHILD_EVENT_KILL, now);
}

static bool server_stopping(const struct server *server)
{
    return server->phase == PHASE_STOPPING_ROUTERS || server->phase == PHASE_STOPPING_SHARDS;
}

static void server_tell_serving(const struct server *server)
{
    const struct address *address = &server->listeners.address;
    notify_tell(&server->notify, "READY=1\nSTATUS=serving on %s:%s with %u shards", address->host, address->port,
                (unsigned)server->cfg->shard_count);
}

static void server_announce(struct server *server)
{
    const struct address *address = &server->listeners.address;
    server->announced = true;
    if (server->cfg->auth_mode == AUTH_MODE_NONE && !address_is_loopback(address))
        log_warn(
            "auth.mode = none, and router.listen is not this machine alone: EVERYBODY WHO REACHES IT MAY READ, WRITE"
            " AND DELETE EVERYTHING");
    printf(address->v6 ? "ready: http://[%s]:%s shards=%u\n" : "ready: http://%s:%s shards=%u\n", address->host,
           address->port, (unsigned)server->cfg->shard_count);
    fflush(stdout);
    server_tell_serving(server);
}

/* The move has ended: well, or with a status that becomes ours. */
static void server_end_move(struct server *server, uint64_t now)
{
    struct layout layout;
    int status = server->fleet.give_up_status;
    unsigned shards = (unsigned)server->cfg->shard_count;
    if (status != 0) {
        log_error("the move of streams failed with status %d; nothing is lost, but streamd cannot serve", status);
        server->exit_status = status;
        server->fleet.gave_up = false;
        server->phase = PHASE_OVER;
        return;
    }
    folder_read_layout(server->cfg->server_data_dir, shards, &layout);
    if (folder_must_move(&layout, shards))
        fatalx("the move of streams ended without having moved them");
    server_begin_serving(server, now);
}

static void server_give_up(struct server *server, uint64_t now)
{
    server->fleet.gave_up = false;
    server->exit_status = server->fleet.give_up_status;
    log_error("a process ended with status %d, which means that it cannot work with this configuration or this data; "
              "see its own last lines. Stopping.",
              server->exit_status);
    if (!server_stopping(server))
        server_begin_stop(server, now);
}

/* Goes on to the next phase when this one has done its work. */
static void server_advance(struct server *server, uint64_t now)
{
    struct fleet *fleet = &server->fleet;
    if (fleet->gave_up && server->phase == PHASE_MOVING)
        server_end_move(server, now);
    if (fleet->gave_up)
        server_give_up(server, now);
    if (server->phase == PHASE_SERVING && !server->announced && fleet_all_in(fleet, ROLE_ROUTER, CHILD_UP) &&
        fleet_all_in(fleet, ROLE_SHARD, CHILD_UP))
        server_announce(server);
    if (server->phase == PHASE_STOPPING_ROUTERS && fleet_all_in(fleet, ROLE_ROUTER, CHILD_DOWN)) {
        server->phase = PHASE_STOPPING_SHARDS;
        fleet_event(fleet, ROLE_SHARD, CHILD_EVENT_STOP, now);
    }
    if (server->phase == PHASE_STOPPING_SHARDS && fleet_all_in(fleet, ROLE_SHARD, CHILD_DOWN))
        server->phase = PHASE_OVER;
    if (server_stopping(server) && now >= server->stop_until)
        server_kill_all(server, "server.stop_timeout is over", now);
}

static void server_reload(struct server *server)
{
    notify_tell(&server->notify, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)fleet_now() * 1000);
    if (reload_config(server->options, server->cfg))
        fleet_configure(&server->fleet, server->cfg);
    notify_tell(&server->notify, "READY=1");
}

/* A reload with other programs than those that run is an upgrade, which reads the configuration too. */
static void server_take_wishes(struct server *server)
{
    if (!server->announced || server->phase != PHASE_SERVING || upgrade_under_way(&server->upgrade))
        return;
    if (server->reload_asked && programs_replaced(&server->programs))
        server->upgrade_asked = true;
    if (server->upgrade_asked) {
        log_info("an upgrade is asked for: checking the programs in %s", server->programs.folder);
        server->upgrade.step = UPGRADE_ASKED;
        server->upgrade.due = server->last_turn + CHECK_MS;
    } else if (server->reload_asked) {
        server_reload(server);
    }
    server->reload_asked = server->upgrade_asked = false;
}

static void server_take_signals(struct server *server, uint64_t now)
{
    server_take_wishes(server);
    if (!server->stop_asked)
        return;
    server->stop_asked = false;
    if (!server_stopping(server)) {
        log_info("stopping");
        server_begin_stop(server, now);
    } else if (now - server->stop_began >= SECOND_SIGNAL_MS) {
        server_kill_all(server, "second signal", now);
    }
}

static void server_forgive_pause(struct server *server, uint64_t now)
{
    if (now - server->last_turn > PAUSE_MS)
        server_event_all(server, CHILD_EVENT_REPORT, now);
    server->last_turn = now;
}

/* ---- what operators ask ---- */

static void server_on_backup_ended(void *ctx, bool good, const char *text)
{
    struct server *server = ctx;
    char line[320];
    snprintf(line, sizeof line, "%s %s", good ? "ok" : "error:", text);
    console_answer_waiting(&server->console, line);
}

static const char *server_say_address(const struct address *address)
{
    static char text[ADDRESS_MAX + 16];
    snprintf(text, sizeof text, address->v6 ? "ok [%s]:%s" : "ok %s:%s", address->host, address->port);
    return text;
}

static const char *server_on_command(void *ctx, const char *line)
{
    static char text[160];
    struct server *server = ctx;
    if (strcmp(line, "status") == 0)
        return status_say(&server->status, fleet_now());
    if (strcmp(line, "address") == 0)
        return server_say_address(&server->listeners.address);
    if (strcmp(line, "auth") == 0) {
        snprintf(text, sizeof text, "ok %s", choice_auth_mode[server->cfg->auth_mode]);
        return text;
    }
    if (strcmp(line, "backup") != 0)
        return "error: there is no such command";
    const char *why = server->phase == PHASE_SERVING ? backups_begin(&server->backups) : "it does not serve now";
    snprintf(text, sizeof text, "error: %s", why ? why : "");
    return why ? text : NULL;
}

/* ---- upgrades ---- */

static void server_set_signals(int how)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(how, &all, NULL);
}

/* The new program goes on in this very process, with the children and sockets that this one has. */
static void server_become_new(struct server *server)
{
    server_set_signals(SIG_BLOCK); /* until the new one is there to take them */
    event_base_loop(server->base, EVLOOP_NONBLOCK);
    if (server->stop_asked) { /* by a signal that had come before */
        server_set_signals(SIG_UNBLOCK);
        return;
    }
    backups_give_up(&server->backups, "streamd is being upgraded");
    notify_tell(&server->notify, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=upgrading",
                (unsigned long long)fleet_now() * 1000);
    console_close(&server->console);
    notify_leave(&server->notify);
    if (inheritance_leave(&server->fleet))
        programs_become(&server->programs);
    log_error("the upgrade has failed; everything goes on as it was");
    inheritance_keep(&server->fleet);
    notify_keep();
    server_set_signals(SIG_UNBLOCK);
    console_open(&server->console, server->base, server->cfg->server_data_dir, server_on_command, server);
    server_tell_serving(server);
    server->upgrade.step = UPGRADE_NONE;
}

static void server_refuse(struct server *server)
{
    programs_give_up(&server->programs);
    log_error("the upgrade is refused; everything goes on as it is");
    server->upgrade.step = UPGRADE_NONE;
}

/* A process that has died comes up again first; then the programs are checked, or checked again. */
static uint64_t server_go_on_asking(struct server *server, uint64_t now)
{
    struct upgrade *upgrade = &server->upgrade;
    enum programs_verdict verdict = programs_verdict(&server->programs);
    bool quiet = fleet_quiet(&server->fleet);
    if (verdict == PROGRAMS_GOOD && quiet) {
        server_become_new(server);
    } else if (verdict == PROGRAMS_BAD) {
        server_refuse(server);
    } else if (now >= upgrade->due) {
        log_error("%s in %u s", quiet ? "the check did not end" : "not all processes were up", CHECK_MS / 1000);
        server_refuse(server);
    } else if (quiet && !server->programs.checker) {
        programs_check(&server->programs);
    }
    if (server->stop_asked)
        return now;
    return upgrade_under_way(upgrade) ? upgrade->due : UINT64_MAX;
}

static uint64_t server_go_on_upgrading(struct server *server, uint64_t now)
{
    struct upgrade *upgrade = &server->upgrade;
    if (!upgrade_under_way(upgrade) || server->phase != PHASE_SERVING)
        return UINT64_MAX;
    if (upgrade->step == UPGRADE_ASKED)
        return server_go_on_asking(server, now);
    uint64_t due = upgrade_turn(upgrade, now);
    if (!upgrade_under_way(upgrade))
        server_tell_serving(server);
    return due;
}

static void server_arm_timer(struct server *server, uint64_t next, uint64_t now)
{
    if (server_stopping(server) && !server->killed && server->stop_until < next)
        next = server->stop_until;
    if (next > now + PAUSE_MS / 2)
        next = now + PAUSE_MS / 2;
    uint64_t ms = next > now ? next - now : 0;
    const struct timeval after = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_add(server->timer, &after);
}

/* The watchdog hears of us as long as this loop turns and every process answers; a move takes as long as it takes. */
static uint64_t server_tell_alive(struct server *server, uint64_t now)
{
    struct fleet *fleet = &server->fleet;
    if (server->phase == PHASE_MOVING && !fleet_all_in(fleet, ROLE_SHARD, CHILD_KILLED))
        notify_tell(&server->notify, "EXTEND_TIMEOUT_USEC=%u\nSTATUS=moving streams", EXTEND_MS * 1000u);
    bool all_up = server->upgrade.step > UPGRADE_ASKED || /* which has time limits of its own */
                  (fleet_all_in(fleet, ROLE_ROUTER, CHILD_UP) && fleet_all_in(fleet, ROLE_SHARD, CHILD_UP));
    return all_up && server->phase == PHASE_SERVING ? notify_alive(&server->notify, now) : UINT64_MAX;
}

static void server_turn(struct server *server)
{
    uint64_t now = fleet_now();
    server_forgive_pause(server, now);
    fleet_reap(&server->fleet, now);
    log_tick(false); /* the children's reports make a turn every second */
    server_take_signals(server, now);
    server_advance(server, now);
    uint64_t next = server->phase == PHASE_SERVING ? backups_expire(&server->backups, now) : UINT64_MAX;
    uint64_t due = fleet_expire(&server->fleet, now);
    if (due < next)
        next = due;
    status_turn(&server->status, now);
    due = server_go_on_upgrading(server, now);
    if (due < next)
        next = due;
    due = server_tell_alive(server, now);
    server_arm_timer(server, due < next ? due : next, now);
}

static void server_loop_open(struct server *server)
{
    server->base = event_base_new();
    if (!server->base)
        fatalx("cannot make an event loop");
    for (size_t i = 0; i < SIGNALS; i++) {
        server->signals[i] = evsignal_new(server->base, server_signal_numbers[i], server_on_signal, server);
        if (!server->signals[i] || event_add(server->signals[i], NULL) != 0)
            fatalx("cannot watch signal %d", server_signal_numbers[i]);
    }
    server->timer = evtimer_new(server->base, server_on_timer, server);
    if (!server->timer)
        fatalx("cannot make a timer");
}

static void server_loop_close(struct server *server)
{
    for (size_t i = 0; i < SIGNALS; i++)
        event_free(server->signals[i]);
    event_free(server->timer);
    event_base_free(server->base);
}

/* Children inherit it: every socket of a client and every end of a pair is a file. */
static void server_raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn_errno("cannot raise the limit of open files");
}

static unsigned server_half_the_cores(void)
{
    cpu_set_t cores;
    unsigned half = sched_getaffinity(0, sizeof cores, &cores) == 0 ? (unsigned)CPU_COUNT(&cores) / 2 : 1;
    return half < 1 ? 1 : half > 64 ? 64 : half; /* what router.workers can be */
}

/* Everything that may refuse to start. Returns the lock; the layout says whether streams must move first. */
static int server_prepare(struct server *server, struct layout *layout, struct passed *passed)
{
    struct config *cfg = server->cfg;
    server_raise_fd_limit();
    int lock = folder_lock(cfg->server_data_dir);
    if (folder_half_restored(cfg->server_data_dir))
        fatal_never_restart("%s: a restore was cut short; run `streamd restore` again", cfg->server_data_dir);
    folder_read_layout(cfg->server_data_dir, cfg->shard_count ? (unsigned)cfg->shard_count : server_half_the_cores(),
                       layout);
    if (!cfg->shard_count)
        cfg->shard_count = layout->shards;
    if (!cfg->router_workers)
        cfg->router_workers = server_half_the_cores();
    listeners_open(&server->listeners, "listen", cfg->router_listen, (unsigned)cfg->router_workers, passed);
    listeners_store(&server->listeners, &server->notify);
    listeners_open_metrics(&server->listeners, cfg->metrics_listen);
    return lock;
}

static void server_inherit_listeners(struct listeners *listeners, const struct inheritance *in)
{
    char why[128];
    if (!listeners_adopt(listeners, in->listeners, in->listener_count, why, sizeof why))
        fatalx("the sockets that were left to us cannot be listened on: %s", why);
    listeners->has_metrics = in->metrics_listener >= 0;
    listeners->metrics = in->metrics_listener;
}

static void server_begin_inherited(struct server *server, const struct inheritance *in)
{
    server->phase = PHASE_SERVING;
    server->announced = true;
    fleet_form(&server->fleet, (unsigned)server->cfg->router_workers, (unsigned)server->cfg->shard_count);
    for (unsigned i = 0; i < in->child_count; i++)
        if (!fleet_adopt(&server->fleet, &in->children[i], server->last_turn))
            fatalx("there is no place for a process that was left to us");
    upgrade_begin(&server->upgrade, server->last_turn);
}

static void server_begin(struct server *server, const struct layout *layout)
{
    if (folder_must_move(layout, (unsigned)server->cfg->shard_count))
        server_begin_moving(server, layout->shards, server->last_turn);
    else
        server_begin_serving(server, server->last_turn);
}

static void server_open(struct server *server, int lock, int metrics)
{
    server_loop_open(server);
    server_set_signals(SIG_UNBLOCK); /* an earlier supervisor may have blocked them for us */
    fleet_init(&server->fleet, server->base, lock, &server->listeners, metrics);
    fleet_configure(&server->fleet, server->cfg);
    server->last_turn = fleet_now();
    backups_init(&server->backups, &server->fleet, server->cfg, server->last_turn);
    server->backups.ended = server_on_backup_ended;
    server->backups.ctx = server;
    server->fleet.backups = &server->backups;
    server->upgrade = (struct upgrade){.fleet = &server->fleet, .cfg = server->cfg};
    status_open(&server->status, server->fleet.meter.region, server->cfg, server->last_turn);
    console_open(&server->console, server->base, server->cfg->server_data_dir, server_on_command, server);
}

static void server_close(struct server *server)
{
    console_close(&server->console);
    status_close(&server->status);
    notify_close(&server->notify);
    backups_clear(&server->backups);
    fleet_clear(&server->fleet);
    programs_clear(&server->programs);
    server_loop_close(server);
    config_clear(server->cfg);
}

int server_main(const struct options *options, struct config *cfg)
{
    struct server server = {.options = options, .cfg = cfg};
    struct inheritance inheritance;
    struct passed passed;
    struct layout layout;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like others */
    log_init("supervisor", -1);
    log_configure(cfg->log_level, cfg->log_format);
    passed_open(&passed);
    notify_open(&server.notify);
    log_info("streamd %s, libevent %s, pid %d, data in %s", STREAMD_VERSION, event_get_version(), (int)getpid(),
             cfg->server_data_dir);
    programs_init(&server.programs, options->argv);
    bool inherited = inheritance_take(&inheritance);
    if (inherited) {
        reload_inherited(cfg, inheritance.config_text);
        server_inherit_listeners(&server.listeners, &inheritance);
        server_open(&server, inheritance.lock, inheritance.metrics);
        server_begin_inherited(&server, &inheritance);
    } else {
        server_open(&server, server_prepare(&server, &layout, &passed), -1);
        server_begin(&server, &layout);
    }
    inheritance_clear(&inheritance);
    passed_close(&passed);
    server_turn(&server);
    while (server.phase != PHASE_OVER) {
        event_base_loop(server.base, EVLOOP_ONCE);
        server_turn(&server);
    }
    log_info("ended with status %d", server.exit_status);
    log_tick(true);
    server_close(&server);
    return server.exit_status;
}
