/* The bus between shards, for fan-out: nanomsg, a message a turn and peer, which is frames (common/wire.def) in a row.
 * It may lose messages and says nothing of who is alive: whoever uses it hears back over the links. */
#ifndef SHARD_FANOUT_BUS_H
#define SHARD_FANOUT_BUS_H

#include <event2/event.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/layout.h"
#include "common/slice.h"

struct bus {
    struct event_base *base;
    const char *data_dir;
    int inward;                     /* the socket that all others send to */
    int outward[LAYOUT_SHARDS_MAX]; /* to each of them; -1: not opened yet */
    int dir;                        /* the data folder, by which sockets are named whatever the length of its path */
    struct event *readable, *retry;
    bool readable_now; /* set by the loop, taken by bus_receive() */
};

/* Ends the process if it cannot have its socket. */
void bus_open(struct bus *bus, struct event_base *base, const char *data_dir, unsigned index);
void bus_close(struct bus *bus);

/* False: not now; the message is still the caller's, and the loop is woken when it is worth another try. */
bool bus_send(struct bus *bus, unsigned shard, struct slice message) MUSTUSE;

/* The next message that came; false if there is none. *message is given back with bus_release(). */
bool bus_receive(struct bus *bus, struct slice *message) MUSTUSE;
void bus_release(struct slice message);

#endif
