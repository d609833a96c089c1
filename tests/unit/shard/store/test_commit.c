/* Commits are sealed in order, and durable in that order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "shard/store/commit.h"

struct late {
    struct commit_keeper keeper;
    uint64_t last;
};

static void late_seal(struct commit_keeper *keeper, uint64_t commit)
{
    struct late *late = (struct late *)keeper;
    assert_int_equal(commit, late->last + 1);
    late->last = commit;
}

static void count_calls(void *ctx)
{
    ++*(unsigned *)ctx;
}

static void the_local_database_is_durable_at_once(void **state)
{
    unsigned calls = 0;
    struct commits commits = {.on_durable = count_calls, .ctx = &calls};
    (void)state;
    for (uint64_t i = 1; i <= 3; i++) {
        commits_seal(&commits);
        assert_int_equal(commits.sealed, i);
        assert_true(commits_are_durable(&commits, i));
        assert_false(commits_are_durable(&commits, i + 1));
    }
    assert_int_equal(calls, 0); /* the turn knows */
}

static void a_keeper_says_when(void **state)
{
    unsigned calls = 0;
    struct late late = {.keeper = {late_seal}};
    struct commits commits = {.on_durable = count_calls, .ctx = &calls, .keeper = &late.keeper};
    (void)state;
    for (int i = 0; i < 3; i++)
        commits_seal(&commits);
    assert_int_equal(late.last, 3);
    assert_false(commits_are_durable(&commits, 1));
    commits_durable(&commits, 2);
    assert_true(commits_are_durable(&commits, 2));
    assert_false(commits_are_durable(&commits, 3));
    commits_durable(&commits, 1); /* known: nothing is said again */
    assert_int_equal(calls, 1);
    commits_durable(&commits, 3);
    assert_int_equal(calls, 2);
}

static int status_of(void (*run)(struct commits *))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct late late = {.keeper = {late_seal}};
        struct commits commits = {.keeper = &late.keeper};
        log_init("test", -1);
        (void)!freopen("/dev/null", "w", stderr);
        commits_seal(&commits);
        run(&commits);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void lose(struct commits *commits)
{
    commits_failed(commits, 1, "deposed");
}

static void confirm_too_much(struct commits *commits)
{
    commits_durable(commits, 2);
}

static void a_lost_commit_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(status_of(lose), 1);
    assert_int_equal(status_of(confirm_too_much), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_local_database_is_durable_at_once),
        cmocka_unit_test(a_keeper_says_when),
        cmocka_unit_test(a_lost_commit_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
