#include "common/link.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

/* An emptied buffer larger than this is given back. */
#define LINK_BUFFER_KEEP ((size_t)4 << 20)

/* Data is read by the turn, not by the callback: it only says that the turn has something to read. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;
    (void)fd;
    (void)what;
    link->readable_now = true;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    link_flush(arg);
}

void link_open(struct link *link, struct event_base *base, int fd, unsigned peer)
{
    link_close(link);
    evutil_make_socket_nonblocking(fd);
    *link = (struct link){.fd = fd, .peer = peer};
    link->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, link);
    link->writable = event_new(base, fd, EV_WRITE, on_writable, link);
    if (!link->readable || !link->writable || event_add(link->readable, NULL) != 0)
        fatalx("cannot watch the socket to peer %u", peer);
}

void link_close(struct link *link)
{
    if (link->readable)
        event_free(link->readable);
    if (link->writable)
        event_free(link->writable);
    if (link->fd >= 0 && (link->readable || link->dead))
        close(link->fd);
    buf_clear(&link->in);
    buf_clear(&link->out);
    *link = (struct link){.fd = -1};
}

bool link_receive(struct link *link, size_t limit)
{
    size_t got = 0;
    if (!link_up(link) || !link->readable_now)
        return false;
    link->readable_now = false;
    while (got < limit) {
        size_t room = 256 << 10;
        enum wire_type type;
        struct slice body;
        size_t size;
        /* A large frame is read into one reservation rather than by doubling. */
        if (wire_peek(buf_slice(&link->in), &type, &body, &size) == WIRE_PEEK_MORE && size > buf_len(&link->in) + room)
            room = size - buf_len(&link->in);
        char *at = buf_reserve(&link->in, room);
        ssize_t n = recv(link->fd, at, room, MSG_DONTWAIT);
        if (n > 0) {
            buf_grow(&link->in, (size_t)n);
            got += (size_t)n;
            if ((size_t)n < room)
                break;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0)
            log_debug("peer %u: %s", link->peer, strerror(errno));
        link->dead = true;
        event_del(link->readable);
        event_del(link->writable);
        break;
    }
    return buf_len(&link->in) > 0;
}

bool link_next(struct link *link, size_t *cursor, enum wire_type *type, struct slice *body)
{
    struct slice in = buf_slice(&link->in);
    size_t size;
    in = slice_of(in.data + *cursor, in.len - *cursor);
    switch (wire_peek(in, type, body, &size)) {
    case WIRE_PEEK_FRAME:
        *cursor += size;
        return true;
    case WIRE_PEEK_MORE:
        return false;
    case WIRE_PEEK_BAD:
        break;
    }
    log_error("peer %u sent a broken frame", link->peer);
    link->dead = true;
    return false;
}

void link_release(struct link *link, size_t cursor)
{
    buf_consume(&link->in, cursor);
    if (buf_len(&link->in) == 0 && link->in.cap > LINK_BUFFER_KEEP)
        buf_clear(&link->in);
}

void link_flush(struct link *link)
{
    if (link->fd < 0 || link->dead)
        return;
    while (buf_len(&link->out) > 0) {
        struct slice out = buf_slice(&link->out);
        ssize_t n = send(link->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            buf_consume(&link->out, (size_t)n);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            event_add(link->writable, NULL);
            return;
        }
        /* The reading side meets the end too, after what the peer still sent. What is left tells its owner what the peer
         * has not had. */
        return;
    }
    if (link->out.cap > LINK_BUFFER_KEEP)
        buf_clear(&link->out);
}
