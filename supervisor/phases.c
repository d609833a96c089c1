/* The phases of a running server. Each phase ends when the children have reached the state that the arrow names.
 *
 *            all moved            stop                    routers DOWN             shards DOWN
 *     MOVING ────────► SERVING ────────► STOPPING_ROUTERS ────────────► STOPPING_SHARDS ────────► OVER
 *        │                                                                     ▲
 *        └────────────────────── stop: a move can be cut anywhere ─────────────┘
 *
 * Happy path: MOVING only happens if shard.count has changed since the last start, and at the first start with data of
 * a version that knew no {group} in names. SERVING begins with all children DOWN, and the ready line is printed when
 * all are UP. Routers stop first: the shards still answer what routers have accepted. An upgrade
 * (supervisor/upgrade/upgrade.c) is part of SERVING.
 *
 * Failure modes:
 *   - A child dies or hangs: it is started again (supervisor/children/child.c); the phase stays.
 *   - A child ends with EXIT_NEVER_RESTART: the server stops in order and ends with that status. A move that fails ends
 *     the server at once.
 *   - A second stop signal, or server.stop_timeout: everything that is left is killed, and the phases go on.
 *   - This process itself did not run for PAUSE_MS (a suspended machine): no child counts as hung for it.
 *   - An upgrade's exec fails: the server goes on as it was. */
#include "supervisor/phases.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/layout.h"
#include "common/log.h"
#include "supervisor/control_commands.h"
#include "supervisor/data_dir/data_dir.h"
#include "supervisor/reload.h"
#include "supervisor/server.h"
#include "supervisor/upgrade/handoff.h"

/* If this process itself did not run for this long, a child's silence means nothing. */
#define PAUSE_MS 2000u

/* A stop signal this soon after the first is its echo: a terminal and a wrapper often send one each. */
#define SECOND_SIGNAL_MS 250u

#define EXTEND_MS 30000u /* of the time that systemd gives a start, while streams are moved */

static void phases_event_all(struct server *server, enum child_event event, uint64_t now)
{
    children_event(&server->children, ROLE_ROUTER, event, now);
    children_event(&server->children, ROLE_SHARD, event, now);
}

/* Shards first: a router that starts before them only waits. */
static void phases_begin_serving(struct server *server, uint64_t now)
{
    server->phase = PHASE_SERVING;
    children_form(&server->children, (unsigned)server->cfg->router_workers, (unsigned)server->cfg->shard_count);
    children_event(&server->children, ROLE_SHARD, CHILD_EVENT_START, now);
    children_event(&server->children, ROLE_ROUTER, CHILD_EVENT_START, now);
}

static void phases_begin_moving(struct server *server, unsigned from, uint64_t now)
{
    if (from != server->cfg->shard_count)
        log_info("moving streams from %u to %u shards", from, (unsigned)server->cfg->shard_count);
    server->phase = PHASE_MOVING;
    children_form_once(&server->children, "move", NULL);
    children_event(&server->children, ROLE_SHARD, CHILD_EVENT_START, now);
}

static void phases_begin_stop(struct server *server, uint64_t now)
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
        phases_event_all(server, CHILD_EVENT_KILL, now);
        return;
    }
    server->phase = PHASE_STOPPING_ROUTERS;
    children_event(&server->children, ROLE_ROUTER, CHILD_EVENT_STOP, now);
}

static void phases_kill_all(struct server *server, const char *why, uint64_t now)
{
    if (server->killed)
        return;
    server->killed = true;
    log_warn("%s: killing the remaining processes", why);
    phases_event_all(server, CHILD_EVENT_KILL, now);
}

static bool phases_stopping(const struct server *server)
{
    return server->phase == PHASE_STOPPING_ROUTERS || server->phase == PHASE_STOPPING_SHARDS;
}

static void phases_tell_serving(const struct server *server)
{
    const struct address *address = &server->listeners.address;
    notify_tell(&server->notify, "READY=1\nSTATUS=serving on %s:%s with %u shards", address->host, address->port,
                (unsigned)server->cfg->shard_count);
}

static void phases_announce(struct server *server)
{
    const struct address *address = &server->listeners.address;
    server->announced = true;
    if (server->cfg->auth_mode == AUTH_MODE_NONE && !address_is_loopback(address))
        log_warn("auth.mode = none, and router.listen is not this machine only: EVERY CLIENT CAN READ, WRITE"
                 " AND DELETE EVERYTHING");
    printf(address->v6 ? "ready: http://[%s]:%s shards=%u\n" : "ready: http://%s:%s shards=%u\n", address->host,
           address->port, (unsigned)server->cfg->shard_count);
    fflush(stdout);
    phases_tell_serving(server);
}

