#include "shard/fanout/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#define MESSAGE_MAX (512 << 20)
static const struct timeval bus_retry_after = {0, 1000};

#define RECONNECT_MS 10
#define RECONNECT_MAX_MS 200

static void bus_on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ((struct bus *)arg)->readable_now = true;
}

static void bus_on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg; /* waking the loop was all: a turn follows */
}

static void bus_address(const struct bus *bus, char out[NN_SOCKADDR_MAX], unsigned shard)
{
    snprintf(out, NN_SOCKADDR_MAX, "ipc:///proc/self/fd/%d/shard-%u.ipc", bus->dir, shard);
}

static void bus_set(int sock, int option, int value)
{
    if (nn_setsockopt(sock, NN_SOL_SOCKET, option, &value, sizeof value) != 0)
        fatalx("bus: an option: %s", nn_strerror(nn_errno()));
}

void bus_open(struct bus *bus, struct event_base *base, const char *data_dir, unsigned index)
{
    char name[NN_SOCKADDR_MAX];
    int fd;
    size_t size = sizeof fd;
    *bus = (struct bus){.base = base, .data_dir = data_dir};
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        bus->outward[i] = -1;
    bus->dir = open(data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bus->inward = nn_socket(AF_SP, NN_PULL);
    if (bus->dir < 0 || bus->inward < 0)
        fatalx("bus: cannot have a socket");
    bus_set(bus->inward, NN_RCVMAXSIZE, MESSAGE_MAX);
    bus_address(bus, name, index);
    mode_t mask = umask(0077);
    if (nn_bind(bus->inward, name) < 0)
        fatalx("bus: %s: %s", name, nn_strerror(nn_errno()));
    umask(mask);
    if (nn_getsockopt(bus->inward, NN_SOL_SOCKET, NN_RCVFD, &fd, &size) != 0)
        fatalx("bus: no descriptor: %s", nn_strerror(nn_errno()));
    bus->readable = event_new(base, fd, EV_READ | EV_PERSIST, bus_on_readable, bus);
    bus->retry = evtimer_new(base, bus_on_retry, bus);
    if (!bus->readable || !bus->retry || event_add(bus->readable, NULL) != 0)
        fatalx("bus: cannot watch the socket");
}

void bus_close(struct bus *bus)
{
    event_free(bus->readable);
    event_free(bus->retry);
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        if (bus->outward[i] >= 0)
            nn_close(bus->outward[i]);
    nn_close(bus->inward);
    close(bus->dir);
}

static int bus_open_outward(struct bus *bus, unsigned shard)
{
    char name[NN_SOCKADDR_MAX];
    int sock = nn_socket(AF_SP, NN_PUSH);
    if (sock < 0)
        fatalx("bus: cannot have a socket: %s", nn_strerror(nn_errno()));
    bus_set(sock, NN_RECONNECT_IVL, RECONNECT_MS);
    bus_set(sock, NN_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
    bus_address(bus, name, shard);
    if (nn_connect(sock, name) < 0)
        fatalx("bus: %s: %s", name, nn_strerror(nn_errno()));
    return sock;
}

bool bus_send(struct bus *bus, unsigned shard, struct slice message)
{
    if (bus->outward[shard] < 0)
        bus->outward[shard] = bus_open_outward(bus, shard);
    if (nn_send(bus->outward[shard], message.data, message.len, NN_DONTWAIT) >= 0)
        return true;
    if (nn_errno() != EAGAIN && nn_errno() != EINTR)
        fatalx("bus: %s", nn_strerror(nn_errno()));
    if (evtimer_add(bus->retry, &bus_retry_after) != 0)
        fatalx("bus: cannot set a timer");
    return false;
}

bool bus_receive(struct bus *bus, struct slice *message)
{
    void *data;
    if (!bus->readable_now)
        return false;
    int len = nn_recv(bus->inward, &data, NN_MSG, NN_DONTWAIT);
    if (len < 0) {
        bus->readable_now = false;
        return false;
    }
    *message = slice_of(data, (size_t)len);
    return true;
}

void bus_release(struct slice message)
{
    nn_freemsg((void *)(uintptr_t)message.data);
}
