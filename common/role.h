/* The life of a child process: the control channel to the supervisor on fd 3, the event loop, the heartbeat. A router
 * or a shard fills in struct role and calls role_run() from main. */
#ifndef COMMON_ROLE_H
#define COMMON_ROLE_H

#include "common/backup.h"
#include "common/config.h"
#include "common/slice.h"

struct event_base;
struct metrics;
struct metrics_region;

#define ROLE_CONTROL_FD 3

/* Never touched: it keeps the lock on the data folder until the last child is gone, so that a new streamd cannot start
 * work beside children that a killed one left behind. */
#define ROLE_LOCK_FD 4

/* The region of metrics (common/metrics.h). */
#define ROLE_METRICS_FD 5

enum role_kind { ROLE_ROUTER, ROLE_SHARD };

/* A process slot is a process's number among its peers (a layout slot, common/layout.h, is something else). A shard's
 * is its number. A router has two, its number and that plus ROLE_ROUTERS_MAX, which its successive processes take in
 * turns: during an upgrade both work. */
#define ROLE_ROUTERS_MAX 64
#define ROLE_ROUTER_SLOTS (2 * ROLE_ROUTERS_MAX)

static inline unsigned role_number(enum role_kind kind, unsigned slot)
{
    return kind == ROLE_ROUTER ? slot % ROLE_ROUTERS_MAX : slot;
}

struct role {
    enum role_kind kind;
    void *ctx;

    /* Once, first: the configuration (kept valid by role_run) and this process's slot. Ends the process itself with
     * fatal_never_restart() if it cannot work with it. The role is READY when this returns. */
    void (*start)(void *ctx, struct event_base *base, const struct config *cfg, unsigned slot);

    /* A data socket to a peer, at any time: it replaces an earlier one to the same slot. The fd is the role's now. */
    void (*peer)(void *ctx, enum role_kind kind, unsigned slot, int fd);

    /* Routers (NULL elsewhere): the listening socket. The fd is the role's now. */
    void (*listener)(void *ctx, int fd);
    void (*metrics_listener)(void *ctx, int fd); /* one of them may get that, too */

    /* The reloadable keys of the configuration have changed in place. NULL: nothing to do. */
    void (*reload)(void *ctx);

    /* Shards (NULL elsewhere): a step of a backup. The text is borrowed. */
    void (*backup)(void *ctx, enum backup_step step, struct slice text);

    /* Shards (NULL elsewhere): answer what has been asked, then do as if stopped: a successor follows. */
    void (*leave)(void *ctx);

    /* Routers (NULL elsewhere): a socket to the process that takes the clients over; the role is done when the last is
     * gone. Or, in that process, to the one whose clients come. The fd is the role's now. */
    void (*successor)(void *ctx, int fd);
    void (*predecessor)(void *ctx, int fd);

    /* Finish what is in flight and call role_done(); role_run() then returns. */
    void (*stop)(void *ctx);

    /* After every turn of the event loop. */
    void (*turn)(void *ctx);

    void *state; /* role_run's own */
};

/* With the single argument "version" it prints program, version and formats on a line, as role_version_parse() reads
 * it, and ends the process. Otherwise it runs until role_done(), or until the supervisor is gone (EOF on fd 3: the
 * process exits at once). Returns the exit status for main. Sends a report to the supervisor every second (more often
 * if server.hang_timeout is short) from the loop, so a hung loop shows. */
int role_run(struct role *role, int argc, char **argv);
void role_done(struct role *role);

/* What a program says of itself. */
struct role_version {
    char version[32];
    unsigned wire; /* WIRE_VERSION */
    unsigned data; /* STREAMD_DATA_VERSION */
};

bool role_version_parse(const char *line, struct role_version *version) MUSTUSE;

/* What is counted: all of it, and this process's own slot. NULL where nothing is counted. */
const struct metrics_region *role_region(const struct role *role);
struct metrics *role_metrics(const struct role *role);

/* Tells the supervisor of a step of a backup. */
void role_backup(struct role *role, enum backup_step step, struct slice text);

/* For long work outside the event loop (a move between shards): tells the supervisor that this process is alive. */
void role_report(struct role *role);

#endif
