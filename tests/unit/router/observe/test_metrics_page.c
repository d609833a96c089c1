/* What is counted: buckets, quantiles, the shared region, and the page that is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "common/metrics.h"
#include "router/observe/metrics_page.h"

static void test_buckets(void **state)
{
    (void)state;
    assert_int_equal(metrics_bucket(0, 50), 0);
    assert_int_equal(metrics_bucket(50, 50), 0);
    for (unsigned i = 1; i < METRICS_BOUNDS; i++) { /* a value is in the bucket whose bound it is not above */
        uint64_t bound = (uint64_t)METRICS_STEP_US << i;
        assert_int_equal(metrics_bucket(bound, METRICS_STEP_US), i);
        assert_int_equal(metrics_bucket(bound / 2 + 1, METRICS_STEP_US), i);
    }
    assert_int_equal(metrics_bucket(((uint64_t)METRICS_STEP_US << (METRICS_BOUNDS - 1)) + 1, METRICS_STEP_US),
                     METRICS_BOUNDS);
    assert_int_equal(metrics_bucket(UINT64_MAX, 1), METRICS_BOUNDS);
    assert_int_equal(metrics_bucket(1, 1), 0);
    assert_int_equal(metrics_bucket(2, 1), 1);
    assert_int_equal(metrics_bucket(3, 1), 2);
}

static void test_quantiles(void **state)
{
    uint64_t cells[METRICS_HISTOGRAM] = {0};
    (void)state;
    assert_int_equal(metrics_quantile(cells, 990, METRICS_US), 0);
    cells[0] = 98;
    cells[3] = 2;
    assert_int_equal(metrics_quantile(cells, 500, METRICS_US), METRICS_STEP_US);
    assert_int_equal(metrics_quantile(cells, 980, METRICS_US), METRICS_STEP_US);
    assert_int_equal(metrics_quantile(cells, 990, METRICS_US), METRICS_STEP_US << 3);
    cells[METRICS_BOUNDS] = 900;
    assert_true(metrics_quantile(cells, 990, METRICS_US) == UINT64_MAX);
}

static void test_nobody_counts(void **state)
{
    (void)state;
    metrics_add(NULL, METRIC_APPENDS, 1);
    metrics_observe_us(NULL, METRIC_COMMIT_US, 1);
}

static void test_cells_do_not_overlap(void **state)
{
    unsigned count, next = 0;
    const struct metrics_row *rows = metrics_rows(&count);
    (void)state;
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(rows[i].cell, next);
        unsigned values = rows[i].labels[0]->count * rows[i].labels[1]->count * rows[i].labels[2]->count;
        if (rows[i].type != METRICS_DETAIL)
            assert_int_equal(rows[i].count, values * (rows[i].type == METRICS_OF_HISTOGRAM ? METRICS_HISTOGRAM : 1));
        next += rows[i].count;
    }
    assert_int_equal(next, METRICS_CELLS);
}

static void test_slots(void **state)
{
    char name[20];
    (void)state;
    metrics_slot_name(metrics_slot(METRICS_SUPERVISOR, 0), name);
    assert_string_equal(name, "supervisor");
    metrics_slot_name(metrics_slot(METRICS_ROUTER, ROLE_ROUTERS_MAX + 3), name);
    assert_string_equal(name, "router/3");
    metrics_slot_name(metrics_slot(METRICS_SHARD, LAYOUT_SHARDS_MAX - 1), name);
    assert_string_equal(name, "shard/255");
    assert_int_equal(metrics_slot(METRICS_SHARD, LAYOUT_SHARDS_MAX - 1), METRICS_SLOTS - 1);
}

static void test_only_a_region(void **state)
{
    int fds[2];
    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_null(metrics_map(fds[0]));
    int fd = metrics_make();
    assert_int_equal(ftruncate(fd, 4096), -1); /* it is sealed */
    close(fds[0]);
    close(fds[1]);
    close(fd);
}

static void assert_has(const struct buf *page, const char *line)
{
    char text[256];
    snprintf(text, sizeof text, "\n%s\n", line);
    if (!memmem(buf_slice(page).data, buf_len(page), text, strlen(text)))
        fail_msg("the page does not have: %s", line);
}

static void assert_has_not(const struct buf *page, const char *text)
{
    if (memmem(buf_slice(page).data, buf_len(page), text, strlen(text)))
        fail_msg("the page has: %s", text);
}

