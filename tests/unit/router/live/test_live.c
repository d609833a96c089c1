/* Entries and their readers, between a shard that is this test and readers that only write down what comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/mem.h"
#include "router/live/live.h"
#include "router/live/reader_state.h"
#include "router/router.h"
#include "router/shards/shard_request.h"

#define READERS 4

/* A reader, its request, and what it was given. */
struct fake {
    struct reader reader;
    struct request request;
    struct buf got;
    enum error gone;
    unsigned answers, spared;
    bool leaves; /* when it gets something */
};

struct stand {
    struct stand *before; /* a router is not made to be taken down: all stay, for those who look for leaks */
    char dir[64];
    struct config cfg;
    struct router router;
    struct link shard;
    struct fake fakes[READERS];
    struct wire_read read; /* the last one that came, without its name */
    unsigned reads, unwatched;
};

static struct stand *stands;

static struct fake *fake_of(struct reader *reader)
{
    return (struct fake *)reader; /* the first member */
}

static void fake_leave(struct reader *reader)
{
    live_leave(reader);
    live_release(reader->entry);
    reader->state = READER_PAUSED;
}

/* Joins the entry if it can, as a real one does. */
static void on_answered(struct reader *reader, const struct answer *answer)
{
    struct fake *f = fake_of(reader);
    reader->asked = NULL;
    f->answers++;
    if (answer->error != ERR_NONE)
        return;
    buf_add_slice(&f->got, answer->stream->data);
    reader->position = answer->stream->next;
    if ((answer->stream->flags & WIRE_STREAM_WATCHING) && live_join(reader->entry, reader, reader->position))
        reader->state = READER_AT_TAIL;
}

static void on_deliver(struct reader *reader, struct delivery *delivery)
{
    struct fake *f = fake_of(reader);
    buf_add_slice(&f->got, reader->sse ? delivery->text->data : delivery->stream->data);
    if (f->leaves)
        fake_leave(reader);
}

static void on_spare(struct reader *reader)
{
    fake_of(reader)->spared++;
    if (fake_of(reader)->leaves)
        fake_leave(reader);
}

static void on_gone(struct reader *reader, const struct answer *answer)
{
    fake_of(reader)->gone = answer->error;
    fake_leave(reader);
}

static const struct live_ops fake_ops = {
    .answered = on_answered, .deliver = on_deliver, .spare = on_spare, .gone = on_gone};

/* ---- the stand ---- */

static void on_event(struct router *router, const struct wire_event *m)
{
    live_event(&router->live, m);
}

static void on_up(struct router *router, unsigned shard)
{
    live_shard_up(&router->live, shard);
}

static void on_down(struct router *router, unsigned shard)
{
    live_shard_down(&router->live, shard);
}

static const struct shards_events events = {.event = on_event, .up = on_up, .down = on_down};

