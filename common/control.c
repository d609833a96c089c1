/* Control messages: one SOCK_SEQPACKET packet each, so a message is whole or did not come, and a descriptor belongs to
 * the packet that it came with.
 *
 * Failure modes: a message that does not fit the table of shapes is a bug in one of two programs of the same version;
 * the receiver ends with it. CONTROL_AGAIN means that the channel is full: the supervisor keeps the message
 * (channel.c), a child drops reports, which repeat. */
#include "common/control.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* A packet: u8 type, then the fields its type has: u8 kind, u16 index (little endian), text to the end. */
struct shape {
    bool kind, index, text, fd;
};

static const struct shape control_shapes[] = {
    [CONTROL_CONFIG] = {.index = true, .text = true},
    [CONTROL_LISTEN] = {.fd = true},
    [CONTROL_PEER] = {.kind = true, .index = true, .fd = true},
    [CONTROL_STOP] = {0},
    [CONTROL_READY] = {.index = true},
    [CONTROL_REPORT] = {0},
    [CONTROL_BACKUP] = {.index = true, .text = true},
    [CONTROL_LEAVE] = {0},
    [CONTROL_SUCCESSOR] = {.fd = true},
    [CONTROL_PREDECESSOR] = {.fd = true},
    [CONTROL_LISTEN_METRICS] = {.fd = true},
};

#define SHAPE_COUNT (sizeof control_shapes / sizeof control_shapes[0])

union fd_room {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

void control_encode(const struct control *message, struct buf *out)
{
    const struct shape *shape = &control_shapes[message->type];
    buf_add_byte(out, (uint8_t)message->type);
    if (shape->kind)
        buf_add_byte(out, (uint8_t)message->kind);
    if (shape->index) {
        buf_add_byte(out, (uint8_t)(message->index & 0xff));
        buf_add_byte(out, (uint8_t)(message->index >> 8));
    }
    if (shape->text)
        buf_add_slice(out, message->text);
}

bool control_decode(struct slice packet, int fd, struct control *message)
{
    const unsigned char *p = (const unsigned char *)packet.data;
    if (packet.len == 0 || p[0] == 0 || p[0] >= SHAPE_COUNT)
        return false;
    const struct shape *shape = &control_shapes[p[0]];
    size_t fixed = 1 + (shape->kind ? 1u : 0u) + (shape->index ? 2u : 0u);
    if (packet.len < fixed || (packet.len > fixed && !shape->text) || (fd >= 0) != shape->fd)
        return false;
    *message = (struct control){.type = (enum control_type)p[0], .fd = fd};
    p++;
    if (shape->kind) {
        if (*p > ROLE_SHARD)
            return false;
        message->kind = (enum role_kind) * p++;
    }
    if (shape->index)
        message->index = (unsigned)p[0] | (unsigned)p[1] << 8;
    if (shape->text)
        message->text = slice_of(packet.data + fixed, packet.len - fixed);
    return true;
}

enum control_result control_send(int sock, const struct control *message)
{
    struct buf packet = {0};
    union fd_room room = {0};
    control_encode(message, &packet);
    struct iovec iov = {packet.data, buf_len(&packet)};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (control_shapes[message->type].fd) {
        header.msg_control = room.bytes;
        header.msg_controllen = sizeof room.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(c), &message->fd, sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(sock, &header, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    int error = errno;
    buf_clear(&packet);
    if (n >= 0)
        return CONTROL_DONE;
    /* ETOOMANYREFS: too many descriptors are on their way and not yet received. */
    return error == EAGAIN || error == ENOBUFS || error == ETOOMANYREFS ? CONTROL_AGAIN : CONTROL_GONE;
}

static int control_received_fd(struct msghdr *header)
{
    int fd = -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(header);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

enum control_result control_receive(int sock, char *room, struct control *message)
{
    union fd_room fd_room = {0};
    struct iovec iov = {room, CONTROL_MAX};
    struct msghdr header = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = fd_room.bytes, .msg_controllen = sizeof fd_room.bytes};
    ssize_t n;
    do
        n = recvmsg(sock, &header, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? CONTROL_AGAIN : CONTROL_GONE;
    int fd = control_received_fd(&header);
    bool whole = n > 0 && !(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
    if (whole && control_decode(slice_of(room, (size_t)n), fd, message))
        return CONTROL_DONE;
    if (fd >= 0)
        close(fd);
    return CONTROL_GONE;
}
