/* Lives: which positions belong to which, and which offsets are taken. */
#include "common/lives.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"

static bool admits(struct slice lives, uint64_t life, uint64_t position)
{
    return lives_admit(lives, (struct offset){life, position});
}

static void one_life(void **state)
{
    char room[LIVES_ONE];
    struct slice lives = lives_one(500, room);
    (void)state;
    assert_true(lives_valid(lives));
    assert_int_equal(lives_count(lives), 1);
    assert_int_equal(lives_newest(lives).life, 500);
    assert_int_equal(lives_offset(lives, 0).life, 500);
    assert_int_equal(lives_offset(lives, 7).life, 500);
    assert_int_equal(lives_offset(lives, 7).position, 7);
    assert_true(admits(lives, 500, 0) && admits(lives, 500, 7));
    assert_true(admits(lives, 0, 0)); /* the start of any stream */
    assert_false(admits(lives, 0, 7));
    assert_false(admits(lives, 499, 0) || admits(lives, 499, 7) || admits(lives, 501, 7));
}

/* Of a stream from before lives were told apart. */
static void no_life(void **state)
{
    char room[LIVES_ONE];
    struct slice lives = lives_one(0, room);
    (void)state;
    assert_int_equal(lives.len, 0);
    assert_true(lives_valid(lives));
    assert_int_equal(lives_newest(lives).life, 0);
    assert_int_equal(lives_offset(lives, 7).life, 0);
    assert_true(admits(lives, 0, 0) && admits(lives, 0, 7));
    assert_false(admits(lives, 1, 0) || admits(lives, 1, 7));
}

/* The place where a life begins is still the one before's. */
static void several_lives(void **state)
{
    struct buf buf = {0};
    (void)state;
    lives_add(&buf, 0, 0);
    lives_add(&buf, 10, 500);
    lives_add(&buf, 20, 900);
    struct slice lives = buf_slice(&buf);
    assert_true(lives_valid(lives));
    static const uint64_t life_of[][2] = {{0, 0}, {1, 0}, {10, 0}, {11, 500}, {20, 500}, {21, 900}, {1000, 900}};
    uint64_t before = 0;
    for (size_t i = 0; i < sizeof life_of / sizeof *life_of; i++) {
        assert_int_equal(lives_offset(lives, life_of[i][0]).life, life_of[i][1]);
        assert_true(life_of[i][1] >= before); /* offsets sort as text */
        before = life_of[i][1];
    }
    assert_true(admits(lives, 0, 10) && admits(lives, 500, 20) && admits(lives, 900, 21));
    assert_false(admits(lives, 0, 11) || admits(lives, 500, 21)); /* their lives went on elsewhere */
    assert_true(admits(lives, 900, 5) && admits(lives, 500, 5));  /* said otherwise, but meant alike */
    assert_false(admits(lives, 400, 5));
    buf_clear(&buf);
}

/* A stream that was empty when it was restored. */
static void a_life_that_begins_at_the_start(void **state)
{
    struct buf buf = {0};
    (void)state;
    lives_add(&buf, 0, 500);
    lives_add(&buf, 0, 900);
    struct slice lives = buf_slice(&buf);
    assert_true(lives_valid(lives));
    assert_int_equal(lives_newest(lives).life, 900);
    assert_int_equal(lives_place(lives, 41).life, 900);
    assert_int_equal(lives_place(lives, 41).tail.position, 41);
    assert_true(admits(lives, 500, 0) && admits(lives, 900, 1) && admits(lives, 0, 0));
    assert_false(admits(lives, 500, 1));
    buf_clear(&buf);
}

