/* The supervisor's end of a control channel: messages a child cannot take yet wait here, so that a child that hangs
 * never blocks the supervisor. */
#ifndef SUPERVISOR_CHILDREN_CHANNEL_H
#define SUPERVISOR_CHILDREN_CHANNEL_H

#include "common/control.h"

struct channel {
    int fd; /* -1: closed */
    struct queued *first, **last;
};

/* Takes fd over and makes it non-blocking. */
void channel_init(struct channel *channel, int fd);

/* Closes the socket and drops what waits. */
void channel_close(struct channel *channel);

/* Sends now or later, in order. The text is copied, the message's fd is the channel's now; both are dropped if the
 * channel is closed. */
void channel_send(struct channel *channel, const struct control *message);

/* Sends what waits, as far as the child takes it. True: something still waits. */
bool channel_flush(struct channel *channel);

#endif
