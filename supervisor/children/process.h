/* One child process: its program, its control channel, its pid. */
#ifndef SUPERVISOR_CHILDREN_PROCESS_H
#define SUPERVISOR_CHILDREN_PROCESS_H

#include <sys/types.h>

#include "supervisor/children/channel.h"
#include "supervisor/children/child.h"

struct process {
    enum role_kind kind;
    unsigned slot; /* common/role.h */
    unsigned number;
    bool spare;    /* a router's other slot: empty, or a process that has been or is about to be replaced */
    bool old;      /* it runs an earlier version, which would not understand our configuration */
    unsigned wire; /* its WIRE_VERSION: peers of another do not understand it */
    const char *argument, *more; /* NULL: none */
    char name[24];               /* for the log: "shard/2" */
    struct child life;
    pid_t pid; /* 0: none */
    struct channel control;
    struct event *readable; /* the control channel */
    struct children *children;
};

void process_init(struct process *process, enum role_kind kind, unsigned slot, const char *argument);

/* The folder of this program, and of the others. The caller frees it. */
char *process_folder(void);

/* Becomes another program of the folder with these arguments; argv[0] is replaced. Returns if it cannot. */
void process_become(const char *program, char **argv);

/* Descriptors that every child has open beside its control channel. */
struct process_fds {
    int lock, metrics;
};

/* Forks and executes FOLDER/streamd-router or FOLDER/streamd-shard with the control channel on ROLE_CONTROL_FD and
 * the lock and the metrics on ROLE_LOCK_FD and ROLE_METRICS_FD. */
void process_spawn(struct process *process, const char *folder, const struct process_fds *fds);

/* Closes the channel; the process itself is not touched. */
void process_clear(struct process *process);

/* "was killed by signal 9 (Killed)", "exited with status 1". */
void process_describe_death(int wait_status, char *out, size_t size);

#endif
