/* What a supervisor leaves to the program that replaces it in its own process: descriptors that stay open, and a text
 * in memory that says what they are:
 *
 *     streamd inheritance 1
 *     lock 3
 *     metrics 4
 *     listener 7
 *     metrics-listener 8
 *     child router 0 pid 1234 control 9 wire 9 deaths 0 started 5678
 *     configuration
 *     (an ini text)
 *
 * It crosses versions: lines are only ever added, and one that is not known is passed over. */
#ifndef SUPERVISOR_HANDOFF_H
#define SUPERVISOR_HANDOFF_H

#include "supervisor/children.h"

struct inherited_child {
    enum role_kind kind;
    unsigned place, wire, deaths;
    pid_t pid;
    int control;
    uint64_t started;
};

struct inheritance {
    int lock;
    int metrics; /* -1: none */
    int listeners[LISTENERS_MAX];
    unsigned listener_count;
    int metrics_listener; /* -1: none */
    struct inherited_child *children;
    unsigned child_count;
    char *config_text;
};

/* What there is to leave; the descriptors survive an exec from now on, and the environment names the text. False: it
 * cannot be written. */
bool inheritance_leave(const struct fleet *fleet) MUSTUSE;
/* The exec did not happen. */
void inheritance_keep(const struct fleet *fleet);

/* Takes what was left to us, if something was. Ends the process if it cannot be read. */
bool inheritance_take(struct inheritance *inheritance) MUSTUSE;
void inheritance_clear(struct inheritance *inheritance);

#endif
