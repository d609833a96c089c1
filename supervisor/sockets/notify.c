/* The service's side of sd_notify(3): one datagram to NOTIFY_SOCKET with lines such as "READY=1" or "WATCHDOG=1";
 * descriptors for systemd's store travel along with SCM_RIGHTS (unix(7)).
 *
 * notify_open() takes the variables out of the environment, so that no child answers for the service; notify_leave()
 * puts them back before an upgrade's exec, so that the new program finds them. Without NOTIFY_SOCKET every call does
 * nothing. A datagram that systemd cannot take at once is dropped; only notify_store() waits. */
#include "supervisor/sockets/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

#define FDS_MAX 64        /* in one datagram */
#define STORE_TIMEOUT_S 5 /* that systemd may be too busy to take one */

/* "@name" is an abstract name (unix(7)): no file has it, and its first byte is NUL. */
static int notify_connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (!len || len >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, len);
    if (*path == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The watchdog may be meant for another process. */
static uint64_t notify_watchdog_us(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!us || (pid && strtoul(pid, NULL, 10) != (unsigned long)getpid()))
        return 0;
    return strtoull(us, NULL, 10);
}

static const char *const notify_names[NOTIFY_NAMES] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE"};

void notify_keep(void)
{
    for (size_t i = 0; i < NOTIFY_NAMES; i++)
        unsetenv(notify_names[i]);
}

void notify_open(struct notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET");
    *notify = (struct notify){.fd = path ? notify_connect_to(path) : -1};
    if (path && notify->fd < 0)
        log_warn_errno("cannot reach NOTIFY_SOCKET %s", path);
    if (notify->fd >= 0)
        notify->watchdog_ms = notify_watchdog_us() / 2000; /* twice in its time */
    for (size_t i = 0; i < NOTIFY_NAMES; i++) {
        const char *value = getenv(notify_names[i]);
        notify->kept[i] = value ? xstrdup(value) : NULL;
    }
    notify_keep();
}

void notify_leave(const struct notify *notify)
{
    for (size_t i = 0; i < NOTIFY_NAMES; i++)
        if (notify->kept[i])
            setenv(notify_names[i], notify->kept[i], 1);
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
    for (size_t i = 0; i < NOTIFY_NAMES; i++)
        free(notify->kept[i]);
}

void notify_tell(const struct notify *notify, const char *text, ...)
{
    char lines[256];
    va_list args;
    if (notify->fd < 0)
        return;
    va_start(args, text);
    int len = vsnprintf(lines, sizeof lines, text, args);
    va_end(args);
    if (len > 0 && (size_t)len < sizeof lines)
        (void)!send(notify->fd, lines, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* This send may wait, up to STORE_TIMEOUT_S: a lost watchdog message is followed by another one, but a socket that
 * is not stored dies with this process. */
void notify_store(const struct notify *notify, const char *lines, const int *fds, unsigned count)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {0};
    struct iovec text = {.iov_base = (void *)(uintptr_t)lines, .iov_len = strlen(lines)};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = &control};
    const struct timeval limit = {.tv_sec = STORE_TIMEOUT_S};
    if (notify->fd < 0 || count == 0 || count > FDS_MAX)
        return;
    message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
    control.head =
        (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof *fds)};
    memcpy(CMSG_DATA(&control.head), fds, count * sizeof *fds);
    setsockopt(notify->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (sendmsg(notify->fd, &message, MSG_NOSIGNAL) < 0)
        log_warn_errno("cannot leave descriptors with systemd");
}

uint64_t notify_alive(struct notify *notify, uint64_t now_ms)
{
    if (!notify->watchdog_ms)
        return UINT64_MAX;
    if (now_ms >= notify->next_ms) {
        notify_tell(notify, "WATCHDOG=1");
        notify->next_ms = now_ms + notify->watchdog_ms;
    }
    return notify->next_ms;
}