/* The move has ended: well, or with a status that becomes ours. */
static void phases_end_move(struct server *server, uint64_t now)
{
    struct layout layout;
    int status = server->children.give_up_status;
    unsigned shards = (unsigned)server->cfg->shard_count;
    if (status != 0) {
        log_error("the move of streams failed with status %d; nothing is lost, but streamd cannot serve", status);
        server->exit_status = status;
        server->children.gave_up = false;
        server->phase = PHASE_OVER;
        return;
    }
    data_dir_read_layout(server->cfg->server_data_dir, shards, &layout);
    bool moved = !layout_must_move(&layout, shards);
    layout_clear(&layout);
    if (!moved)
        fatalx("the move of streams ended without having moved them");
    phases_begin_serving(server, now);
}

static void phases_give_up(struct server *server, uint64_t now)
{
    server->children.gave_up = false;
    server->exit_status = server->children.give_up_status;
    log_error("a process ended with status %d, which means that it cannot work with this configuration or this data; "
              "see its own last lines. Stopping.",
              server->exit_status);
    if (!phases_stopping(server))
        phases_begin_stop(server, now);
}

/* Goes on to the next phase when the children have reached what ends this one. */
static void phases_advance(struct server *server, uint64_t now)
{
    struct children *children = &server->children;
    if (children->gave_up && server->phase == PHASE_MOVING)
        phases_end_move(server, now);
    if (children->gave_up)
        phases_give_up(server, now);
    if (server->phase == PHASE_SERVING && !server->announced && children_all_in(children, ROLE_ROUTER, CHILD_UP) &&
        children_all_in(children, ROLE_SHARD, CHILD_UP))
        phases_announce(server);
    if (server->phase == PHASE_STOPPING_ROUTERS && children_all_in(children, ROLE_ROUTER, CHILD_DOWN)) {
        server->phase = PHASE_STOPPING_SHARDS;
        children_event(children, ROLE_SHARD, CHILD_EVENT_STOP, now);
    }
    if (server->phase == PHASE_STOPPING_SHARDS && children_all_in(children, ROLE_SHARD, CHILD_DOWN))
        server->phase = PHASE_OVER;
    if (phases_stopping(server) && now >= server->stop_until)
        phases_kill_all(server, "server.stop_timeout is over", now);
}

static void phases_reload(struct server *server)
{
    notify_tell(&server->notify, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_monotonic_ms() * 1000);
    if (reload_config(server->options, server->cfg))
        children_configure(&server->children, server->cfg);
    notify_tell(&server->notify, "READY=1");
}

/* A reload with other programs than those that run is an upgrade, which reads the configuration too. While one is under
 * way, and until everything is up, signals wait. */
static void phases_take_wishes(struct server *server)
{
    if (!server->announced || server->phase != PHASE_SERVING || upgrade_under_way(&server->upgrade))
        return;
    if (server->reload_asked && upgrade_wanted(&server->upgrade))
        server->upgrade_asked = true;
    if (server->upgrade_asked)
        upgrade_ask(&server->upgrade, server->last_turn);
    else if (server->reload_asked)
        phases_reload(server);
    server->reload_asked = server->upgrade_asked = false;
}

static void phases_take_signals(struct server *server, uint64_t now)
{
    phases_take_wishes(server);
    if (!server->stop_asked)
        return;
    server->stop_asked = false;
    if (!phases_stopping(server)) {
        log_info("stopping");
        phases_begin_stop(server, now);
    } else if (now - server->stop_began >= SECOND_SIGNAL_MS) {
        phases_kill_all(server, "second signal", now);
    }
}

static void phases_forgive_pause(struct server *server, uint64_t now)
{
    if (now - server->last_turn > PAUSE_MS)
        phases_event_all(server, CHILD_EVENT_REPORT, now);
    server->last_turn = now;
}

/* ---- upgrades ---- */

void phases_set_signals(int how)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(how, &all, NULL);
}

