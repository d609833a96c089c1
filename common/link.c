/* One socket pair, frames in both directions, a buffer for each.
 *
 * Happy path: the loop marks the link readable; the turn calls link_receive() once, takes frames with link_next() until
 * none is left, and gives their room back with link_release(). Frames that are put into `out` during the turn leave
 * with one link_flush() at its end; what the socket does not take then leaves when it is writable.
 *
 * A descriptor travels with the first byte of its frame (SCM_RIGHTS). The kernel ends a read where a descriptor came,
 * so the n-th descriptor that arrives belongs to the n-th frame that has one; `enclosed` and `arrived` keep that order.
 * A descriptor that this process could not receive (EMFILE) keeps its place as -1, or all later ones would be taken for
 * their predecessors.
 *
 * Failure modes:
 *   - The peer dies: EOF or an error marks the link dead. Frames that came before are still handed out. What is in
 * `out` was not delivered; its owner looks there for what the peer has not had.
 *   - The peer does not read: `out` grows. Who puts frames there bounds what may be on its way (router.queue_memory).
 *   - The peer sends what is no frame: the link is dead. The supervisor pairs processes of one wire version only, so
 * this is a bug and not something to be tolerant about. */
#include "common/link.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

#define ARRIVED_MAX 1024 /* descriptors of frames that nobody has taken: more is a broken peer */

/* A descriptor that leaves with the byte at which its frame begins, counted as link->flushed is. */
struct enclosure {
    uint64_t at;
    int fd;
};

/* An emptied buffer larger than this is given back. */
#define LINK_BUFFER_KEEP ((size_t)4 << 20)

/* Data is read by the turn, not by the callback: it only says that the turn has something to read. */
static void link_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;
    (void)fd;
    (void)what;
    link->readable_now = true;
}

static void link_on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    link_flush(arg);
}

void link_open(struct link *link, struct event_base *base, int fd, unsigned peer)
{
    link_close(link);
    evutil_make_socket_nonblocking(fd);
    *link = (struct link){.fd = fd, .peer = peer, .limit = UINT64_MAX};
    link->readable = event_new(base, fd, EV_READ | EV_PERSIST, link_on_readable, link);
    link->writable = event_new(base, fd, EV_WRITE, link_on_writable, link);
    if (!link->readable || !link->writable || event_add(link->readable, NULL) != 0)
        fatalx("cannot watch the socket to peer %u", peer);
}

static bool link_first_enclosure(const struct link *link, size_t index, struct enclosure *enclosure)
{
    struct slice all = buf_slice(&link->enclosed);
    if (all.len < (index + 1) * sizeof *enclosure)
        return false;
    memcpy(enclosure, all.data + index * sizeof *enclosure, sizeof *enclosure);
    return true;
}

static void link_close_descriptors(struct link *link)
{
    struct enclosure enclosure;
    int fd;
    for (; link_first_enclosure(link, 0, &enclosure); buf_consume(&link->enclosed, sizeof enclosure))
        close(enclosure.fd);
    while (buf_len(&link->arrived))
        if ((fd = link_take_fd(link)) >= 0)
            close(fd);
    buf_clear(&link->enclosed);
    buf_clear(&link->arrived);
}

void link_close(struct link *link)
{
    if (link->readable)
        event_free(link->readable);
    if (link->writable)
        event_free(link->writable);
    if (link->fd >= 0 && (link->readable || link->dead))
        close(link->fd);
    link_close_descriptors(link);
    buf_clear(&link->in);
    buf_clear(&link->out);
    *link = (struct link){.fd = -1};
}

bool link_enclose(struct link *link, int fd)
{
    struct enclosure enclosure = {.at = link_end(link), .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)};
    if (enclosure.fd >= 0)
        buf_add(&link->enclosed, &enclosure, sizeof enclosure);
    return enclosure.fd >= 0;
}

