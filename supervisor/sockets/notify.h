/* Messages to systemd (sd_notify(3)): datagrams to the socket that $NOTIFY_SOCKET names. Without one nothing
 * happens. */
#ifndef SUPERVISOR_SOCKETS_NOTIFY_H
#define SUPERVISOR_SOCKETS_NOTIFY_H

#include <stdint.h>

#include "common/attr.h"

#define NOTIFY_NAMES 4

struct notify {
    int fd;                   /* -1: there is no systemd */
    uint64_t watchdog_ms;     /* how often it wants to hear that all is well; 0: it does not care */
    uint64_t next_ms;         /* when the next ping is due */
    char *kept[NOTIFY_NAMES]; /* of the environment */
};

/* Takes what concerns it out of the environment, so that no child has it. */
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);

/* Puts it back, for the program that takes our place; or, as that did not happen, takes it out again. */
void notify_leave(const struct notify *notify);
void notify_keep(void);

/* Lines "NAME=value". */
void notify_tell(const struct notify *notify, const char *text, ...) PRINTF(2, 3);

/* Lines, and descriptors beside them, for the store (FDSTORE=1) that outlives us. They stay the caller's too. */
void notify_store(const struct notify *notify, const char *lines, const int *fds, unsigned count);

/* All is well; says so as often as is wanted. Returns when to call again (UINT64_MAX: no need). now_ms: monotonic. */
uint64_t notify_alive(struct notify *notify, uint64_t now_ms);

#endif
