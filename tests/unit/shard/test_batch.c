/* BATCH: all appends in one commit, or none; and what a batch that was done before is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/store/commit.h"
#include "shard/store/store.h"
#include "tests/unit/shard_stand.h"

#define COUNT 3
#define LOOK_BYTES ((size_t)2 << 20) /* as in shard/store/disk.c: the disk is looked at after so many */

static const char *const names[COUNT] = {"p/a", "p/b", "p/c"};

static struct wire_append to(const char *name, const char *data)
{
    return (struct wire_append){.name = slice_str(name), .count = strlen(data), .data = slice_str(data)};
}

static struct wire_append produced(const char *name, const char *data, uint64_t seq)
{
    struct wire_append m = to(name, data);
    m.flags = WIRE_APPEND_PRODUCER;
    m.producer = SLICE("p");
    m.seq = seq;
    return m;
}

/* The answer, and in seen[] what it says of each append. */
static struct wire_batched send_batch(struct bench *b, const struct wire_append *appends, struct wire_appended *seen)
{
    struct buf frames = {0};
    struct wire_batched m;
    struct slice body, rest, one;
    for (size_t i = 0; i < COUNT; i++)
        wire_put_append(&frames, &appends[i]);
    wire_put_batch(&b->router.out, &(struct wire_batch){.id = ++b->id, .appends = buf_slice(&frames)});
    buf_clear(&frames);
    expect_frame(b, WIRE_BATCHED, &body);
    assert_true(wire_get_batched(body, &m));
    assert_int_equal(m.id, b->id);
    rest = m.answers;
    for (size_t i = 0; i < COUNT; i++)
        assert_true(wire_take(&rest, WIRE_APPENDED, &one) && wire_get_appended(one, &seen[i]));
    assert_int_equal(rest.len, 0);
    return m;
}

static void expect_all(struct bench *b, const char *data)
{
    for (size_t i = 0; i < COUNT; i++)
        expect_data(b, ask(b, names[i], 0, 1 << 20), data);
}

static void create_all(struct bench *b)
{
    b->cfg.segment_max_bytes = 1 << 20;
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(create(b, names[i], "").error, ERR_NONE);
}

static void all_are_one_commit(void **state)
{
    struct bench *b = *state;
    struct wire_appended seen[COUNT];
    create_all(b);
    struct wire_append appends[COUNT] = {to("p/a", "xyz"), to("p/b", "xyz"), to("p/c", "xyz")};
    appends[2].flags = WIRE_APPEND_CLOSE;
    uint64_t before = store_commits(b->shard->store)->sealed;
    struct wire_batched m = send_batch(b, appends, seen);
    assert_int_equal(m.error, ERR_NONE);
    assert_int_equal(store_commits(b->shard->store)->sealed, before + 1);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(seen[i].tail, 3);
        assert_int_equal(seen[i].flags, i == 2 ? WIRE_APPENDED_CLOSED : 0);
    }
    expect_all(b, "xyz");
}

static void one_that_is_refused_refuses_all(void **state)
{
    struct bench *b = *state;
    struct wire_appended seen[COUNT];
    create_all(b);
    for (size_t bad = 0; bad < COUNT; bad++) {
        struct wire_append appends[COUNT] = {to("p/a", "x"), to("p/b", "x"), to("p/c", "x")};
        appends[bad].content_type = SLICE("text/html");
        struct wire_batched m = send_batch(b, appends, seen);
        assert_int_equal(m.error, ERR_CONTENT_TYPE_MISMATCH);
        assert_int_equal(m.failed, bad);
        assert_int_not_equal(m.text.len, 0);
        appends[bad].content_type = SLICE("");
        appends[bad].name = SLICE("p/none");
        m = send_batch(b, appends, seen);
        assert_int_equal(m.error, ERR_STREAM_NOT_FOUND);
        assert_int_equal(m.failed, bad);
        assert_int_equal(seen[bad].flags, WIRE_APPENDED_NO_STREAM);
    }
    expect_all(b, "");
}