/* The new program goes on in this very process, with the children and sockets that this one has. */
static void phases_become_new(struct server *server)
{
    phases_set_signals(SIG_BLOCK); /* until the new one is there to take them */
    event_base_loop(server->base, EVLOOP_NONBLOCK);
    if (server->stop_asked) { /* by a signal that had come before */
        phases_set_signals(SIG_UNBLOCK);
        return;
    }
    backups_give_up(&server->backups, "streamd is being upgraded");
    notify_tell(&server->notify, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=upgrading",
                (unsigned long long)clock_monotonic_ms() * 1000);
    control_socket_close(&server->control_socket);
    notify_leave(&server->notify);
    if (handoff_write(&server->children))
        programs_become(&server->upgrade.programs);
    log_error("the upgrade has failed; nothing has changed");
    handoff_cancel(&server->children);
    notify_keep();
    phases_set_signals(SIG_UNBLOCK);
    control_socket_open(&server->control_socket, server->base, server->cfg->server_data_dir, control_commands_on_line,
                        server);
    phases_tell_serving(server);
    upgrade_cancel(&server->upgrade);
}

static uint64_t phases_go_on_upgrading(struct server *server, uint64_t now)
{
    struct upgrade *upgrade = &server->upgrade;
    if (!upgrade_under_way(upgrade) || server->phase != PHASE_SERVING)
        return UINT64_MAX;
    bool replacing = upgrade->step >= UPGRADE_ROUTERS;
    uint64_t due = upgrade_turn(upgrade, now);
    if (upgrade->step == UPGRADE_CHECKED) {
        phases_become_new(server);
        return server->stop_asked ? now : UINT64_MAX;
    }
    if (replacing && !upgrade_under_way(upgrade))
        phases_tell_serving(server);
    return due;
}

/* ---- how it begins ---- */

void phases_begin(struct server *server, const struct layout *layout)
{
    if (layout_must_move(layout, (unsigned)server->cfg->shard_count) || !layout->groups)
        phases_begin_moving(server, layout->shards, server->last_turn);
    else
        phases_begin_serving(server, server->last_turn);
}

void phases_begin_inherited(struct server *server, const struct handoff *handoff)
{
    server->phase = PHASE_SERVING;
    server->announced = true; /* by the program before this one */
    children_form(&server->children, (unsigned)server->cfg->router_workers, (unsigned)server->cfg->shard_count);
    for (unsigned i = 0; i < handoff->child_count; i++)
        if (!children_adopt(&server->children, &handoff->children[i], server->last_turn))
            fatalx("there is no place for a process that was left to us");
    upgrade_begin(&server->upgrade, server->last_turn);
}

/* ---- the turn ---- */

static void phases_arm_timer(struct server *server, uint64_t next, uint64_t now)
{
    if (phases_stopping(server) && !server->killed && server->stop_until < next)
        next = server->stop_until;
    if (next > now + PAUSE_MS / 2)
        next = now + PAUSE_MS / 2;
    uint64_t ms = next > now ? next - now : 0;
    const struct timeval after = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_add(server->timer, &after);
}

/* systemd's watchdog is fed as long as this loop turns and every child is UP; a move takes as long as it takes. */
static uint64_t phases_tell_alive(struct server *server, uint64_t now)
{
    struct children *children = &server->children;
    if (server->phase == PHASE_MOVING && !children_all_in(children, ROLE_SHARD, CHILD_KILLED))
        notify_tell(&server->notify, "EXTEND_TIMEOUT_USEC=%u\nSTATUS=moving streams", EXTEND_MS * 1000u);
    bool all_up = server->upgrade.step >= UPGRADE_ROUTERS || /* which has time limits of its own */
                  (children_all_in(children, ROLE_ROUTER, CHILD_UP) && children_all_in(children, ROLE_SHARD, CHILD_UP));
    return all_up && server->phase == PHASE_SERVING ? notify_alive(&server->notify, now) : UINT64_MAX;
}

void phases_turn(struct server *server)
{
    uint64_t now = clock_monotonic_ms();
    phases_forgive_pause(server, now);
    children_reap(&server->children, now);
    log_tick(false); /* the children's reports make a turn every second */
    phases_take_signals(server, now);
    phases_advance(server, now);
    uint64_t next = server->phase == PHASE_SERVING ? backups_expire(&server->backups, now) : UINT64_MAX;
    uint64_t due = children_expire(&server->children, now);
    if (due < next)
        next = due;
    status_turn(&server->status, now);
    due = phases_go_on_upgrading(server, now);
    if (due < next)
        next = due;
    due = phases_tell_alive(server, now);
    phases_arm_timer(server, due < next ? due : next, now);
}