/* What the router has for the shard goes there. */
static void hear(struct stand *s)
{
    enum wire_type type;
    struct slice body;
    size_t cursor = 0;
    shards_flush(&s->router.shards);
    for (int i = 0; i < 4; i++)
        event_base_loop(s->router.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    (void)link_receive(&s->shard, SIZE_MAX);
    while (link_next(&s->shard, &cursor, &type, &body)) {
        struct wire_read read;
        s->unwatched += type == WIRE_UNWATCH;
        if (type != WIRE_READ)
            continue;
        assert_true(wire_get_read(body, &read));
        s->read = read;
        s->reads++;
    }
    link_release(&s->shard, cursor);
}

/* And what the shard has said, to the router. */
static void turn(struct stand *s)
{
    link_flush(&s->shard);
    for (int i = 0; i < 4; i++)
        event_base_loop(s->router.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    shards_receive(&s->router.shards);
    hear(s);
}

static void shard_up(struct stand *s)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    link_close(&s->shard);
    shards_peer(&s->router.shards, 0, pair[0]);
    link_open(&s->shard, s->router.base, pair[1], 0);
    turn(s);
}

static int setup(void **state)
{
    struct stand *s = xcalloc(1, sizeof *s);
    struct layout layout;
    char assignment[100];
    s->before = stands;
    stands = s;
    snprintf(s->dir, sizeof s->dir, "/tmp/streamd-unit-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    config_init(&s->cfg);
    snprintf(assignment, sizeof assignment, "server.data_dir=%s", s->dir);
    assert_int_equal(config_set(&s->cfg, assignment, stderr), 0);
    layout_init(&layout, 1);
    assert_true(layout_save(s->dir, &layout));
    s->router.base = event_base_new();
    s->router.cfg = &s->cfg;
    s->router.metrics = metrics_open(metrics_map(metrics_make()), 0);
    s->router.now_ms = clock_monotonic_ms();
    deadlines_init(&s->router.deadlines);
    shards_init(&s->router.shards, &s->router, &events);
    live_init(&s->router.live, &s->router, &fake_ops);
    s->shard.fd = -1;
    shard_up(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stand *s = *state;
    char path[100];
    for (int i = 0; i < READERS; i++) {
        if (s->fakes[i].reader.state == READER_AT_TAIL)
            fake_leave(&s->fakes[i].reader);
        buf_clear(&s->fakes[i].got);
    }
    turn(s);
    assert_int_equal(s->router.live.entries.count, 0);
    snprintf(path, sizeof path, "%s/layout", s->dir);
    unlink(path);
    rmdir(s->dir);
    link_close(&s->shard);
    return 0;
}

static void answer(struct stand *s, struct wire_stream m, const char *data)
{
    m.id = s->read.id;
    m.uid = m.uid ? m.uid : 7;
    m.remaining_ms = UINT64_MAX;
    m.content_type = SLICE("text/plain");
    m.data = slice_str(data);
    m.start = s->read.position;
    m.next = m.start + m.data.len;
    m.tail = m.tail ? m.tail : m.next;
    wire_put_stream(&s->shard.out, &m);
    turn(s);
}

/* Reader i reads from a position, is answered, and waits at the tail. */
static struct entry *at_tail(struct stand *s, int i, uint64_t position, const char *data)
{
    struct fake *f = &s->fakes[i];
    f->reader.request = &f->request;
    f->reader.sse = true;
    f->reader.state = READER_READING;
    f->request.router = &s->router;
    f->request.job = &f->reader;
    f->reader.entry = live_entry(&s->router.live, SLICE("p/s"));
    f->reader.asked =
        live_read(f->reader.entry, &f->request, (struct wire_read){.position = position, .max_bytes = 99});
    assert_non_null(f->reader.asked);
    turn(s);
    assert_int_equal(s->read.position, position);
    assert_int_equal(s->read.watch, f->reader.entry->watch);
    answer(s, (struct wire_stream){.flags = WIRE_STREAM_WATCHING}, data);
    assert_int_equal(f->reader.state, READER_AT_TAIL);
    return f->reader.entry;
}

static void event(struct stand *s, uint8_t flags, uint64_t from, const char *data)
{
    struct wire_event m = {.watch = s->read.watch, .flags = flags, .from = from, .time_ms = 5, .data = slice_str(data)};
    m.next = from + m.data.len;
    wire_put_event(&s->shard.out, &m);
    turn(s);
}

static void expect(struct stand *s, int i, const char *text)
{
    assert_true(slice_equal(buf_slice(&s->fakes[i].got), slice_str(text)));
}

/* ---- the tests ---- */

static void an_event_goes_to_all_who_are_at_the_tail(void **state)
{
    struct stand *s = *state;
    struct entry *e = at_tail(s, 0, 0, "ab");
    assert_ptr_equal(at_tail(s, 1, 1, "b"), e);
    assert_int_equal(live_readers(&s->router.live, SLICE("p/s")), 2);
    assert_int_equal(live_readers(&s->router.live, SLICE("p/t")), 0);
    event(s, 0, 2, "cd");
    event(s, 0, 4, "e");
    expect(s, 0, "abcde");
    expect(s, 1, "bcde");
    assert_int_equal(e->position, 5);
    assert_int_equal(s->reads, 2); /* nobody has read anything more */
}

static void one_that_leaves_while_it_gets_something_takes_nobody_along(void **state)
{
    struct stand *s = *state;
    at_tail(s, 0, 0, "");
    at_tail(s, 1, 0, "");
    at_tail(s, 2, 0, "");
    s->fakes[1].leaves = true;
    event(s, 0, 0, "a");
    event(s, 0, 1, "b");
    expect(s, 0, "ab");
    expect(s, 1, "a");
    expect(s, 2, "ab");
    assert_int_equal(s->unwatched, 0);
    s->fakes[0].leaves = s->fakes[2].leaves = true;
    event(s, 0, 2, "c"); /* the last one ends the watch, and the entry */
    assert_int_equal(s->unwatched, 1);
    assert_int_equal(s->router.live.entries.count, 0);
    event(s, 0, 3, "d"); /* it was on its way */
    expect(s, 2, "abc");
}

static void an_event_that_does_not_follow_makes_the_entry_read(void **state)
{
    struct stand *s = *state;
    struct entry *e = at_tail(s, 0, 0, "ab");
    event(s, 0, 3, "d");
    expect(s, 0, "ab");
    assert_int_equal(s->reads, 2);
    assert_int_equal(s->read.position, 2);
    assert_int_equal(s->fakes[0].spared, 1);
    event(s, 0, 4, "e");                              /* is part of what is being read */
    answer(s, (struct wire_stream){.tail = 5}, "cd"); /* not all of it */
    expect(s, 0, "abcd");
    assert_int_equal(s->reads, 3);
    assert_int_equal(s->read.position, 4);
    answer(s, (struct wire_stream){.flags = WIRE_STREAM_WATCHING}, "e");
    event(s, 0, 5, "f");
    expect(s, 0, "abcdef");
    assert_int_equal(e->position, 6);
}

static void a_large_one_spares_those_who_have_much_queued(void **state)
{
    struct stand *s = *state;
    at_tail(s, 0, 0, "");
    at_tail(s, 1, 0, "");
    s->fakes[0].leaves = true;
    event(s, WIRE_EVENT_MOVED, 0, "");
    assert_int_equal(s->reads, 3);
    answer(s, (struct wire_stream){.flags = WIRE_STREAM_WATCHING}, "much");
    expect(s, 0, "");
    expect(s, 1, "much");
}

static void a_stream_that_is_deleted_is_gone_for_all(void **state)
{
    struct stand *s = *state;
    at_tail(s, 0, 0, "");
    at_tail(s, 1, 0, "");
    event(s, WIRE_EVENT_DELETED, 0, "");
    assert_int_equal(s->fakes[0].gone, ERR_STREAM_NOT_FOUND);
    assert_int_equal(s->fakes[1].gone, ERR_STREAM_NOT_FOUND);
    assert_int_equal(s->router.live.entries.count, 0);
    assert_int_equal(s->unwatched, 0); /* the shard has forgotten the watch */
}

static void a_shards_successor_is_asked_for_what_came_meanwhile(void **state)
{
    struct stand *s = *state;
    struct entry *e = at_tail(s, 0, 0, "ab");
    link_close(&s->shard);
    for (int i = 0; i < 5; i++)
        event_base_loop(s->router.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    shards_receive(&s->router.shards);
    shards_flush(&s->router.shards);
    assert_false(e->watching);
    shard_up(s);
    assert_int_equal(s->read.position, 2);
    answer(s, (struct wire_stream){.flags = WIRE_STREAM_WATCHING}, "c");
    event(s, 0, 3, "d");
    expect(s, 0, "abcd");
}

static void another_stream_of_the_same_name_ends_them(void **state)
{
    struct stand *s = *state;
    at_tail(s, 0, 0, "ab");
    event(s, WIRE_EVENT_MOVED, 2, "");
    answer(s, (struct wire_stream){.uid = 8, .flags = WIRE_STREAM_WATCHING}, "other");
    assert_int_equal(s->fakes[0].gone, ERR_STREAM_RECREATED);
    expect(s, 0, "ab");
}

static void a_character_is_not_cut(void **state)
{
    struct stand *s = *state;
    struct entry *e = at_tail(s, 0, 0, "");
    event(s, 0, 0, "a\xc3");
    expect(s, 0, "a");
    assert_int_equal(e->kept.len, 1);
    event(s, 0, 2, "\xa4z\r");
    expect(s, 0, "a\xc3\xa4z");
    event(s, WIRE_EVENT_CLOSED, 5, ""); /* nothing comes after it any more */
    expect(s, 0, "a\xc3\xa4z\r");
}

static void one_who_began_elsewhere_stays_apart(void **state)
{
    struct stand *s = *state;
    struct entry *e = at_tail(s, 0, 0, "");
    event(s, 0, 0, "a\xc3");
    s->fakes[1].reader.entry = live_entry(&s->router.live, SLICE("p/s"));
    s->fakes[1].reader.sse = true;
    assert_false(live_join(e, &s->fakes[1].reader, 1)); /* behind */
    assert_true(live_join(e, &s->fakes[1].reader, 2));
    s->fakes[1].reader.state = READER_AT_TAIL;
    assert_true(s->fakes[1].reader.apart); /* it has had the byte that the entry keeps, or never will */
    assert_false(s->fakes[0].reader.apart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_goes_to_all_who_are_at_the_tail, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_leaves_while_it_gets_something_takes_nobody_along, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_that_does_not_follow_makes_the_entry_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_one_spares_those_who_have_much_queued, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_that_is_deleted_is_gone_for_all, setup, teardown),
        cmocka_unit_test_setup_teardown(a_shards_successor_is_asked_for_what_came_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(another_stream_of_the_same_name_ends_them, setup, teardown),
        cmocka_unit_test_setup_teardown(a_character_is_not_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(one_who_began_elsewhere_stays_apart, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
