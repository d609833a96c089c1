/* Frames and the descriptors that some of them bring along. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/link.h"

#define FRAMES 400u

/* A file whose length says which frame it belongs to. */
static int file_of(unsigned frame)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)frame + 1), 0);
    return fd;
}

static void put_frame(struct link *link, unsigned frame, bool with_file, struct slice data)
{
    if (with_file) {
        int fd = file_of(frame);
        assert_true(link_enclose(link, fd));
        close(fd);
    }
    wire_put_fetched(&link->out, &(struct wire_fetched){.id = frame, .error = with_file, .data = data});
}

static void expect_frame(struct link *link, struct slice body, unsigned frame, struct slice data)
{
    struct wire_fetched m;
    assert_true(wire_get_fetched(body, &m));
    assert_int_equal(m.id, frame);
    assert_int_equal(m.data.len, data.len);
    if (!m.error)
        return;
    struct stat info;
    int fd = link_take_fd(link);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_size, frame + 1);
    close(fd);
}

static unsigned take(struct link *link, unsigned frame, struct slice data)
{
    size_t cursor = 0;
    enum wire_type type;
    struct slice body;
    link->readable_now = true;
    (void)link_receive(link, SIZE_MAX);
    while (link_next(link, &cursor, &type, &body))
        expect_frame(link, body, frame++, data);
    link_release(link, cursor);
    return frame;
}

/* More than the socket takes at once, so that frames are cut anywhere; every third has a file. */
static void files_stay_with_their_frames(void **state)
{
    struct event_base *base = event_base_new();
    struct link from = {.fd = -1}, to = {.fd = -1};
    struct slice data = {calloc(1, 5000), 5000};
    unsigned taken = 0;
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    link_open(&from, base, pair[0], 0);
    link_open(&to, base, pair[1], 1);
    for (unsigned i = 0; i < FRAMES; i++)
        put_frame(&from, i, i % 3 == 0, data);
    link_flush(&from);
    assert_true(buf_len(&from.out) > 0);
    while (taken < FRAMES) {
        unsigned before = taken;
        taken = take(&to, taken, data);
        assert_true(taken > before);
        link_flush(&from);
    }
    assert_int_equal(buf_len(&from.enclosed), 0);
    assert_int_equal(link_take_fd(&to), -1);
    link_close(&from);
    link_close(&to);
    event_base_free(base);
    free((void *)(uintptr_t)data.data);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* What is put beyond the limit stays, also when the socket is writable, and leaves when the limit moves. */
static void bytes_beyond_the_limit_stay(void **state)
{
    struct event_base *base = event_base_new();
    struct link from = {.fd = -1}, to = {.fd = -1};
    enum wire_type type;
    struct slice body;
    size_t cursor = 0;
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    link_open(&from, base, pair[0], 0);
    link_open(&to, base, pair[1], 1);
    put_frame(&from, 1, false, SLICE("x"));
    from.limit = link_end(&from);
    put_frame(&from, 2, true, SLICE("y"));
    link_flush(&from);
    event_add(from.writable, NULL);
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_int_equal(from.flushed, from.limit);
    to.readable_now = true;
    assert_true(link_receive(&to, SIZE_MAX));
    assert_true(link_next(&to, &cursor, &type, &body));
    assert_false(link_next(&to, &cursor, &type, &body));
    from.limit = link_end(&from);
    link_flush(&from);
    to.readable_now = true;
    assert_true(link_receive(&to, SIZE_MAX));
    assert_true(link_next(&to, &cursor, &type, &body));
    int fd = link_take_fd(&to);
    assert_true(fd >= 0); /* it came with its frame */
    close(fd);
    link_close(&from);
    link_close(&to);
    event_base_free(base);
}

static void nothing_is_left_open(void **state)
{
    struct event_base *base = event_base_new();
    struct link from = {.fd = -1}, to = {.fd = -1};
    unsigned before = open_descriptors();
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    link_open(&from, base, pair[0], 0);
    link_open(&to, base, pair[1], 1);
    put_frame(&from, 1, true, SLICE("x"));
    link_flush(&from);
    put_frame(&from, 2, true, SLICE("y")); /* is not sent */
    to.readable_now = true;
    assert_true(link_receive(&to, SIZE_MAX)); /* is not taken */
    link_close(&from);
    link_close(&to);
    assert_int_equal(open_descriptors(), before);
    event_base_free(base);
}

/* Without room for another descriptor the frames that had one come without, and later ones have their own again. */
static void lost_descriptors_keep_the_order(void **state)
{
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded && strstr(preloaded, "valgrind"))
        skip(); /* which has a limit of its own */
    struct event_base *base = event_base_new();
    struct link from = {.fd = -1}, to = {.fd = -1};
    struct rlimit before, tight;
    struct slice body;
    enum wire_type type;
    size_t cursor = 0;
    int pair[2], fds[4], lowest;
    struct stat info;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    link_open(&from, base, pair[0], 0);
    link_open(&to, base, pair[1], 1);
    for (unsigned i = 0; i < 3; i++)
        put_frame(&from, i, true, SLICE("x"));
    link_flush(&from);
    lowest = dup(0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = (struct rlimit){(rlim_t)lowest + 1, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    to.readable_now = true;
    assert_true(link_receive(&to, SIZE_MAX));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    put_frame(&from, 3, true, SLICE("x"));
    link_flush(&from);
    to.readable_now = true;
    assert_true(link_receive(&to, SIZE_MAX));
    for (unsigned i = 0; i < 4; i++) {
        assert_true(link_next(&to, &cursor, &type, &body));
        fds[i] = link_take_fd(&to);
    }
    assert_true(fds[0] >= 0 && fds[1] == -1 && fds[2] == -1 && fds[3] >= 0);
    assert_int_equal(fstat(fds[0], &info), 0);
    assert_int_equal(info.st_size, 1);
    assert_int_equal(fstat(fds[3], &info), 0);
    assert_int_equal(info.st_size, 4);
    close(fds[0]);
    close(fds[3]);
    link_close(&from);
    link_close(&to);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_stay_with_their_frames), cmocka_unit_test(bytes_beyond_the_limit_stay),
        cmocka_unit_test(nothing_is_left_open), cmocka_unit_test(lost_descriptors_keep_the_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
