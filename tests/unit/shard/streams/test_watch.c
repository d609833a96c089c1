/* Watchers: one event a turn and router, in order, never more than the router has room for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/mem.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/entry.h"
#include "shard/store/journal.h"
#include "shard/streams/watch.h"

#define WATCH 77 /* the router's name for the stream */

struct bench {
    struct shard *shard;
    struct config cfg;
    struct stream stream;
};

static int setup(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    b->cfg.limits_sse_event = 10;
    b->shard = xcalloc(1, sizeof *b->shard);
    b->shard->cfg = &b->cfg;
    for (unsigned i = 0; i < PEERS_ROUTERS_MAX; i++)
        b->shard->peers.routers[i].link.fd = i == 0 ? 1000 : -1; /* the first is as good as up: nothing is flushed */
    list_init(&b->shard->streams.used);
    list_init(&b->shard->streams.fresh);
    list_init(&b->stream.used);
    list_init(&b->stream.fresh_link);
    *state = b;
    return 0;
}

static struct buf *out(struct bench *b)
{
    return &b->shard->peers.routers[0].link.out;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    buf_clear(out(b));
    buf_clear(&b->stream.fresh);
    free(b->stream.watchers);
    free(b->shard);
    free(b);
    return 0;
}

static void watch(struct bench *b, unsigned router)
{
    watch_add(b->shard, &b->stream, (struct asker){.router = router}, WATCH);
}

static void append(struct bench *b, const char *data)
{
    struct slice bytes = slice_str(data);
    const struct journal_entry entry = {.start = b->stream.tail, .count = bytes.len, .time_ms = 5, .data = bytes};
    b->stream.tail += bytes.len;
    watch_appended(b->shard, &b->stream, &entry);
}

/* The next event that was put for the first router; false: there is none. */
static bool event(struct bench *b, struct wire_event *m)
{
    enum wire_type type;
    struct slice body;
    size_t size;
    if (wire_peek(buf_slice(out(b)), &type, &body, &size) != WIRE_PEEK_FRAME)
        return false;
    assert_int_equal(type, WIRE_EVENT);
    assert_true(wire_get_event(body, m));
    assert_int_equal(m->watch, WATCH);
    buf_consume(out(b), size);
    return true;
}

static void test_a_turn_is_one_event(void **state)
{
    struct bench *b = *state;
    struct wire_event m;
    watch(b, 0);
    append(b, "one");
    append(b, "two");
    assert_false(event(b, &m)); /* the turn is not over */
    watch_notify_all(b->shard);
    assert_true(event(b, &m));
    assert_true(m.from == 0 && m.next == 6 && m.time_ms == 5 && slice_equal(m.data, SLICE("onetwo")));
    append(b, "six");
    watch_notify_all(b->shard);
    assert_true(event(b, &m));
    assert_true(m.from == 6 && m.next == 9 && slice_equal(m.data, SLICE("six")));
    watch_notify_all(b->shard);
    assert_false(event(b, &m));
}

static void test_nobody_watches_and_nothing_is_gathered(void **state)
{
    struct bench *b = *state;
    struct wire_event m;
    append(b, "one");
    assert_true(list_empty(&b->shard->streams.fresh));
    watch(b, 0); /* at the tail: what was before is not its */
    watch_notify_all(b->shard);
    assert_false(event(b, &m));
}

static void test_too_much_for_an_event_has_to_be_read(void **state)
{
    struct bench *b = *state;
    struct wire_event m;
    watch(b, 0);
    append(b, "12345678");
    append(b, "9abcdef");
    watch_notify_all(b->shard);
    assert_true(event(b, &m));
    assert_true((m.flags & WIRE_EVENT_MOVED) && m.from == 0 && m.next == 15 && m.data.len == 0);
    append(b, "next");
    watch_notify_all(b->shard);
    assert_true(event(b, &m));
    assert_true(!(m.flags & WIRE_EVENT_MOVED) && slice_equal(m.data, SLICE("next")));
}

static void test_a_router_that_has_much_before_it_gets_no_data(void **state)
{
    struct bench *b = *state;
    struct wire_event m;
    size_t backlog = ((size_t)16 << 20) + 1;
    watch(b, 0);
    (void)buf_reserve(out(b), backlog);
    buf_grow(out(b), backlog);
    append(b, "one");
    watch_notify_all(b->shard);
    buf_consume(out(b), backlog);
    assert_true(event(b, &m));
    assert_true((m.flags & WIRE_EVENT_MOVED) && m.data.len == 0 && m.next == 3);
}

static void test_a_watcher_that_comes_again_is_one(void **state)
{
    struct bench *b = *state;
    struct wire_event m;
    watch(b, 0);
    watch(b, 0);
    watch(b, 1); /* its link is down */
    append(b, "one");
    watch_notify_all(b->shard);
    assert_true(event(b, &m));
    assert_false(event(b, &m));
    assert_int_equal(b->stream.watcher_count, 2);
}

static void test_the_end_is_the_last_event(void **state)
{
    struct bench *b = *state;
    struct wire_event m;
    watch(b, 0);
    append(b, "one");
    watch_deleted(b->shard, &b->stream);
    assert_true(event(b, &m) && slice_equal(m.data, SLICE("one")) && !(m.flags & WIRE_EVENT_DELETED));
    assert_true(event(b, &m) && (m.flags & WIRE_EVENT_DELETED));
    assert_int_equal(b->stream.watcher_count, 0);
    assert_true(list_empty(&b->shard->streams.fresh));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_turn_is_one_event, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_watches_and_nothing_is_gathered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_much_for_an_event_has_to_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_router_that_has_much_before_it_gets_no_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_watcher_that_comes_again_is_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_end_is_the_last_event, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
