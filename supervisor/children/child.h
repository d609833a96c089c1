/* The life of one child process as a state machine: it knows no processes and no clock, only events and times. */
#ifndef SUPERVISOR_CHILDREN_CHILD_H
#define SUPERVISOR_CHILDREN_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

enum child_state {
    CHILD_DOWN,     /* no process, and none will be started by itself */
    CHILD_STARTING, /* runs, not yet READY */
    CHILD_UP,       /* READY */
    CHILD_KILLED,   /* SIGKILL was sent because it hung; its death is awaited */
    CHILD_WAITING,  /* died; started again when its time comes */
    CHILD_LEAVING,  /* was sent LEAVE; its successor is started as soon as it is gone */
    CHILD_STOPPING, /* was sent STOP, or a successor that takes its clients over */
    CHILD_ENDING,   /* SIGKILL was sent at the end of the server */
    CHILD_STATES
};

enum child_event {
    CHILD_EVENT_START,   /* begin its life */
    CHILD_EVENT_READY,   /* it said READY */
    CHILD_EVENT_REPORT,  /* it said it is alive */
    CHILD_EVENT_TIMEOUT, /* the time of child_deadline() has come */
    CHILD_EVENT_DIED,    /* the process is gone */
    CHILD_EVENT_REFUSED, /* the same, with EXIT_NEVER_RESTART */
    CHILD_EVENT_RENEW,   /* a new process is to take its slot, after it */
    CHILD_EVENT_RETIRE,  /* another process has taken its place */
    CHILD_EVENT_STOP,    /* the server ends in order */
    CHILD_EVENT_KILL,    /* the server ends at once */
    CHILD_EVENTS
};

/* The caller must do this after an event. */
enum child_action {
    CHILD_NOTHING,
    CHILD_SPAWN, /* start a process */
    CHILD_SAY_LEAVE,
    CHILD_SAY_STOP, /* send it STOP */
    CHILD_SIGKILL,  /* kill it */
    CHILD_GIVE_UP,  /* it cannot work here: end the server */
};

struct child {
    enum child_state state;
    uint64_t started;  /* when the latest process was */
    uint64_t reported; /* when it last reported, was started, or was sent LEAVE */
    uint64_t due;      /* WAITING: when to start it again */
    unsigned deaths;   /* since the server started */
};

struct child_times {
    uint64_t hang_timeout, restart_delay; /* ms */
};

/* All times are milliseconds of one monotonic clock. */
enum child_action child_event(struct child *child, enum child_event event, const struct child_times *times,
                              uint64_t now) MUSTUSE;

/* When CHILD_EVENT_TIMEOUT is due; UINT64_MAX: never. */
uint64_t child_deadline(const struct child *child, const struct child_times *times);

/* A process exists. */
static inline bool child_alive(const struct child *child)
{
    return child->state != CHILD_DOWN && child->state != CHILD_WAITING;
}

/* A process exists that is meant to work: its peers are wired to it. */
static inline bool child_works(const struct child *child)
{
    return child->state == CHILD_STARTING || child->state == CHILD_UP;
}

const char *child_state_name(enum child_state state);

#endif