static void test_page(void **state)
{
    int fd = metrics_make();
    struct metrics_region *region = metrics_map(fd), *again = metrics_map(fd);
    struct buf page = {0};
    (void)state;
    assert_non_null(region);
    struct metrics *router = metrics_open(region, metrics_slot(METRICS_ROUTER, 0));
    struct metrics *successor = metrics_open(region, metrics_slot(METRICS_ROUTER, ROLE_ROUTERS_MAX));
    struct metrics *one = metrics_open(region, metrics_slot(METRICS_SHARD, 1));
    struct metrics *seven = metrics_open(region, metrics_slot(METRICS_SHARD, 7));
    unsigned get_200 = (METRIC_ROUTE_STREAM * METRIC_METHOD_COUNT + METRIC_METHOD_GET) * METRIC_STATUS_COUNT;
    metrics_add(router, METRIC_REQUESTS + get_200 + METRIC_STATUS_200, 2);
    metrics_add(successor, METRIC_REQUESTS + get_200 + METRIC_STATUS_200, 3);
    metrics_set(successor, METRIC_CONNECTIONS, 9);
    metrics_observe_us(one, METRIC_COMMIT_US, 75);
    metrics_observe_us(one, METRIC_COMMIT_US, 10000000);
    metrics_observe_us(one, METRIC_READ_US + METRIC_TIER_CHUNK * METRICS_HISTOGRAM, 1);
    metrics_observe_us(seven, METRIC_READ_US + METRIC_TIER_CHUNK * METRICS_HISTOGRAM, 2);
    metrics_set(seven, METRIC_FANOUT_BEHIND, 1500);
    buf_add_slice(&page, SLICE("\n"));
    metrics_page_add(&page, again);
    assert_has(&page, "# TYPE streamd_requests_total counter");
    assert_has(&page, "streamd_requests_total{route=\"stream\",method=\"GET\",status=\"200\"} 5");
    assert_has_not(&page, "status=\"201\"");
    assert_has(&page, "streamd_connections{process=\"router/0\"} 9"); /* both of its slots */
    assert_has(&page, "# TYPE streamd_commit_seconds histogram");
    assert_has(&page, "streamd_commit_seconds_bucket{process=\"shard/1\",le=\"0.00005\"} 0");
    assert_has(&page, "streamd_commit_seconds_bucket{process=\"shard/1\",le=\"0.0001\"} 1");
    assert_has(&page, "streamd_commit_seconds_bucket{process=\"shard/1\",le=\"6.5536\"} 1");
    assert_has(&page, "streamd_commit_seconds_bucket{process=\"shard/1\",le=\"+Inf\"} 2");
    assert_has(&page, "streamd_commit_seconds_count{process=\"shard/1\"} 2");
    assert_has(&page, "streamd_commit_seconds_sum{process=\"shard/1\"} 10.000075");
    assert_has(&page, "streamd_read_seconds_count{tier=\"chunk\"} 2"); /* of all shards */
    assert_has(&page, "streamd_fanout_behind_seconds{process=\"shard/7\"} 1.5");
    assert_has_not(&page, "shard/0");
    assert_has_not(&page, "PAIR");
    buf_clear(&page);
    close(fd);
}

static void test_what_a_death_leaves(void **state)
{
    int fd = metrics_make();
    struct metrics_region *region = metrics_map(fd);
    struct metrics *shard = metrics_open(region, metrics_slot(METRICS_SHARD, 0));
    (void)state;
    metrics_add(shard, METRIC_APPENDS, 5);
    metrics_observe_us(shard, METRIC_COMMIT_US, 1);
    metrics_set(shard, METRIC_BACKLOG, 6);
    metrics_set(shard, METRIC_PAIR_BYTES + 3, 6);
    metrics_set(shard, METRIC_UP, 1);
    metrics_bury(shard, METRICS_SHARD);
    assert_int_equal(metrics_get(shard, METRIC_APPENDS), 5);
    assert_int_equal(metrics_get(shard, METRIC_COMMIT_US), 1);
    assert_int_equal(metrics_get(shard, METRIC_BACKLOG), 0);
    assert_int_equal(metrics_get(shard, METRIC_PAIR_BYTES + 3), 0);
    assert_int_equal(metrics_get(shard, METRIC_UP), 1); /* the supervisor's to say */
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets),       cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_nobody_counts), cmocka_unit_test(test_cells_do_not_overlap),
        cmocka_unit_test(test_slots),         cmocka_unit_test(test_only_a_region),
        cmocka_unit_test(test_page),          cmocka_unit_test(test_what_a_death_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
