/* The running server, from the first lock to the last child's end: what it consists of. */
#ifndef SUPERVISOR_SERVER_H
#define SUPERVISOR_SERVER_H

#include "supervisor/children/backups.h"
#include "supervisor/children/children.h"
#include "supervisor/cli/status.h"
#include "supervisor/data_dir/control_socket.h"
#include "supervisor/options.h"
#include "supervisor/sockets/listener.h"
#include "supervisor/sockets/notify.h"
#include "supervisor/upgrade/upgrade.h"

/* phases.c has the drawing. */
enum phase { PHASE_MOVING, PHASE_SERVING, PHASE_STOPPING_ROUTERS, PHASE_STOPPING_SHARDS, PHASE_OVER };

#define SERVER_SIGNALS 5

struct server {
    const struct options *options;
    struct config *cfg;
    struct event_base *base;
    struct event *signals[SERVER_SIGNALS];
    struct event *timer; /* wakes the loop for its next turn */
    struct listeners listeners;
    struct children children;
    struct backups backups;
    struct control_socket control_socket;
    struct status status;
    struct notify notify;
    struct upgrade upgrade;
    enum phase phase;
    bool stop_asked; /* by signals, until the next turn */
    bool reload_asked;
    bool upgrade_asked;
    bool announced; /* the ready line is out */
    bool killed;    /* every child was sent SIGKILL */
    uint64_t stop_began;
    uint64_t stop_until; /* when stopping turns into killing */
    uint64_t last_turn;
    int exit_status;
};

/* Serves in the foreground until a signal ends it. Takes cfg over and clears it. Returns the exit status. */
int server_main(const struct options *options, struct config *cfg);

#endif
