/* Limits against what shards say that a project uses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/list.h"
#include "router/auth/quota.h"
#include "tests/unit/router/auth/stand.h"

static const struct shards_events nothing;

/* Two shards, that are both away: what they are told is lost. */
static int setup(void **state)
{
    struct stand *s;
    struct layout layout;
    (void)stand_setup(state);
    s = *state;
    layout_init(&layout, 2);
    assert_true(layout_save(s->dir, &layout));
    shards_init(&s->router.shards, &s->router, &nothing);
    project_usages_init(&s->router.usages, &s->router);
    stand_project(s, "p",
                  "{\"signingSecrets\":[\"ffffffffffffffffffffffffffffffff\"],\"quotas\":{\"streams\":2,\"bytes\":100,"
                  "\"appendsPerSecond\":3,\"liveReaders\":2}}");
    stand_project(s, "free", "{\"signingSecrets\":[\"ffffffffffffffffffffffffffffffff\"]}");
    return 0;
}

static int teardown(void **state)
{
    struct stand *s = *state;
    struct table *table = &s->router.usages.table;
    struct table_node *node;
    while ((node = table_next(table, NULL))) {
        struct project_usage *usage = TABLE_OWNER(node, struct project_usage, node);
        table_remove(table, node);
        free(usage->project);
        free(usage->parts);
        free(usage);
    }
    table_clear(table);
    free(s->router.shards.peers);
    return stand_teardown(state);
}

static void says(struct stand *s, unsigned shard, struct wire_usage m)
{
    m.project = SLICE("p");
    project_usages_on_usage(&s->router.usages, shard, &m);
}

/* Both shards have said how much there is. */
static struct request *known(struct stand *s, uint64_t streams, uint64_t bytes)
{
    struct request *req = &s->connection.request;
    assert_non_null(quota_wait(req, SLICE("p/s")));
    says(s, 0, (struct wire_usage){.streams = streams, .bytes = bytes});
    assert_non_null(quota_wait(req, SLICE("p/s")));
    says(s, 1, (struct wire_usage){0});
    assert_null(quota_wait(req, SLICE("p/s")));
    return req;
}

static void only_projects_with_quotas_wait(void **state)
{
    struct stand *s = *state;
    struct request *req = &s->connection.request;
    assert_null(quota_wait(req, SLICE("free/s")));
    assert_null(quota_wait(req, SLICE("absent/s")));
    assert_int_equal(quota_append(req, SLICE("free/s"), 1 << 20), ERR_NONE);
    assert_int_equal(s->router.usages.table.count, 0);
}

static void bytes_and_streams(void **state)
{
    struct stand *s = *state;
    struct request *req = known(s, 1, 90);
    assert_int_equal(quota_append(req, SLICE("p/s"), 10), ERR_NONE);
    assert_int_equal(quota_append(req, SLICE("p/s"), 11), ERR_QUOTA_EXCEEDED);
    assert_int_equal(quota_append(req, SLICE("p/s"), 0), ERR_NONE); /* closing takes no room */
    assert_int_equal(quota_create(req, SLICE("p/t"), 10), ERR_NONE);
    assert_int_equal(quota_create(req, SLICE("p/t"), 11), ERR_QUOTA_EXCEEDED);
    says(s, 1, (struct wire_usage){.streams = 1, .bytes = 10});
    assert_int_equal(quota_create(req, SLICE("p/t"), 0), ERR_QUOTA_EXCEEDED);
    assert_int_equal(quota_append(req, SLICE("p/s"), 1), ERR_QUOTA_EXCEEDED);
    says(s, 0, (struct wire_usage){.streams = 1, .bytes = 10}); /* a part is said as a whole, not added */
    assert_int_equal(quota_append(req, SLICE("p/s"), 80), ERR_NONE);
}

/* A second's worth at once, then one whenever a third of a second has passed; others' appends count, too. */
static void the_rate(void **state)
{
    struct stand *s = *state;
    struct request *req = known(s, 0, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(quota_append(req, SLICE("p/s"), 1), ERR_NONE);
    assert_int_equal(quota_append(req, SLICE("p/s"), 1), ERR_QUOTA_RATE_EXCEEDED);
    s->router.now_ms += 333;
    assert_int_equal(quota_append(req, SLICE("p/s"), 1), ERR_QUOTA_RATE_EXCEEDED);
    s->router.now_ms += 1;
    assert_int_equal(quota_append(req, SLICE("p/s"), 1), ERR_NONE);
    s->router.now_ms += 10000; /* no more than a second's worth is saved, and others have some of it */
    says(s, 0, (struct wire_usage){.appends = 1});
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(quota_append(req, SLICE("p/s"), 1), ERR_NONE);
    assert_int_equal(quota_append(req, SLICE("p/s"), 1), ERR_QUOTA_RATE_EXCEEDED);
    says(s, 0, (struct wire_usage){.appends = 3});
    s->router.now_ms += 1000;
    assert_int_equal(quota_append(req, SLICE("p/s"), 1), ERR_QUOTA_RATE_EXCEEDED);
}

/* What others append counts also before this router was asked for the first append. */
static void others_appends_count_from_the_first(void **state)
{
    struct stand *s = *state;
    struct request *req = known(s, 0, 0);
    says(s, 0, (struct wire_usage){.appends = 2});
    says(s, 1, (struct wire_usage){.appends = 1});
    assert_int_equal(quota_append(req, SLICE("p/s"), 1), ERR_QUOTA_RATE_EXCEEDED);
    s->router.now_ms += 334;
    assert_int_equal(quota_append(req, SLICE("p/s"), 1), ERR_NONE);
}

static void readers_here_and_elsewhere(void **state)
{
    struct stand *s = *state;
    struct request *req = known(s, 0, 0);
    unsigned owner = shards_of(&s->router.shards, SLICE("p"));
    struct project_usage *usage = project_usage_reader(&s->router.usages, SLICE("p/s"));
    assert_int_equal(quota_read_live(req, SLICE("p/s")), ERR_NONE);
    says(s, 1 - owner, (struct wire_usage){.readers = 9}); /* not the one that counts them */
    assert_int_equal(quota_read_live(req, SLICE("p/s")), ERR_NONE);
    says(s, owner, (struct wire_usage){.readers = 1});
    assert_int_equal(quota_read_live(req, SLICE("p/s")), ERR_QUOTA_RATE_EXCEEDED);
    project_usage_reader_gone(&s->router.usages, usage);
    assert_int_equal(quota_read_live(req, SLICE("p/s")), ERR_NONE);
    assert_ptr_equal(s->router.usages.changed, usage); /* its shard is told once, at the end of the turn */
    project_usages_send(&s->router.usages);
    assert_null(s->router.usages.changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_projects_with_quotas_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_and_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(the_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(others_appends_count_from_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(readers_here_and_elsewhere, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
