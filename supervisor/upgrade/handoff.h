/* A supervisor leaves to the program that replaces it, in its own process, descriptors that stay open and a text in
 * memory that says what they are:
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
#ifndef SUPERVISOR_UPGRADE_HANDOFF_H
#define SUPERVISOR_UPGRADE_HANDOFF_H

#include "supervisor/children/children.h"

struct handoff {
    int lock;
    int metrics; /* -1: none */
    int listeners[LISTENERS_MAX];
    unsigned listener_count;
    int metrics_listener; /* -1: none */
    struct children_adopted *children;
    unsigned child_count;
    char *config_text;
};

/* Writes the text: the environment names it, and its descriptors survive an exec from now on. False: it cannot be
 * written. */
bool handoff_write(const struct children *children) MUSTUSE;
/* Undoes handoff_write(): the exec did not happen. */
void handoff_cancel(const struct children *children);

/* Reads what an earlier supervisor has left. False: there is none. Ends the process if it cannot be read. The caller
 * clears it in any case. */
bool handoff_read(struct handoff *handoff) MUSTUSE;
void handoff_clear(struct handoff *handoff);

#endif
