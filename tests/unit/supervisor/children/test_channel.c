/* Control messages: whole or refused, with their descriptor or without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>

#include "common/control.h"
#include "supervisor/children/channel.h"

static const struct control samples[] = {
    {.type = CONTROL_CONFIG, .index = 255, .text = {"[shard]\n", 8}, .fd = -1},
    {.type = CONTROL_LISTEN, .fd = 0},
    {.type = CONTROL_PEER, .kind = ROLE_SHARD, .index = 0x1234, .fd = 0},
    {.type = CONTROL_PEER, .kind = ROLE_ROUTER, .index = 63, .fd = 0},
    {.type = CONTROL_STOP, .fd = -1},
    {.type = CONTROL_READY, .fd = -1},
    {.type = CONTROL_REPORT, .fd = -1},
    {.type = CONTROL_BACKUP, .index = BACKUP_PUT, .text = {"{}", 2}, .fd = -1},
    {.type = CONTROL_BACKUP, .index = BACKUP_HOLD, .text = {"", 0}, .fd = -1},
};

#define SAMPLES (sizeof samples / sizeof samples[0])

static void assert_same(const struct control *a, const struct control *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->index, b->index);
    assert_true(slice_equal(a->text, b->text));
    assert_int_equal(a->fd >= 0, b->fd >= 0);
}

static void test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct buf packet = {0};
        struct control got;
        control_encode(&samples[i], &packet);
        assert_true(control_decode(buf_slice(&packet), samples[i].fd, &got));
        assert_same(&got, &samples[i]);
        assert_false(control_decode(buf_slice(&packet), samples[i].fd < 0 ? 0 : -1, &got));
        buf_clear(&packet);
    }
}

static void test_other_lengths_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct buf packet = {0};
        struct control got;
        control_encode(&samples[i], &packet);
        struct slice whole = buf_slice(&packet);
        size_t fixed = whole.len - samples[i].text.len;
        for (size_t len = 0; len < fixed; len++)
            assert_false(control_decode(slice_of(whole.data, len), samples[i].fd, &got));
        buf_add_byte(&packet, 0);
        assert_int_equal(control_decode(buf_slice(&packet), samples[i].fd, &got),
                         samples[i].type == CONTROL_CONFIG || samples[i].type == CONTROL_BACKUP);
        buf_clear(&packet);
    }
}

static void test_unknown_values_are_refused(void **state)
{
    struct control got;
    (void)state;
    assert_false(control_decode(SLICE("\0"), -1, &got));
    assert_false(control_decode(SLICE("\7"), -1, &got));
    assert_false(control_decode(SLICE("\377"), -1, &got));
    assert_false(control_decode(SLICE("\3\2\0\0"), 0, &got)); /* a peer of an unknown kind */
}

static void pair(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
}

static void test_over_a_socket(void **state)
{
    int ends[2];
    char room[CONTROL_MAX];
    struct control got;
    (void)state;
    pair(ends);
    for (size_t i = 0; i < SAMPLES; i++) {
        struct control sent = samples[i];
        if (sent.fd >= 0)
            sent.fd = ends[1];
        assert_int_equal(control_send(ends[0], &sent), CONTROL_DONE);
        assert_int_equal(control_receive(ends[1], room, &got), CONTROL_DONE);
        assert_same(&got, &samples[i]);
        if (got.fd < 0)
            continue;
        assert_true(fcntl(got.fd, F_GETFD) & FD_CLOEXEC);
        close(got.fd);
    }
    assert_int_equal(control_receive(ends[1], room, &got), CONTROL_AGAIN);
    close(ends[0]);
    assert_int_equal(control_receive(ends[1], room, &got), CONTROL_GONE);
    assert_int_equal(control_send(ends[1], &samples[SAMPLES - 1]), CONTROL_GONE);
    close(ends[1]);
}

static void test_broken_packets(void **state)
{
    int ends[2];
    char room[CONTROL_MAX];
    struct control got;
    (void)state;
    pair(ends);
    assert_int_equal(send(ends[0], "\5x", 2, 0), 2);
    assert_int_equal(control_receive(ends[1], room, &got), CONTROL_GONE);
    char *large = calloc(1, CONTROL_MAX + 1);
    assert_non_null(large);
    large[0] = CONTROL_CONFIG;
    assert_int_equal(send(ends[0], large, CONTROL_MAX + 1, 0), CONTROL_MAX + 1);
    assert_int_equal(control_receive(ends[1], room, &got), CONTROL_GONE);
    free(large);
    close(ends[0]);
    close(ends[1]);
}

/* More than a socket takes: nothing is lost, nothing blocks, the order stays. */
static void test_channel_queues(void **state)
{
    enum { COUNT = 700 };
    int ends[2];
    char room[CONTROL_MAX];
    struct channel channel;
    struct control got;
    (void)state;
    pair(ends);
    channel_init(&channel, ends[0]);
    for (unsigned i = 0; i < COUNT; i++)
        channel_send(&channel, &(struct control){.type = CONTROL_PEER, .index = i, .fd = dup(0)});
    assert_true(channel_flush(&channel));
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(control_receive(ends[1], room, &got), CONTROL_DONE);
        assert_int_equal(got.index, i);
        close(got.fd);
        channel_flush(&channel);
    }
    assert_false(channel_flush(&channel));
    close(ends[1]);
    channel_send(&channel, &(struct control){.type = CONTROL_STOP, .fd = -1});
    assert_false(channel_flush(&channel));
    channel_close(&channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_other_lengths_are_refused),
        cmocka_unit_test(test_unknown_values_are_refused),
        cmocka_unit_test(test_over_a_socket),
        cmocka_unit_test(test_broken_packets),
        cmocka_unit_test(test_channel_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