int link_take_fd(struct link *link)
{
    int fd = -1;
    if (buf_len(&link->arrived) >= sizeof fd) {
        memcpy(&fd, buf_slice(&link->arrived).data, sizeof fd);
        buf_consume(&link->arrived, sizeof fd);
    }
    return fd;
}

/* Room for one descriptor: the kernel ends a read where one came. */
union control {
    struct cmsghdr aligned;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* Reads into `at`. *came: a descriptor came along, *fd; or -1 if this process could not have one more. */
static ssize_t link_read(int socket, char *at, size_t room, bool *came, int *fd)
{
    union control control;
    struct iovec iov = {at, room};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    *fd = -1;
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len >= CMSG_LEN(sizeof *fd))
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    *came = *fd >= 0 || (n > 0 && (message.msg_flags & MSG_CTRUNC));
    return n;
}

void link_quiesce(struct link *link)
{
    if (!link_up(link))
        return;
    shutdown(link->fd, SHUT_RD); /* what the peer has sent can still be read, then comes EOF */
    link->quiet = true;
    link->readable_now = true;
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
        bool came;
        int fd;
        ssize_t n = link_read(link->fd, at, room, &came, &fd);
        if (n > 0) {
            buf_grow(&link->in, (size_t)n);
            got += (size_t)n;
            if (came) /* a lost one keeps its place, or the next would be taken for it */
                buf_add(&link->arrived, &fd, sizeof fd);
            else if ((size_t)n < room)
                break;
            if (buf_len(&link->arrived) > ARRIVED_MAX * sizeof fd)
                fatalx("peer %u sends unexpected descriptors", link->peer);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0)
            log_debug("peer %u: %s", link->peer, strerror(errno));
        /* The end, or an error. After link_quiesce() the end is what was asked for: everything that the peer had sent
         * is here, and the link still writes. Otherwise the peer is gone in both directions. */
        event_del(link->readable);
        if (n == 0 && link->quiet) {
            link->drained = true;
            break;
        }
        link->dead = true;
        event_del(link->writable);
        break;
    }
    return buf_len(&link->in) > 0;
}

bool link_next(struct link *link, size_t *cursor, enum wire_type *type, struct slice *body)
{
    struct slice in = buf_slice(&link->in);
    size_t size;
    in = slice_from(in, *cursor);
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

static ssize_t link_send_enclosing(int socket, struct slice out, int fd)
{
    union control control;
    struct iovec iov = {(char *)(uintptr_t)out.data, out.len};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = &control.aligned;
    memset(&control, 0, sizeof control);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Writes up to the limit, or to the next frame that has a descriptor; at one, with it. */
static ssize_t link_send_some(struct link *link)
{
    struct slice out = buf_slice(&link->out);
    struct enclosure first = {.fd = -1}, next;
    if (link->limit - link->flushed < out.len)
        out.len = (size_t)(link->limit - link->flushed);
    bool any = link_first_enclosure(link, 0, &first), here = any && first.at == link->flushed;
    if (link_first_enclosure(link, here ? 1 : 0, &next) && next.at - link->flushed < out.len)
        out.len = (size_t)(next.at - link->flushed);
    if (!here)
        return send(link->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    ssize_t n = link_send_enclosing(link->fd, out, first.fd);
    if (n > 0) {
        close(first.fd);
        buf_consume(&link->enclosed, sizeof first);
    }
    return n;
}

void link_flush(struct link *link)
{
    if (link->fd < 0 || link->dead)
        return;
    while (buf_len(&link->out) > 0 && link->flushed < link->limit) {
        ssize_t n = link_send_some(link);
        if (n > 0) {
            buf_consume(&link->out, (size_t)n);
            link->flushed += (uint64_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            event_add(link->writable, NULL);
            return;
        }
        /* The reading side meets the end too, after what the peer still sent. What is left tells its owner what the
         * peer has not had. */
        return;
    }
    if (buf_len(&link->out) == 0 && link->out.cap > LINK_BUFFER_KEEP)
        buf_clear(&link->out);
}
