/* The life of a child process: the control channel to the supervisor on fd 3, the event loop, the heartbeat. A router
 * or a shard fills in struct role and calls role_run() from main. */
#ifndef COMMON_ROLE_H
#define COMMON_ROLE_H

#include "common/backup.h"
#include "common/config.h"
#include "common/slice.h"

struct event_base;

#define ROLE_CONTROL_FD 3

/* Never touched: it keeps the lock on the data folder until the last child is gone, so that a new streamd cannot start
 * work beside children that a killed one left behind. */
#define ROLE_LOCK_FD 4

enum role_kind { ROLE_ROUTER, ROLE_SHARD };

struct role {
    enum role_kind kind;
    void *ctx;

    /* Once, first: the configuration (kept valid by role_run) and this process's index. Ends the process itself with
     * fatal_never_restart() if it cannot work with it. The role is READY when this returns. */
    void (*start)(void *ctx, struct event_base *base, const struct config *cfg, unsigned index);

    /* A data socket to a peer, at any time: it replaces an earlier one to the same peer. The fd is the role's now. */
    void (*peer)(void *ctx, enum role_kind kind, unsigned index, int fd);

    /* Routers (NULL elsewhere): the listening socket. The fd is the role's now. */
    void (*listener)(void *ctx, int fd);

    /* The reloadable keys of the configuration have changed in place. NULL: nothing to do. */
    void (*reload)(void *ctx);

    /* Shards (NULL elsewhere): a step of a backup. The text is borrowed. */
    void (*backup)(void *ctx, enum backup_step step, struct slice text);

    /* Finish what is in flight and call role_done(); role_run() then returns. */
    void (*stop)(void *ctx);

    /* After every turn of the event loop. */
    void (*turn)(void *ctx);

    void *state; /* role_run's own */
};

/* Runs until role_done(), or until the supervisor is gone (EOF on fd 3: the process exits at once). Returns the exit
 * status for main. Sends a report to the supervisor every second (more often if server.hang_timeout is short) from the
 * loop, so a hung loop shows. */
int role_run(struct role *role, int argc, char **argv);
void role_done(struct role *role);

/* Tells the supervisor of a step of a backup. */
void role_backup(struct role *role, enum backup_step step, struct slice text);

/* For long work outside the event loop (a move between shards): tells the supervisor that this process is alive. */
void role_report(struct role *role);

#endif
