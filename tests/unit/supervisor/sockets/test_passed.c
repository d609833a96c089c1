/* What systemd says of the descriptors that it passes, read without any descriptor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "supervisor/sockets/passed.h"

#define SELF 4711

static unsigned count_of(const char *pid, const char *fds, const char *names)
{
    struct passed passed;
    assert_null(passed_read(&passed, SELF, pid, fds, names));
    unsigned count = passed.count;
    free(passed.names);
    return count;
}

static void test_nothing(void **state)
{
    (void)state;
    assert_int_equal(count_of(NULL, NULL, NULL), 0);
    assert_int_equal(count_of(NULL, "2", NULL), 0);
    assert_int_equal(count_of("4711", NULL, NULL), 0);
    assert_int_equal(count_of("4711", "0", ""), 0);
    assert_int_equal(count_of("4712", "2", "a:b"), 0); /* meant for another process */
    assert_int_equal(count_of("4712", "x", "a"), 0);
}

static void test_broken(void **state)
{
    static const char *const broken[][3] = {
        {"", "1", NULL},       {"4711x", "1", NULL},  {"-4711", "1", NULL},   {"99999999999999999999", "1", NULL},
        {"4711", "", NULL},    {"4711", "-1", NULL},  {"4711", " 1", NULL},   {"4711", "1 ", NULL},
        {"4711", "257", NULL}, {"4711", "2", "a"},    {"4711", "2", "a:b:c"}, {"4711", "1", "a:b"},
        {"4711", "2", ""},     {"4711", "0x1", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct passed passed;
        assert_non_null(passed_read(&passed, SELF, broken[i][0], broken[i][1], broken[i][2]));
        free(passed.names);
    }
}

static void test_claims(void **state)
{
    struct passed passed;
    int fds[PASSED_MAX];
    (void)state;
    assert_null(passed_read(&passed, SELF, "4711", "5", "streamd.socket:kept::kept:streamd.socket"));
    assert_int_equal(passed.count, 5);
    assert_int_equal(passed_claim(&passed, "nobody", fds, PASSED_MAX), 0);
    assert_int_equal(passed_claim(&passed, "kept", fds, PASSED_MAX), 2);
    assert_int_equal(fds[0], 4);
    assert_int_equal(fds[1], 6);
    assert_int_equal(passed_claim(&passed, "kept", fds, PASSED_MAX), 0);
    assert_int_equal(passed_claim(&passed, NULL, fds, 2), 2); /* no more than there is room for */
    assert_int_equal(fds[0], 3);
    assert_int_equal(fds[1], 5);
    assert_int_equal(passed_claim(&passed, NULL, fds, 2), 1);
    assert_int_equal(fds[0], 7);
    passed_close(&passed); /* nothing is left to close */
}

static void test_without_names(void **state)
{
    struct passed passed;
    int fds[2];
    (void)state;
    assert_null(passed_read(&passed, SELF, "4711", "2", NULL));
    assert_int_equal(passed_claim(&passed, "unknown", fds, 2), 2);
    passed_close(&passed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_without_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
