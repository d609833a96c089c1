/* The life of a child, walked with a fake clock and without processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/children/child.h"

static const struct child_times times = {.hang_timeout = 10000, .restart_delay = 1000};

#define STATES_LETTERS "DSUKWLTE" /* down starting up killed waiting leaving stopping(T) ending */
#define ACTION_LETTERS ".+ls!x"   /* nothing spawn say-leave say-stop sigkill give-up */

/* The whole table once more, as letters: next state and action, in the order of enum child_event. */
static const char *const expected[CHILD_STATES] = {
    /*                 START READY REPORT TIMEOUT DIED REFUSED RENEW RETIRE STOP KILL */
    [CHILD_DOWN] = "     S+    D.    D.     D.     D.    D.     D.    D.    D.   D.",
    [CHILD_STARTING] = " S.    U.    S.     K!     W.    Dx     S.    E!    Ts   E!",
    [CHILD_UP] = "       U.    U.    U.     K!     W.    Dx     Ll    T.    Ts   E!",
    [CHILD_KILLED] = "   K.    K.    K.     K.     W.    Dx     K.    E.    E.   E!",
    [CHILD_WAITING] = "  W.    W.    W.     S+     W.    W.     W.    D.    D.   D.",
    [CHILD_LEAVING] = "  L.    L.    L.     K!     S+    S+     L.    T.    Ts   E!",
    [CHILD_STOPPING] = " T.    T.    T.     T.     D.    Dx     T.    T.    Ts   E!",
    [CHILD_ENDING] = "   E.    E.    E.     E.     D.    D.     E.    E.    E.   E!",
};

static void test_every_step(void **state)
{
    (void)state;
    for (int s = 0; s < CHILD_STATES; s++) {
        const char *p = expected[s];
        for (int e = 0; e < CHILD_EVENTS; e++) {
            struct child child = {.state = (enum child_state)s};
            enum child_action action = child_event(&child, (enum child_event)e, &times, 5000);
            p += strspn(p, " ");
            if (STATES_LETTERS[child.state] != p[0] || ACTION_LETTERS[action] != p[1])
                fail_msg("state %s, event %d: got %c%c, expected %.2s", child_state_name((enum child_state)s), e,
                         STATES_LETTERS[child.state], ACTION_LETTERS[action], p);
            p += 2;
        }
    }
}

static void step(struct child *child, enum child_event event, uint64_t now, enum child_action expected_action)
{
    assert_int_equal(child_event(child, event, &times, now), expected_action);
}

static void test_hang(void **state)
{
    struct child child = {0};
    (void)state;
    assert_true(child_deadline(&child, &times) == UINT64_MAX);
    step(&child, CHILD_EVENT_START, 100, CHILD_SPAWN);
    assert_int_equal(child_deadline(&child, &times), 10100);
    step(&child, CHILD_EVENT_REPORT, 9000, CHILD_NOTHING); /* a long recovery reports too */
    assert_int_equal(child_deadline(&child, &times), 19000);
    step(&child, CHILD_EVENT_READY, 18000, CHILD_NOTHING);
    assert_int_equal(child_deadline(&child, &times), 28000);
    step(&child, CHILD_EVENT_TIMEOUT, 28000, CHILD_SIGKILL);
    assert_true(child_deadline(&child, &times) == UINT64_MAX);
    step(&child, CHILD_EVENT_REPORT, 28001, CHILD_NOTHING); /* too late */
    step(&child, CHILD_EVENT_DIED, 28010, CHILD_NOTHING);
    assert_int_equal(child_deadline(&child, &times), 28010);
    step(&child, CHILD_EVENT_TIMEOUT, 28010, CHILD_SPAWN);
    assert_int_equal(child.deaths, 1);
}

static void test_spacing(void **state)
{
    struct child child = {0};
    uint64_t now = 50;
    (void)state;
    step(&child, CHILD_EVENT_START, now, CHILD_SPAWN);
    for (unsigned i = 1; i <= 5; i++) { /* dies at once, again and again */
        now += 3;
        step(&child, CHILD_EVENT_DIED, now, CHILD_NOTHING);
        assert_int_equal(child.deaths, i);
        assert_int_equal(child_deadline(&child, &times), now + times.restart_delay);
        now += times.restart_delay;
        step(&child, CHILD_EVENT_TIMEOUT, now, CHILD_SPAWN);
    }
    now += times.restart_delay + 1; /* lived well: at once */
    step(&child, CHILD_EVENT_DIED, now, CHILD_NOTHING);
    assert_int_equal(child_deadline(&child, &times), now);
}

static void test_successors(void **state)
{
    struct child shard = {0}, router = {0};
    (void)state;
    step(&shard, CHILD_EVENT_START, 0, CHILD_SPAWN);
    step(&shard, CHILD_EVENT_READY, 1, CHILD_NOTHING);
    step(&shard, CHILD_EVENT_RENEW, 5000, CHILD_SAY_LEAVE);
    assert_false(child_works(&shard)); /* nobody is wired to it any more */
    step(&shard, CHILD_EVENT_REPORT, 9000, CHILD_NOTHING);
    assert_int_equal(child_deadline(&shard, &times), 15000); /* it lives, but is to go */
    step(&shard, CHILD_EVENT_DIED, 9100, CHILD_SPAWN);
    assert_int_equal(shard.state, CHILD_STARTING);
    assert_int_equal(shard.deaths, 0);
    step(&router, CHILD_EVENT_START, 0, CHILD_SPAWN);
    step(&router, CHILD_EVENT_READY, 1, CHILD_NOTHING);
    step(&router, CHILD_EVENT_RETIRE, 2, CHILD_NOTHING);
    assert_true(child_deadline(&router, &times) == UINT64_MAX);
    step(&router, CHILD_EVENT_DIED, 3, CHILD_NOTHING);
    assert_int_equal(router.state, CHILD_DOWN);
}

static void test_orderly_end(void **state)
{
    struct child child = {0};
    (void)state;
    step(&child, CHILD_EVENT_START, 0, CHILD_SPAWN);
    step(&child, CHILD_EVENT_READY, 1, CHILD_NOTHING);
    assert_true(child_works(&child));
    step(&child, CHILD_EVENT_STOP, 2, CHILD_SAY_STOP);
    assert_false(child_works(&child));
    assert_true(child_alive(&child));
    assert_true(child_deadline(&child, &times) == UINT64_MAX);
    step(&child, CHILD_EVENT_DIED, 3, CHILD_NOTHING);
    assert_false(child_alive(&child));
    assert_int_equal(child.state, CHILD_DOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_step), cmocka_unit_test(test_hang),        cmocka_unit_test(test_spacing),
        cmocka_unit_test(test_successors), cmocka_unit_test(test_orderly_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
