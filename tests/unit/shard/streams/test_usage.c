/* What projects hold, and which router gets what of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "tests/unit/shard/store/database.h"

struct bench {
    struct database *database;
    struct shard *shard;
};

static struct usages *usages(struct bench *b)
{
    return &b->shard->streams.usages;
}

static struct buf *out(struct bench *b, unsigned router)
{
    return &b->shard->peers.routers[router].link.out;
}

static int setup(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    void *database;
    if (database_setup(&database) != 0)
        return -1;
    b->database = database;
    b->shard = xcalloc(1, sizeof *b->shard);
    for (unsigned i = 0; i < PEERS_ROUTERS_MAX; i++)
        b->shard->peers.routers[i].link.fd = i < 2 ? 1000 : -1; /* two are as good as up: nothing is flushed */
    usages_init(usages(b), b->database->store);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    void *database = b->database;
    usages_clear(usages(b));
    buf_clear(out(b, 0));
    buf_clear(out(b, 1));
    free(b->shard);
    free(b);
    return database_teardown(&database);
}

static void watch(struct bench *b, unsigned router, uint64_t readers)
{
    const struct wire_watch_usage m = {.project = SLICE("p"), .readers = readers};
    on_watch_usage(b->shard, (struct asker){.router = router}, &m);
}

/* What this turn has for the router; false: nothing. */
static bool notified(struct bench *b, unsigned router, struct wire_usage *m)
{
    enum wire_type type;
    struct slice body;
    size_t size;
    if (wire_peek(buf_slice(out(b, router)), &type, &body, &size) != WIRE_PEEK_FRAME)
        return false;
    assert_int_equal(type, WIRE_USAGE);
    assert_true(wire_get_usage(body, m));
    assert_true(slice_equal(m->project, SLICE("p")));
    buf_consume(out(b, router), size);
    assert_int_equal(buf_len(out(b, router)), 0);
    return true;
}

static void test_streams_of_a_project_share_its_usage(void **state)
{
    struct bench *b = *state;
    struct usage *one = usage_ref(usages(b), SLICE("p/one")), *two = usage_ref(usages(b), SLICE("p/two/2"));
    struct usage *other = usage_ref(usages(b), SLICE("q/one"));
    assert_ptr_equal(one, two);
    assert_ptr_not_equal(one, other);
    usage_add(usages(b), one, 1, 10);
    usage_add(usages(b), two, 1, 5);
    usage_add(usages(b), one, -1, -10);
    assert_true(one->streams == 1 && one->bytes == 5 && other->bytes == 0);
    assert_true(usages(b)->streams == 1 && usages(b)->bytes == 5);
    usage_unref(usages(b), one);
    usage_unref(usages(b), two);
    usage_unref(usages(b), other);
    assert_int_equal(usages(b)->table.count, 0);
}

static void test_a_watching_router_gets_what_changes(void **state)
{
    struct bench *b = *state;
    struct wire_usage m;
    watch(b, 0, 0);
    usage_notify_all(b->shard);
    assert_true(notified(b, 0, &m) && m.streams == 0);
    usage_notify_all(b->shard);
    assert_false(notified(b, 0, &m));
    struct usage *usage = usage_ref(usages(b), SLICE("p/one"));
    usage_add(usages(b), usage, 1, 10);
    usage_add(usages(b), usage, 0, 10);
    usage_notify_all(b->shard);
    assert_true(notified(b, 0, &m) && m.streams == 1 && m.bytes == 20);
    assert_false(notified(b, 1, &m));
    usage_unref(usages(b), usage); /* it stays as long as it is watched */
    assert_int_equal(usages(b)->table.count, 1);
}

static void test_a_router_gets_what_the_others_do(void **state)
{
    struct bench *b = *state;
    struct wire_usage m;
    watch(b, 0, 3);
    watch(b, 1, 4);
    struct usage *usage = usage_ref(usages(b), SLICE("p/one"));
    usage_appended(usages(b), usage, 0);
    usage_appended(usages(b), usage, 0);
    usage_notify_all(b->shard);
    assert_true(notified(b, 0, &m) && m.appends == 0 && m.readers == 4);
    assert_true(notified(b, 1, &m) && m.appends == 2 && m.readers == 3);
    usage_add(usages(b), usage, 0, 1);
    usage_notify_all(b->shard);
    assert_true(notified(b, 1, &m) && m.appends == 0); /* they were counted */
    assert_true(notified(b, 0, &m));
    usage_unref(usages(b), usage);
}

static void test_a_router_that_is_gone_has_no_readers(void **state)
{
    struct bench *b = *state;
    struct wire_usage m;
    watch(b, 0, 3);
    watch(b, 1, 4);
    usage_router_gone(b->shard, 1);
    usage_notify_all(b->shard);
    assert_true(notified(b, 0, &m) && m.readers == 0);
    assert_false(notified(b, 1, &m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_streams_of_a_project_share_its_usage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_watching_router_gets_what_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_router_gets_what_the_others_do, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_router_that_is_gone_has_no_readers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
