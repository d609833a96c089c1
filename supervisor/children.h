/* All child processes: starts them, wires them to each other, hears them, reaps them. */
#ifndef SUPERVISOR_CHILDREN_H
#define SUPERVISOR_CHILDREN_H

#include "common/backup.h"
#include "common/config.h"
#include "supervisor/listener.h"
#include "supervisor/process.h"
#include "supervisor/stats.h"

struct fleet {
    struct event_base *base;
    char *folder; /* of the programs */
    int lock;     /* of the data folder, kept open by every child */
    const struct listeners *listeners;
    struct meter meter;
    struct process *list;
    unsigned count;
    struct child_times times;
    char *config_text;       /* what every child gets */
    struct backups *backups; /* hears what shards say of backups; NULL: nobody does */
    bool once;               /* no child is started again, whatever it ended with */
    bool gave_up;            /* one ended for good, with give_up_status */
    int give_up_status;
};

/* The programs are looked for beside the one that runs. listeners: what the routers get. metrics: as for meter_open().
 */
void fleet_init(struct fleet *fleet, struct event_base *base, int lock, const struct listeners *listeners, int metrics);
void fleet_clear(struct fleet *fleet);

/* Replaces the processes (none may be alive) by `routers` and `shards` new ones that are DOWN. */
void fleet_form(struct fleet *fleet, unsigned routers, unsigned shards);

/* The same with a single `streamd-shard ARGUMENT [MORE]` that is started only once. more: NULL for none. */
void fleet_form_once(struct fleet *fleet, const char *argument, const char *more);

/* What new processes get from now on; living ones get it at once. */
void fleet_configure(struct fleet *fleet, const struct config *cfg);

/* Gives every process of this kind the event. */
void fleet_event(struct fleet *fleet, enum role_kind kind, enum child_event event, uint64_t now);

/* Tells shard `index`, or all (UINT_MAX), of a step of a backup. */
void fleet_backup(struct fleet *fleet, unsigned index, enum backup_step step, struct slice text);

/* Takes note of the processes that have died. */
void fleet_reap(struct fleet *fleet, uint64_t now);

/* Handles what is due and returns when to call again (UINT64_MAX: no need). */
uint64_t fleet_expire(struct fleet *fleet, uint64_t now);

bool fleet_all_in(const struct fleet *fleet, enum role_kind kind, enum child_state state);

/* ---- upgrades (supervisor/upgrade.h) ---- */

/* The shard, or the router that works under this number; spare: the one at the router's other place. */
struct process *fleet_process(struct fleet *fleet, enum role_kind kind, unsigned number, bool spare);

void fleet_deliver(struct process *process, enum child_event event, uint64_t now);

/* A router that is UP takes the clients and the listening socket of another, which leaves and is the spare now. */
void fleet_replace(struct process *from, struct process *to, uint64_t now);

/* All processes are UP and have been told all there was to tell. */
bool fleet_quiet(const struct fleet *fleet) MUSTUSE;

/* Goes on with a process that an earlier supervisor has started. False: there is no place for it. */
struct inherited_child;
bool fleet_adopt(struct fleet *fleet, const struct inherited_child *child, uint64_t now) MUSTUSE;

/* Monotonic milliseconds. */
uint64_t fleet_now(void);

#endif
