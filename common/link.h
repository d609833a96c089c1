/* A framed, buffered, non-blocking data socket between a router and a shard or between two shards. Frames are gathered
 * in `out` and written once a turn; frames that came are handed over one by one. A frame may bring a descriptor along.
 */
#ifndef COMMON_LINK_H
#define COMMON_LINK_H

#include <event2/event.h>

#include "common/buf.h"
#include "common/wire.h"

struct link {
    int fd;        /* -1: down */
    unsigned peer; /* index of the process at the other end */
    struct event *readable, *writable;
    struct buf in;
    struct buf out;      /* put frames here with wire_put_*(); link_flush() writes them */
    uint64_t flushed;    /* bytes written since it was opened */
    uint64_t limit;      /* bytes from this position on, counted as `flushed` is, stay in `out`; link_open(): none do */
    struct buf enclosed; /* of frames in `out`: struct enclosure, in their order */
    struct buf arrived;  /* int: descriptors that came, in the order of their frames */
    bool readable_now;   /* set by the loop, taken by link_receive() */
    bool quiet;          /* link_quiesce() was called, */
    bool drained;        /* and all that had come before was received */
    bool dead;           /* EOF, an error or a broken frame was met */
};

/* Takes fd over (any earlier socket is closed and both buffers are emptied). */
void link_open(struct link *link, struct event_base *base, int fd, unsigned peer);
void link_close(struct link *link);

static inline bool link_up(const struct link *link)
{
    return link->fd >= 0 && !link->dead;
}

/* Reads what the socket has, at most about `limit` bytes a call, into link->in. Marks the link dead on EOF, on an
 * error; frames that arrived before it are still there. Returns true if there may be frames to take. */
bool link_receive(struct link *link, size_t limit);

/* Nothing more is taken than what is in the socket; the peer's later frames stay with it, as if they had not left. What
 * is put still goes out. */
void link_quiesce(struct link *link);

/* The next whole frame that was received; its body is valid until the next link_receive() or link_open(). A broken
 * frame marks the link dead. *cursor starts at 0; link_release(link, cursor) gives the taken frames' room back. */
bool link_next(struct link *link, size_t *cursor, enum wire_type *type, struct slice *body) MUSTUSE;
void link_release(struct link *link, size_t cursor);

/* The frame that is put next brings a copy of `fd` along. False: there is no descriptor left for one. */
bool link_enclose(struct link *link, int fd) MUSTUSE;

/* The descriptor of the frame that link_next() gave, which the caller knows to have one; the caller's from then on.
 * -1: it was lost, because this process could not have one more. */
int link_take_fd(struct link *link) MUSTUSE;

/* Writes as much of `out`, up to the limit, as the socket takes; the rest goes when it is writable again. */
void link_flush(struct link *link);

/* The position behind what was put. */
static inline uint64_t link_end(const struct link *link)
{
    return link->flushed + buf_len(&link->out);
}

#endif
