/* The control channel between the supervisor and a child: a SOCK_SEQPACKET socket pair, one message a packet, file
 * descriptors beside it. Every message and its fields are in the table in control.c. During an upgrade a supervisor
 * speaks with children of an earlier version: types are only ever added, at the end, and their fields stay. */
#ifndef COMMON_CONTROL_H
#define COMMON_CONTROL_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/role.h"

enum control_type {
    CONTROL_CONFIG = 1,    /* supervisor -> child: your index, the configuration as an ini text; again after a reload */
    CONTROL_LISTEN,        /* supervisor -> router: the listening socket */
    CONTROL_PEER,          /* supervisor -> child: a data socket to the process `kind`/`index` */
    CONTROL_STOP,          /* supervisor -> child: finish and leave */
    CONTROL_READY,         /* child -> supervisor: started */
    CONTROL_REPORT,        /* child -> supervisor: alive */
    CONTROL_BACKUP,        /* both ways: a step of a backup (common/backup.h) and its text */
    CONTROL_LEAVE,         /* supervisor -> shard: answer what has been asked and leave; a successor follows */
    CONTROL_SUCCESSOR,     /* supervisor -> router: a socket to the process that takes its clients over */
    CONTROL_PREDECESSOR,   /* supervisor -> router: a socket to the process whose clients it takes over */
    CONTROL_LISTEN_METRICS /* supervisor -> router: the listening socket for metrics */
};

#define CONTROL_MAX ((size_t)64 << 10) /* a longer packet is a broken peer */

struct control {
    enum control_type type;
    enum role_kind kind; /* PEER */
    unsigned index;      /* CONFIG, PEER: a process slot; READY: WIRE_VERSION; of BACKUP the step */
    struct slice text;   /* CONFIG, BACKUP; borrowed */
    int fd;              /* LISTEN, LISTEN_METRICS, PEER, SUCCESSOR, PREDECESSOR; otherwise -1 */
};

/* The packet's bytes without its fd. */
void control_encode(const struct control *message, struct buf *out);

/* True only if the packet is exactly one message, with an fd (>= 0) if and only if its type has one. text then points
 * into packet; fd becomes the message's. */
bool control_decode(struct slice packet, int fd, struct control *message) MUSTUSE;

enum control_result { CONTROL_DONE, CONTROL_AGAIN, CONTROL_GONE };

/* Sends one message; its fd stays the caller's. AGAIN: the socket is full; nothing was sent. GONE: the peer is. */
enum control_result control_send(int sock, const struct control *message) MUSTUSE;

/* Receives one message into room (CONTROL_MAX bytes). AGAIN: none is there. GONE: EOF, an error, or a broken packet;
 * any fd that came with it is closed. */
enum control_result control_receive(int sock, char *room, struct control *message) MUSTUSE;

#endif