static void the_lives_of_a_fork(void **state)
{
    struct buf source = {0}, fork = {0};
    (void)state;
    lives_add(&source, 0, 500);
    lives_add(&source, 20, 900);
    lives_add_before(&fork, buf_slice(&source), 20);
    assert_int_equal(lives_count(buf_slice(&fork)), 1);
    buf_reset(&fork);
    lives_add_before(&fork, buf_slice(&source), 21);
    assert_int_equal(lives_count(buf_slice(&fork)), 2);
    buf_reset(&fork);
    lives_add_before(&fork, (struct slice){0}, 5);
    assert_int_equal(lives_get(buf_slice(&fork), 0).life, 0);
    assert_int_equal(buf_slice(&fork).len, LIVES_ONE);
    buf_clear(&source);
    buf_clear(&fork);
}

/* A fork at 40 of a fork at 10, which was restored at 55. */
static void a_fork_tells_its_own_life_only(void **state)
{
    struct buf first = {0}, second = {0};
    (void)state;
    lives_inherit(&first, (struct slice){0}, 10);
    lives_add(&first, 10, 500);
    lives_inherit(&second, buf_slice(&first), 40);
    lives_add(&second, 40, 900);
    lives_add(&second, 55, 1200);
    struct slice lives = buf_slice(&second);
    assert_true(lives_valid(lives));
    static const uint64_t told[][2] = {{0, 900}, {1, 900}, {10, 900}, {40, 900}, {55, 900}, {56, 1200}};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        assert_int_equal(lives_offset(lives, told[i][0]).life, told[i][1]);
    assert_true(admits(lives, 0, 10) && admits(lives, 500, 40) && admits(lives, 900, 5) && admits(lives, 900, 55));
    assert_false(admits(lives, 0, 11) || admits(lives, 500, 41) || admits(lives, 900, 56));
    assert_int_equal(lives_newest(lives).life, 1200);
    buf_reset(&second); /* a fork in front of where its source's own bytes begin */
    lives_inherit(&second, buf_slice(&first), 7);
    lives_add(&second, 7, 900);
    lives = buf_slice(&second);
    assert_true(lives_valid(lives) && admits(lives, 0, 7) && admits(lives, 500, 7) && admits(lives, 900, 8));
    assert_false(admits(lives, 0, 8) || admits(lives, 500, 8));
    buf_reset(&second); /* a fork that was restored before it had bytes of its own */
    lives_add_before(&second, buf_slice(&first), 10);
    lives_add(&second, 10, 1200);
    lives = buf_slice(&second);
    assert_true(lives_valid(lives) && admits(lives, 500, 10) && admits(lives, 1200, 11));
    assert_false(admits(lives, 500, 11));
    assert_int_equal(lives_offset(lives, 10).life, 500);
    buf_reset(&second);
    lives_add(&second, 0, 900);
    lives = buf_slice(&second);
    buf_reset(&first);
    lives_inherit(&first, lives, 50);
    assert_false(lives_valid(buf_slice(&first))); /* no life of its own */
    buf_clear(&first);
    buf_clear(&second);
}

static void damaged(void **state)
{
    struct buf buf = {0};
    (void)state;
    lives_add(&buf, 5, 500);
    assert_false(lives_valid(buf_slice(&buf))); /* begins late */
    buf_reset(&buf);
    lives_add(&buf, 0, 500);
    assert_false(lives_valid(slice_of(buf_slice(&buf).data, LIVES_ONE - 1)));
    lives_add(&buf, 10, 500);
    assert_false(lives_valid(buf_slice(&buf))); /* the same life again */
    buf_reset(&buf);
    lives_add(&buf, 0, 500);
    lives_add(&buf, 10, 600);
    lives_add(&buf, 9, 700);
    assert_false(lives_valid(buf_slice(&buf)));
    buf_reset(&buf);
    lives_add(&buf, 0, OFFSET_MAX + 1);
    assert_false(lives_valid(buf_slice(&buf)));
    buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_life),
        cmocka_unit_test(no_life),
        cmocka_unit_test(several_lives),
        cmocka_unit_test(a_life_that_begins_at_the_start),
        cmocka_unit_test(the_lives_of_a_fork),
        cmocka_unit_test(a_fork_tells_its_own_life_only),
        cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
