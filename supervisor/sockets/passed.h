/* Descriptors that systemd passes on (sd_listen_fds(3)): the sockets of a socket unit, and those that an earlier
 * process of this service has put into its store (listeners_store()). Both come alike, and differ by their names. */
#ifndef SUPERVISOR_SOCKETS_PASSED_H
#define SUPERVISOR_SOCKETS_PASSED_H

#include "common/attr.h"

#define PASSED_FIRST 3 /* the descriptors are numbered from here on */
#define PASSED_MAX 256

struct passed {
    char *names;                  /* the list's names are in it */
    const char *name[PASSED_MAX]; /* of PASSED_FIRST + i; NULL: it was claimed */
    unsigned count;
};

/* Reads the three variables' values (NULL: not set); nothing is passed if they are meant for another process than
 * `pid`. Returns NULL, or what is wrong with them. The descriptors are not touched. */
const char *passed_read(struct passed *passed, long pid, const char *for_pid, const char *fds,
                        const char *names) MUSTUSE;

/* The same with the environment's variables, which are removed so that no child sees them. Call it before anything
 * else is opened. Ends the process
 * with EXIT_NEVER_RESTART if they make no sense. */
void passed_open(struct passed *passed);

/* Gives away those of this name (NULL: all that are left), at most `room`. Returns how many. */
unsigned passed_claim(struct passed *passed, const char *name, int *fds, unsigned room);

/* Closes every descriptor that was not claimed. */
void passed_close(struct passed *passed);

#endif
