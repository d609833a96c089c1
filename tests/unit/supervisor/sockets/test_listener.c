/* Sockets that others have bound: which of them are taken over, and in what state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "supervisor/sockets/listener.h"

static char why[128];

/* On 127.0.0.1; port 0: a free one. */
static int bound(int type, in_port_t port)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int listening(in_port_t port)
{
    int fd = bound(SOCK_STREAM, port);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static in_port_t port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    return address.sin_port;
}

static void test_adopt(void **state)
{
    struct listeners listeners = {0};
    char port[6];
    int first = listening(0), more[2] = {listening(port_of(first)), dup(first)};
    (void)state;
    snprintf(port, sizeof port, "%u", (unsigned)ntohs(port_of(first)));
    assert_true(listeners_adopt(&listeners, &first, 1, why, sizeof why));
    assert_true(listeners_adopt(&listeners, more, 2, why, sizeof why));
    assert_int_equal(listeners.count, 2); /* the same socket twice is one */
    assert_int_equal(fcntl(more[1], F_GETFD), -1);
    assert_string_equal(listeners.address.host, "127.0.0.1");
    assert_string_equal(listeners.address.port, port);
    assert_false(listeners.address.v6);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(fcntl(listeners.fd[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(listeners.fd[i], F_GETFD) & FD_CLOEXEC);
    }
    for (unsigned i = 0; i < 5; i++) /* five routers share the two */
        assert_int_equal(listeners_fd(&listeners, i), i % 2 ? more[0] : first);
    listeners_close(&listeners);
    assert_int_equal(fcntl(first, F_GETFD), -1);
}

static void refuse(int fd, const char *reason)
{
    struct listeners listeners = {0};
    int fds[2] = {listening(0), fd};
    assert_false(listeners_adopt(&listeners, fds, 2, why, sizeof why));
    assert_non_null(strstr(why, reason));
    assert_int_equal(listeners.count, 0);
    assert_true(fcntl(fds[0], F_GETFD) >= 0); /* still the caller's */
    close(fds[0]);
    close(fd);
}

static void test_refuse(void **state)
{
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    refuse(pair[0], "is not a TCP socket");
    refuse(open("/dev/null", O_RDONLY), "is not a socket");
    refuse(bound(SOCK_DGRAM, 0), "is not a TCP socket");
    refuse(bound(SOCK_STREAM, 0), "does not listen");
    refuse(listening(0), "has another address");
}

static void test_too_many(void **state)
{
    struct listeners listeners = {0};
    int fds[LISTENERS_MAX + 1] = {0};
    (void)state;
    assert_false(listeners_adopt(&listeners, fds, LISTENERS_MAX + 1, why, sizeof why));
    assert_string_equal(why, "there are more than 64 of them");
}

static void test_v6(void **state)
{
    struct listeners listeners = {0};
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    (void)state;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        skip(); /* a machine without IPv6 */
    assert_int_equal(listen(fd, 1), 0);
    assert_true(listeners_adopt(&listeners, &fd, 1, why, sizeof why));
    assert_string_equal(listeners.address.host, "::1");
    assert_true(listeners.address.v6);
    listeners_close(&listeners);
}

/* A process that dies may have an address a moment longer than all else. */
static void test_waits_for_the_dying(void **state)
{
    struct listeners listeners = {0};
    char address[32];
    int fd = listening(0);
    (void)state;
    snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)ntohs(port_of(fd)));
    pid_t child = fork();
    if (!child) {
        usleep(100000);
        _exit(0);
    }
    close(fd);
    listeners_open_metrics(&listeners, address);
    assert_true(listeners.has_metrics);
    close(listeners.metrics);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_v6),
        cmocka_unit_test(test_waits_for_the_dying),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
