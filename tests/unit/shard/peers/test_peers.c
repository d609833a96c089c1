/* Links to routers and shards: who owns what, whose answer goes where, and to whom it does not go any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shard/peers/peers.h"

#define INDEX 1
#define SHARDS 3

struct bench {
    char dir[64];
    struct event_base *base;
    struct peers peers;
};

static int begin(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct layout layout;
    strcpy(b->dir, "/tmp/peers-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    layout_init(&layout, SHARDS);
    assert_true(layout_save(b->dir, &layout));
    b->base = event_base_new();
    peers_init(&b->peers, b->base, b->dir, INDEX);
    *state = b;
    return 0;
}

static int end(void **state)
{
    struct bench *b = *state;
    char path[80];
    peers_clear(&b->peers);
    event_base_free(b->base);
    snprintf(path, sizeof path, "%s/layout", b->dir);
    unlink(path);
    rmdir(b->dir);
    free(b);
    return 0;
}

/* A router's process at index 0; the other end of its socket. */
static int router_up(struct bench *b)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    peers_router_up(&b->peers, 0, pair[0]);
    return pair[1];
}

static void test_every_stream_has_an_owner(void **state)
{
    struct bench *b = *state;
    bool owns[SHARDS] = {false};
    for (unsigned i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "project/%u", i);
        unsigned owner = peers_owner_of_name(&b->peers, slice_str(name));
        uint64_t uid = (uint64_t)layout_slot_of_whole(slice_str(name)) << LAYOUT_UID_BITS | i;
        assert_in_range(owner, 0, SHARDS - 1);
        assert_int_equal(peers_owner_of_uid(&b->peers, uid), owner);
        owns[owner] = true;
    }
    assert_true(owns[0] && owns[1] && owns[2]);
    assert_int_equal(peers_owner_of_uid(&b->peers, UINT64_MAX), INDEX); /* of no slot */
}

static void test_frames_to_itself_need_no_link(void **state)
{
    struct bench *b = *state;
    assert_ptr_equal(peers_out(&b->peers, INDEX), &b->peers.self);
    assert_null(peers_out(&b->peers, INDEX + 1));
}

static void test_an_answer_goes_to_the_process_that_asked(void **state)
{
    struct bench *b = *state;
    int other = router_up(b);
    struct asker asker = peers_asker(&b->peers, 0, 7);
    assert_non_null(asker_out(&b->peers, asker));
    close(other);
    b->peers.routers[0].link.dead = true; /* as its end of file does */
    assert_null(asker_out(&b->peers, asker));
    assert_true(peers_reap(&b->peers.routers[0]));
    assert_false(peers_reap(&b->peers.routers[0]));
    other = router_up(b);
    assert_null(asker_out(&b->peers, asker)); /* its successor asked nothing */
    assert_non_null(peers_router_out(&b->peers, 0));
    close(other);
}

static void test_one_request_is_timed(void **state)
{
    struct bench *b = *state;
    struct buf out = {0};
    peers_time(&b->peers, 0, 7, 1000);
    struct asker timed = peers_asker(&b->peers, 0, 7), next = peers_asker(&b->peers, 0, 7);
    assert_int_equal(timed.taken_us, 1000);
    assert_int_equal(next.taken_us, 0);
    peers_time(&b->peers, 0, 8, 1000);
    assert_int_equal(peers_asker(&b->peers, 0, 9).taken_us, 0); /* another one came */
    asker_time(&out, next);
    assert_int_equal(buf_len(&out), 0);
    asker_time(&out, timed);
    assert_true(buf_len(&out) > 0);
    buf_clear(&out);
}

static void test_what_is_put_leaves_when_its_commit_is_durable(void **state)
{
    struct bench *b = *state;
    char byte;
    int other = router_up(b);
    wire_put_parked(peers_router_out(&b->peers, 0), &(struct wire_parked){.id = 7});
    assert_int_equal(read(other, &byte, 1), -1);
    assert_false(peers_routers_answered(&b->peers));
    peers_seal(&b->peers, 2, 1);
    peers_release(&b->peers, 1);
    assert_int_equal(read(other, &byte, 1), -1);
    peers_release(&b->peers, 2);
    assert_int_equal(read(other, &byte, 1), 1);
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_stream_has_an_owner, begin, end),
        cmocka_unit_test_setup_teardown(test_frames_to_itself_need_no_link, begin, end),
        cmocka_unit_test_setup_teardown(test_an_answer_goes_to_the_process_that_asked, begin, end),
        cmocka_unit_test_setup_teardown(test_one_request_is_timed, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_put_leaves_when_its_commit_is_durable, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
