/* What one version writes another reads: the text is held byte for byte. */
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
#include <sys/mman.h>

#include "supervisor/upgrade/handoff.h"

/* Any descriptor will do. */
static int open_one(void)
{
    return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
}

static bool survives(int fd)
{
    return fcntl(fd, F_GETFD) == 0;
}

struct stand {
    struct listeners listeners;
    struct process list[3];
    struct children children;
};

static int setup(void **state)
{
    static struct stand s;
    s = (struct stand){.listeners = {.count = 2, .has_metrics = true, .metrics = open_one()}};
    s.listeners.fd[0] = open_one();
    s.listeners.fd[1] = open_one();
    s.list[0] = (struct process){.kind = ROLE_ROUTER, .slot = 64, .wire = 9, .pid = 1234, .control.fd = open_one()};
    s.list[0].life = (struct child){.state = CHILD_UP, .started = 5678, .deaths = 2};
    s.list[1] = (struct process){.kind = ROLE_ROUTER, .slot = 0, .control.fd = -1}; /* nobody */
    s.list[2] = (struct process){.kind = ROLE_SHARD, .slot = 0, .wire = 9, .pid = 99, .control.fd = open_one()};
    s.children = (struct children){
        .lock = open_one(), .listeners = &s.listeners, .list = s.list, .count = 3, .stats.fd = open_one()};
    s.children.config_text = (char *)(uintptr_t) "[shard]\ncount = 3\n";
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct stand *s = *state;
    const int all[] = {s->listeners.fd[0],   s->listeners.fd[1],    s->listeners.metrics, s->children.lock,
                       s->children.stats.fd, s->list[0].control.fd, s->list[2].control.fd};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        close(all[i]);
    unsetenv("STREAMD_INHERITANCE");
    return 0;
}

static void the_text_is_what_it_always_was(void **state)
{
    struct stand *s = *state;
    char expected[512], text[512] = "";
    assert_true(handoff_write(&s->children));
    snprintf(expected, sizeof expected,
             "streamd inheritance 1\nlock %d\nmetrics %d\nlistener %d\nlistener %d\nmetrics-listener %d\n"
             "child router 64 pid 1234 control %d wire 9 deaths 2 started 5678\n"
             "child shard 0 pid 99 control %d wire 9 deaths 0 started 0\n"
             "configuration\n[shard]\ncount = 3\n",
             s->children.lock, s->children.stats.fd, s->listeners.fd[0], s->listeners.fd[1], s->listeners.metrics,
             s->list[0].control.fd, s->list[2].control.fd);
    assert_true(read(atoi(getenv("STREAMD_INHERITANCE")), text, sizeof text - 1) > 0);
    assert_string_equal(text, expected);
    handoff_cancel(&s->children);
}

static void what_is_written_is_read(void **state)
{
    struct stand *s = *state;
    struct handoff got;
    assert_true(handoff_write(&s->children));
    assert_true(survives(s->children.lock) && survives(s->list[2].control.fd) && survives(s->listeners.metrics));
    assert_true(handoff_read(&got));
    assert_null(getenv("STREAMD_INHERITANCE"));
    assert_false(survives(s->children.lock) || survives(s->list[2].control.fd) || survives(s->listeners.metrics));
    assert_int_equal(got.lock, s->children.lock);
    assert_int_equal(got.metrics, s->children.stats.fd);
    assert_int_equal(got.listener_count, 2);
    assert_int_equal(got.listeners[1], s->listeners.fd[1]);
    assert_int_equal(got.metrics_listener, s->listeners.metrics);
    assert_int_equal(got.child_count, 2);
    assert_int_equal(got.children[0].kind, ROLE_ROUTER);
    assert_int_equal(got.children[0].slot, 64);
    assert_int_equal(got.children[0].pid, 1234);
    assert_int_equal(got.children[0].deaths, 2);
    assert_int_equal(got.children[0].started, 5678);
    assert_int_equal(got.children[1].kind, ROLE_SHARD);
    assert_int_equal(got.children[1].control, s->list[2].control.fd);
    assert_string_equal(got.config_text, "[shard]\ncount = 3\n");
    handoff_clear(&got);
}

static void an_upgrade_that_is_cancelled_leaves_nothing(void **state)
{
    struct stand *s = *state;
    struct handoff got;
    assert_true(handoff_write(&s->children));
    int text = atoi(getenv("STREAMD_INHERITANCE"));
    handoff_cancel(&s->children);
    assert_int_equal(fcntl(text, F_GETFD), -1);
    assert_false(survives(s->children.lock) || survives(s->list[0].control.fd) || survives(s->listeners.fd[0]));
    assert_false(handoff_read(&got));
    handoff_clear(&got);
}

static void lines_of_a_later_version_are_passed_over(void **state)
{
    struct stand *s = *state;
    struct handoff got;
    char number[16];
    int fd = memfd_create("text", 0);
    assert_true(dprintf(fd, "streamd inheritance 1\nlock %d\nmoon full\nlistener %d\nconfiguration\n", s->children.lock,
                        s->listeners.fd[0]) > 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    snprintf(number, sizeof number, "%d", fd);
    setenv("STREAMD_INHERITANCE", number, 1);
    assert_true(handoff_read(&got));
    assert_int_equal(got.listener_count, 1);
    assert_int_equal(got.metrics, -1);
    assert_int_equal(got.metrics_listener, -1);
    assert_int_equal(got.child_count, 0);
    assert_string_equal(got.config_text, "");
    handoff_clear(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_text_is_what_it_always_was, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_written_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(an_upgrade_that_is_cancelled_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_of_a_later_version_are_passed_over, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
