/* What is slow, and why: each rule says its line, and nothing is said where nothing is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "supervisor/children/child.h"
#include "supervisor/cli/sample.h"
#include "supervisor/cli/symptoms.h"

#define SHARD 2

struct bench {
    int fd;
    struct metrics_region *region;
    struct metrics *supervisor, *router, *shard;
    struct sample before, grown;
    struct config cfg;
};

static struct metrics *start(struct bench *b, enum metrics_of of, unsigned place)
{
    struct metrics *m = metrics_open(b->region, metrics_slot(of, place));
    metrics_set(m, METRIC_STATE, CHILD_UP);
    metrics_set(m, METRIC_PID, 100);
    return m;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    config_init(&b->cfg);
    b->fd = metrics_make();
    b->region = metrics_map(b->fd);
    b->supervisor = start(b, METRICS_SUPERVISOR, 0);
    b->router = start(b, METRICS_ROUTER, 0);
    b->shard = start(b, METRICS_SHARD, SHARD);
    sample_take(&b->before, b->region, 1000);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    config_clear(&b->cfg);
    close(b->fd);
    free(b);
    return 0;
}

/* What is said is exactly this, after ten seconds. */
static void assert_says(struct bench *b, const char *expected)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    sample_take(&b->grown, b->region, 11000);
    sample_subtract(&b->grown, &b->before);
    unsigned found = symptoms_write(out, b->region, &b->grown, &b->cfg);
    fclose(out);
    assert_string_equal(text, expected);
    assert_int_equal(found, *expected ? 1 : 0);
    free(text);
}

static void test_nothing(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 100; i++)
        metrics_observe_us(b->shard, METRIC_COMMIT_US, 1000);
    metrics_set(b->shard, METRIC_BACKLOG_LIMIT, 100);
    metrics_set(b->shard, METRIC_BACKLOG, 49);
    assert_says(b, "");
}

static void test_the_disk_is_slow(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 100; i++) {
        metrics_observe_us(b->shard, METRIC_COMMIT_US, i < 90 ? 1000 : 40000);
        metrics_observe_us(b->shard, METRIC_FSYNC_US, i < 90 ? 900 : 39000);
    }
    assert_says(b, "  shard/2: commits take 51 ms (p99), most of it in fsync: the disk is slow\n");
}

static void test_commits_are_slow(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 100; i++) {
        metrics_observe_us(b->shard, METRIC_COMMIT_US, i < 90 ? 1000 : 40000);
        metrics_observe_us(b->shard, METRIC_FSYNC_US, 900);
    }
    assert_says(b, "  shard/2: commits take 51 ms (p99), little of it in fsync: too large, or a busy disk\n");
}

static void test_only_what_is_new(void **state)
{
    struct bench *b = *state;
    metrics_observe_us(b->shard, METRIC_COMMIT_US, 10000000);
    metrics_add(b->router, METRIC_DROPPED + METRIC_DROPPED_BUFFER, 5);
    sample_take(&b->before, b->region, 1000);
    assert_says(b, "");
}

static void test_deaths(void **state)
{
    struct bench *b = *state;
    metrics_add(b->shard, METRIC_RESTARTS, 3);
    assert_says(b, "  shard/2: died 3 times in this period: see the log\n");
    metrics_set(b->shard, METRIC_RESTARTS, 0);
    metrics_set(b->shard, METRIC_STATE, CHILD_WAITING);
    assert_says(b, "  shard/2: is waiting: its requests wait\n");
}

static void test_backlog(void **state)
{
    struct bench *b = *state;
    metrics_set(b->shard, METRIC_BACKLOG_LIMIT, 100);
    metrics_set(b->shard, METRIC_BACKLOG, 80);
    assert_says(
        b, "  shard/2: the offload backlog is 80 % of segment.backlog_limit: the store takes segments too slowly\n");
    metrics_set(b->shard, METRIC_BACKLOG, 100);
    assert_says(b, "  shard/2: the offload backlog is past segment.backlog_limit: appends are answered 507\n");
}

static void test_fanout(void **state)
{
    struct bench *b = *state;
    metrics_set(b->shard, METRIC_PAIR_BEHIND_MS + 7, 5200);
    assert_says(b, "  shard/2: shard/7 has not acknowledged messages for its estuaries for 5 s\n");
}

static void test_queues(void **state)
{
    struct bench *b = *state;
    metrics_set(b->router, METRIC_QUEUE_LIMIT + METRIC_QUEUE_ANSWERS, 1000);
    metrics_set(b->router, METRIC_QUEUE + METRIC_QUEUE_ANSWERS, 700);
    assert_says(b, "  router/0: answers that clients do not take fill 70 % of router.answer_memory\n");
}

static void test_clients(void **state)
{
    struct bench *b = *state;
    metrics_add(b->router, METRIC_ERRORS + ERR_SEGMENT_TRUNCATED, 4);
    metrics_add(b->router, METRIC_ERRORS + ERR_STREAM_NOT_FOUND, 4);
    assert_says(b, "  clients: 4 answers 500 SEGMENT_TRUNCATED: the file of a segment is damaged: `streamd verify` says"
                   " which\n");
}

static void test_a_core_is_full(void **state)
{
    struct bench *b = *state;
    metrics_add(b->shard, METRIC_CPU, 9500);
    assert_says(b, "  shard/2: uses 95 % of a core: raise shard.count\n");
}

static void test_a_router_that_was_replaced(void **state)
{
    struct bench *b = *state;
    start(b, METRICS_ROUTER, ROLE_ROUTERS_MAX);
    metrics_set(b->router, METRIC_STATE, CHILD_DOWN);
    metrics_set(b->router, METRIC_PID, 0);
    assert_says(b, "");
}

static void test_backups(void **state)
{
    struct bench *b = *state;
    uint64_t hour = 3600000, now = clock_unix_ms();
    metrics_set(b->supervisor, METRIC_BACKUP_INTERVAL, hour);
    metrics_set(b->supervisor, METRIC_STARTED, now - 10 * hour);
    metrics_set(b->supervisor, METRIC_BACKUP_LAST, now - 4 * hour);
    assert_says(b, "  supervisor: the last complete backup is 240 minutes old\n");
    metrics_set(b->supervisor, METRIC_BACKUP_LAST, now - 2 * hour);
    assert_says(b, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing),
        TEST(test_the_disk_is_slow),
        TEST(test_commits_are_slow),
        TEST(test_only_what_is_new),
        TEST(test_deaths),
        TEST(test_backlog),
        TEST(test_fanout),
        TEST(test_queues),
        TEST(test_clients),
        TEST(test_a_core_is_full),
        TEST(test_a_router_that_was_replaced),
        TEST(test_backups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
