/* All child processes: starts them, connects them with each other, reads what they report, reaps them. Every time is
 * clock_monotonic_ms(). */
#ifndef SUPERVISOR_CHILDREN_CHILDREN_H
#define SUPERVISOR_CHILDREN_CHILDREN_H

#include "common/backup.h"
#include "common/config.h"
#include "supervisor/sockets/listener.h"
#include "supervisor/children/process.h"
#include "supervisor/children/stats.h"

/* Calls that tell the owner of the children of shards. NULL: no call. */
struct children_hooks {
    void (*on_backup)(void *ctx, unsigned shard, enum backup_step step, struct slice text); /* text: borrowed */
    void (*on_shard_death)(void *ctx);
    void *ctx;
};

/* A living process that an earlier supervisor has started. */
struct children_adopted {
    enum role_kind kind;
    unsigned slot, wire, deaths;
    pid_t pid;
    int control;
    uint64_t started;
};

struct children {
    struct event_base *base;
    char *folder; /* of the programs */
    int lock;     /* of the data folder, kept open by every child */
    const struct listeners *listeners;
    struct stats stats;
    struct process *list;
    unsigned count;
    struct child_times times;
    char *config_text; /* what every child gets */
    struct children_hooks hooks;
    bool once;    /* no child is started again, whatever it ended with */
    bool gave_up; /* one ended for good, with give_up_status */
    int give_up_status;
};

/* The programs are looked for beside the one that runs. listeners: what the routers get. metrics: as for stats_open().
 */
void children_init(struct children *children, struct event_base *base, int lock, const struct listeners *listeners,
                   int metrics);
void children_clear(struct children *children);

/* Replaces the processes (none may be alive) by `routers` and `shards` new ones that are DOWN. */
void children_form(struct children *children, unsigned routers, unsigned shards);

/* The same with a single `streamd-shard ARGUMENT [MORE]` that is started only once. more: NULL for none. */
void children_form_once(struct children *children, const char *argument, const char *more);

/* Sets the configuration of new processes; living ones get it at once. */
void children_configure(struct children *children, const struct config *cfg);

/* Gives every process of this kind the event. */
void children_event(struct children *children, enum role_kind kind, enum child_event event, uint64_t now);

/* Tells shard `index`, or all (UINT_MAX), of a step of a backup. */
void children_send_backup(struct children *children, unsigned index, enum backup_step step, struct slice text);

/* Takes note of the processes that have died. */
void children_reap(struct children *children, uint64_t now);

/* Handles what is due and returns when to call again (UINT64_MAX: no need). */
uint64_t children_expire(struct children *children, uint64_t now);

bool children_all_in(const struct children *children, enum role_kind kind, enum child_state state);

/* ---- upgrades (supervisor/upgrade/upgrade.h) ---- */

/* The shard, or the router that works under this number; spare: the one in the router's other slot. */
struct process *children_find(struct children *children, enum role_kind kind, unsigned number, bool spare);

/* Gives one process the event, and does what its life asks for (child.h). */
void children_deliver(struct process *process, enum child_event event, uint64_t now);

/* A router that is UP takes the clients and the listening socket of another, which leaves and is the spare now. */
void children_replace(struct process *from, struct process *to, uint64_t now);

/* All processes are UP, and no message to one of them waits. */
bool children_quiet(const struct children *children) MUSTUSE;

/* Takes over a process that an earlier supervisor has started. False: there is no slot for it. */
bool children_adopt(struct children *children, const struct children_adopted *child, uint64_t now) MUSTUSE;

#endif
