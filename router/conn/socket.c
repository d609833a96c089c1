/* The calls do not block, and never raise SIGPIPE: a client that is gone is an error like any other. */
#include "router/conn/socket.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t socket_receive(const struct socket *s, char *at, size_t len)
{
    return recv(s->fd, at, len, MSG_DONTWAIT);
}

ssize_t socket_send(const struct socket *s, struct iovec *pieces, size_t count, bool more)
{
    const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    if (count == 1 && !more) /* most answers: one piece, and a cheaper call */
        return send(s->fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
}

ssize_t socket_send_file(const struct socket *s, int file, uint64_t at, size_t len)
{
    off_t from = (off_t)at;
    return sendfile(s->fd, file, &from, len);
}

void socket_end(const struct socket *s)
{
    shutdown(s->fd, SHUT_WR);
}

void socket_close(struct socket *s)
{
    close(s->fd);
    s->fd = -1;
}