static void what_was_done_is_not_done_again(void **state)
{
    struct bench *b = *state;
    struct wire_appended seen[COUNT];
    create_all(b);
    struct wire_append appends[COUNT] = {produced("p/a", "x", 0), to("p/b", "x"), produced("p/c", "x", 0)};
    for (int round = 0; round < 2; round++) {
        struct wire_batched m = send_batch(b, appends, seen);
        assert_int_equal(m.error, ERR_NONE);
        assert_int_equal(m.flags, round ? WIRE_BATCHED_TAKEN : 0);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(seen[i].flags, round ? WIRE_APPENDED_DUPLICATE : 0);
    }
    expect_all(b, "x");

    /* The first goes on, and the last was done. */
    appends[0].seq = 1;
    struct wire_batched m = send_batch(b, appends, seen);
    assert_int_equal(m.error, ERR_BATCH_PARTLY_DONE);
    assert_int_equal(m.failed, 0);
    assert_int_equal(seen[0].expected, 1);

    /* A gap is an error of its own, and nothing was done before. */
    appends[2].seq = 7;
    m = send_batch(b, appends, seen);
    assert_int_equal(m.error, ERR_PRODUCER_SEQUENCE_GAP);
    assert_int_equal(m.failed, 2);
    expect_all(b, "x");
}

/* A stream without a producer is closed, or gone: the batch was done all the same. One with a producer is closed by
 * another: then only a router that repeats the batch takes it for done. */
static void what_was_done_stays_done(void **state)
{
    struct bench *b = *state;
    struct wire_appended seen[COUNT];
    create_all(b);
    struct wire_append appends[COUNT] = {produced("p/a", "x", 0), to("p/b", "x"), produced("p/c", "x", 0)};
    assert_int_equal(send_batch(b, appends, seen).error, ERR_NONE);
    delete_it(b, "p/b");
    assert_int_equal(send_batch(b, appends, seen).error, ERR_NONE);
    assert_int_equal(seen[1].flags, WIRE_APPENDED_NO_STREAM);
    struct wire_append closes = to("p/c", "");
    struct slice body;
    closes.flags = WIRE_APPEND_CLOSE;
    wire_put_append(&b->router.out, &closes);
    expect_frame(b, WIRE_APPENDED, &body);
    struct wire_batched m = send_batch(b, appends, seen);
    assert_int_equal(m.error, ERR_STREAM_CLOSED);
    assert_int_equal(m.failed, 2);
    assert_int_equal(m.flags, WIRE_BATCHED_TAKEN);
    appends[0].seq = 1;
    assert_int_equal(send_batch(b, appends, seen).flags, 0);
}

/* Each is too little to look at the disk for, all together are not. */
static void a_batch_needs_room_for_all_of_it(void **state)
{
    struct bench *b = *state;
    struct wire_appended seen[COUNT];
    static char data[64 << 10];
    create_all(b);
    memset(data, 'x', sizeof data - 1);
    struct wire_append appends[COUNT] = {to("p/a", data), to("p/b", data), to("p/c", data)};
    b->cfg.shard_disk_reserve = UINT64_MAX / 2; /* found full when it is looked at */
    disk_look(&b->shard->disk);
    b->shard->disk.full = false;
    b->shard->disk.stuck = false;
    b->shard->disk.unlooked = LOOK_BYTES - 2 * sizeof data;
    struct wire_batched m = send_batch(b, appends, seen);
    assert_int_equal(m.error, ERR_INSUFFICIENT_STORAGE);
    expect_all(b, "");
}

static void a_malformed_batch_is_refused(void **state)
{
    struct bench *b = *state;
    const struct slice bad[] = {SLICE(""), SLICE("x"), SLICE("\x05\0\0\0nope")};
    struct wire_batched m;
    struct slice body;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        wire_put_batch(&b->router.out, &(struct wire_batch){.id = ++b->id, .appends = bad[i]});
        expect_frame(b, WIRE_BATCHED, &body);
        assert_true(wire_get_batched(body, &m));
        assert_int_equal(m.error, ERR_INTERNAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_are_one_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_is_refused_refuses_all, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_done_is_not_done_again, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_done_stays_done, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_needs_room_for_all_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_malformed_batch_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
