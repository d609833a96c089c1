/* How a server begins and ends.
 *
 * Happy path: signals and log, then what may refuse (prepare.c), then everything that lasts as long as the loop, then
 * turns (phases.c) until the phase is OVER. A program that an upgrade has put in the place of an earlier one
 * (handoff.h) prepares nothing: lock, sockets and children are there.
 *
 * Failure modes: prepare() and handoff_read() end the process. From then on only a turn decides that the server ends.
 */
#include "supervisor/server.h"

#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/version.h"
#include "supervisor/control_commands.h"
#include "supervisor/phases.h"
#include "supervisor/prepare.h"
#include "supervisor/reload.h"
#include "supervisor/sockets/passed.h"
#include "supervisor/upgrade/handoff.h"

static const int server_signal_numbers[SERVER_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD};

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

static void server_loop_open(struct server *server)
{
    server->base = event_base_new();
    if (!server->base)
        fatalx("cannot make an event loop");
    for (size_t i = 0; i < SERVER_SIGNALS; i++) {
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
    for (size_t i = 0; i < SERVER_SIGNALS; i++)
        event_free(server->signals[i]);
    event_free(server->timer);
    event_base_free(server->base);
}

static void server_inherit_listeners(struct listeners *listeners, const struct handoff *in)
{
    char why[128];
    if (!listeners_adopt(listeners, in->listeners, in->listener_count, why, sizeof why))
        fatalx("the sockets that were left to us cannot be listened on: %s", why);
    listeners->has_metrics = in->metrics_listener >= 0;
    listeners->metrics = in->metrics_listener;
}

static void server_open(struct server *server, int lock, int metrics)
{
    server_loop_open(server);
    phases_set_signals(SIG_UNBLOCK); /* an earlier supervisor may have blocked them for us */
    children_init(&server->children, server->base, lock, &server->listeners, metrics);
    children_configure(&server->children, server->cfg);
    server->last_turn = clock_monotonic_ms();
    backups_init(&server->backups, &server->children, server->cfg, server->last_turn);
    server->backups.ended = control_commands_on_backup_ended;
    server->backups.ctx = server;
    status_open(&server->status, server->children.stats.region, server->cfg, server->last_turn);
    control_socket_open(&server->control_socket, server->base, server->cfg->server_data_dir, control_commands_on_line,
                        server);
}

/* Children are gone by now (PHASE_OVER), so the order only has to keep what others point into: the loop goes last but
 * one, and the configuration last. */
static void server_close(struct server *server)
{
    control_socket_close(&server->control_socket);
    status_close(&server->status);
    notify_close(&server->notify);
    backups_clear(&server->backups);
    children_clear(&server->children);
    upgrade_clear(&server->upgrade);
    server_loop_close(server);
    config_clear(server->cfg);
}

int server_main(const struct options *options, struct config *cfg)
{
    struct server server = {.options = options, .cfg = cfg};
    struct handoff handoff;
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
    upgrade_init(&server.upgrade, &server.children, cfg, options->argv); /* before the programs can be replaced */
    bool inherited = handoff_read(&handoff);
    if (inherited) {
        reload_inherited(cfg, handoff.config_text);
        server_inherit_listeners(&server.listeners, &handoff);
        server_open(&server, handoff.lock, handoff.metrics);
        phases_begin_inherited(&server, &handoff);
    } else {
        int lock = prepare(cfg, &server.listeners, &server.notify, &passed, &layout);
        server_open(&server, lock, -1);
        phases_begin(&server, &layout);
        layout_clear(&layout);
    }
    handoff_clear(&handoff);
    passed_close(&passed);
    phases_turn(&server);
    while (server.phase != PHASE_OVER) {
        event_base_loop(server.base, EVLOOP_ONCE);
        phases_turn(&server);
    }
    log_info("ended with status %d", server.exit_status);
    log_tick(true);
    server_close(&server);
    return server.exit_status;
}
