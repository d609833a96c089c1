/* Reads: what they answer, when they wait, and inherited bytes of another shard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/fanout/append.h"
#include "shard/handlers/read.h"
#include "shard/handlers/remote_read.h"
#include "shard/store/entry.h"
#include "shard/store/journal.h"
#include "tests/unit/shard/handlers/bench.h"

#define AWAY 1 /* the shard that owns slot 1 */
#define AWAY_UID ((uint64_t)1 << LAYOUT_UID_BITS)
#define MUCH ((size_t)1 << 20) /* more than a turn reads */

static int setup(void **state)
{
    if (bench_setup(state) != 0)
        return -1;
    struct bench *b = *state;
    b->cfg.limits_sse_event = 1024;
    b->shard->peers.layout.owner[1] = AWAY;
    b->shard->peers.shards[AWAY].link.fd = 1000;
    asks_init(&b->shard->asks[ASK_READ], &remote_read_questions, &b->shard->peers, b->shard);
    list_init(&b->shard->streams.fresh);
    read_init(b->shard);
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    asks_clear(&b->shard->asks[ASK_READ]);
    read_clear(b->shard);
    buf_clear(&b->shard->peers.shards[AWAY].link.out);
    for (struct stream *s = streams_newest(&b->shard->streams); s; s = streams_older(&b->shard->streams, s)) {
        list_remove(&s->fresh_link);
        s->watcher_count = 0;
    }
    return bench_teardown(state);
}

static void append(struct bench *b, struct stream *stream, const char *data)
{
    struct journal_entry entry = {.count = strlen(data), .data = slice_str(data)};
    append_entry(b->shard, stream, &entry);
}

static void read_from(struct bench *b, struct wire_read m)
{
    if (!m.max_bytes)
        m.max_bytes = 1000;
    on_read(b->shard, bench_asker(m.id), &m);
}

/* The next answer; its slices stay until the router's buffer is used again. */
static bool answered(struct bench *b, struct wire_stream *m)
{
    struct buf *out = &b->shard->peers.routers[0].link.out;
    struct slice frames = buf_slice(out), body;
    if (!wire_take(&frames, WIRE_STREAM, &body))
        return false;
    assert_true(wire_get_stream(body, m));
    out->start += buf_len(out) - frames.len;
    return true;
}

static void test_a_page_is_whole_messages(void **state)
{
    struct bench *b = *state;
    struct wire_stream m;
    struct stream *one = bench_stream(b, 1, "p/one", STORE_NONE, STORE_NONE);
    append(b, one, "first");
    append(b, one, "second");
    read_from(b, (struct wire_read){.id = 1, .name = SLICE("p/one")});
    assert_true(answered(b, &m) && slice_equal(m.data, SLICE("firstsecond")) && m.next == 11 && m.tail == 11);
    read_from(b, (struct wire_read){.id = 2, .name = SLICE("p/one"), .max_bytes = 7});
    assert_true(answered(b, &m) && slice_equal(m.data, SLICE("first")) && m.next == 5);
    read_from(b, (struct wire_read){.id = 3, .name = SLICE("p/one"), .position = 5});
    assert_true(answered(b, &m) && slice_equal(m.data, SLICE("second")) && m.start == 5);
}

static void test_refusals(void **state)
{
    struct bench *b = *state;
    struct wire_stream m;
    bench_stream(b, 1, "p/one", STORE_NONE, STORE_NONE);
    read_from(b, (struct wire_read){.id = 1, .name = SLICE("p/two")});
    assert_true(answered(b, &m) && m.error == ERR_STREAM_NOT_FOUND);
    read_from(b, (struct wire_read){.id = 2, .name = SLICE("p/one"), .position = 1});
    assert_true(answered(b, &m) && m.error == ERR_OFFSET_BEYOND_TAIL);
    read_from(b, (struct wire_read){.id = 3, .name = SLICE("p/one"), .flags = WIRE_READ_ANONYMOUS});
    assert_true(answered(b, &m) && m.error == ERR_UNAUTHORIZED);
    read_from(b, (struct wire_read){.id = 4, .name = SLICE("p/two"), .flags = WIRE_READ_ANONYMOUS});
    assert_true(answered(b, &m) && m.error == ERR_UNAUTHORIZED); /* not even whether it is there */
}

static void test_a_live_read_at_the_tail_watches(void **state)
{
    struct bench *b = *state;
    struct wire_stream m;
    struct stream *one = bench_stream(b, 1, "p/one", STORE_NONE, STORE_NONE);
    append(b, one, "first");
    read_from(b, (struct wire_read){.id = 1, .name = SLICE("p/one"), .watch = 7, .flags = WIRE_READ_WAIT});
    assert_true(answered(b, &m) && !(m.flags & WIRE_STREAM_WATCHING) && !one->watcher_count); /* it has an answer */
    read_from(b, (struct wire_read){.id = 2, .name = SLICE("p/one"), .watch = 7, .flags = WIRE_READ_NOW});
    assert_true(answered(b, &m) && (m.flags & WIRE_STREAM_WATCHING) && one->watcher_count == 1);
}

static void test_a_turn_that_has_read_much_puts_reads_off(void **state)
{
    struct bench *b = *state;
    struct wire_stream m;
    struct stream *one = bench_stream(b, 1, "p/one", STORE_NONE, STORE_NONE);
    append(b, one, "first");
    b->shard->turn_read = MUCH;
    read_from(b, (struct wire_read){.id = 1, .name = SLICE("p/one")});
    read_from(b, (struct wire_read){.id = 2, .name = SLICE("p/one")});
    assert_false(answered(b, &m));
    assert_true(b->shard->turn_again);
    read_from(b, (struct wire_read){.id = 3, .name = SLICE("p/one"), .watch = 7}); /* a live one never waits */
    assert_true(answered(b, &m) && m.id == 3);
    b->shard->turn_read = 0;
    read_turn(b->shard);
    assert_true(answered(b, &m) && m.id == 1);
    assert_true(answered(b, &m) && m.id == 2);
}

/* ---- bytes of another shard ---- */

/* A fork that has four bytes of a stream in another shard. */
static struct stream *fork_of_another_shard(struct bench *b)
{
    struct buf lineage = {0};
    assert_true(lineage_of_fork(&(struct lineage){0}, AWAY_UID, 0, 4, 10, &lineage));
    struct stream_row row = {
        .uid = 2,
        .name = SLICE("p/fork"),
        .content_type = SLICE("text/plain"),
        .ttl_s = STORE_NONE,
        .expires_ms = STORE_NONE,
        .source_uid = AWAY_UID,
        .retain_ms = STORE_NONE,
        .base = 4,
        .flushed = 4,
        .offloaded = 4,
        .lineage = buf_slice(&lineage),
    };
    store_begin(b->shard->store);
    store_stream_insert(b->shard->store, &row);
    struct stream *fork = streams_add_new(&b->shard->streams, &row);
    buf_clear(&lineage);
    append(b, fork, "own");
    return fork;
}

static struct wire_fetch fetch_asked(struct bench *b)
{
    struct buf *out = &b->shard->peers.shards[AWAY].link.out;
    struct slice frames = buf_slice(out), body;
    struct wire_fetch m;
    assert_true(wire_take(&frames, WIRE_FETCH, &body) && wire_get_fetch(body, &m));
    buf_clear(out);
    return m;
}

static void test_inherited_bytes_come_first(void **state)
{
    struct bench *b = *state;
    struct wire_stream m;
    fork_of_another_shard(b);
    read_from(b, (struct wire_read){.id = 1, .name = SLICE("p/fork")});
    assert_false(answered(b, &m));
    struct wire_fetch fetch = fetch_asked(b);
    assert_true(fetch.uid == AWAY_UID && fetch.from == 0 && fetch.to == 4 && fetch.max_bytes == 1000);
    struct wire_fetched fetched = {.id = fetch.id, .next = 4, .count = 1, .data = SLICE("base")};
    on_fetched(b->shard, AWAY + 1, &fetched); /* nobody asked that one */
    assert_false(answered(b, &m));
    on_fetched(b->shard, AWAY, &fetched);
    assert_true(answered(b, &m) && slice_equal(m.data, SLICE("baseown")) && m.next == 7);
    on_fetched(b->shard, AWAY, &fetched); /* twice, after a restart */
    assert_false(answered(b, &m));
}

static struct wire_seek seek_asked(struct bench *b)
{
    struct buf *out = &b->shard->peers.shards[AWAY].link.out;
    struct slice frames = buf_slice(out), body;
    struct wire_seek m;
    assert_true(wire_take(&frames, WIRE_SEEK, &body) && wire_get_seek(body, &m));
    buf_clear(out);
    return m;
}

static void test_where_a_read_begins_is_asked_of_the_shard_that_has_it(void **state)
{
    struct bench *b = *state;
    struct wire_stream m;
    fork_of_another_shard(b);
    read_from(b, (struct wire_read){.id = 1, .name = SLICE("p/fork"), .from = WIRE_FROM_TAIL, .amount = 1});
    assert_true(answered(b, &m) && slice_equal(m.data, SLICE("own")) && m.start == 4); /* which is here */
    read_from(b, (struct wire_read){.id = 2, .name = SLICE("p/fork"), .from = WIRE_FROM_TAIL, .amount = 2});
    struct wire_seek seek = seek_asked(b);
    assert_true(seek.uid == AWAY_UID && seek.floor == 0 && seek.at == 4 && seek.messages == 1);
    assert_true(seek.from == WIRE_FROM_TAIL && seek.flags == WIRE_SEEK_TAKEN && seek.bytes > 1000);
    on_sought(b->shard, AWAY, &(struct wire_sought){.id = seek.id, .at = 1, .flags = WIRE_SEEK_DONE});
    assert_false(answered(b, &m));
    struct wire_fetch fetch = fetch_asked(b);
    assert_true(fetch.from == 1 && fetch.to == 4);
    on_fetched(b->shard, AWAY, &(struct wire_fetched){.id = fetch.id, .next = 4, .count = 1, .data = SLICE("ase")});
    assert_true(answered(b, &m) && slice_equal(m.data, SLICE("aseown")) && m.start == 1 && m.next == 7);
}

/* A page that ends at an offset has no hole: what the other shard cannot give at once is asked for again. */
static void test_a_read_before_an_offset_is_whole(void **state)
{
    struct bench *b = *state;
    struct wire_stream m;
    fork_of_another_shard(b);
    read_from(
        b, (struct wire_read){.id = 1, .name = SLICE("p/fork"), .from = WIRE_FROM_BEFORE, .position = 7, .amount = 9});
    struct wire_seek seek = seek_asked(b);
    assert_true(seek.at == 4 && seek.messages == 8 && seek.bytes == 1000 - 3);
    on_sought(b->shard, AWAY, &(struct wire_sought){.id = seek.id, .at = 0, .messages = 7, .bytes = 993});
    struct wire_fetch fetch = fetch_asked(b);
    on_fetched(b->shard, AWAY, &(struct wire_fetched){.id = fetch.id, .next = 2, .count = 1, .data = SLICE("ba")});
    assert_false(answered(b, &m));
    fetch = fetch_asked(b);
    assert_true(fetch.from == 2 && fetch.to == 4);
    on_fetched(b->shard, AWAY, &(struct wire_fetched){.id = fetch.id, .next = 4, .count = 1, .data = SLICE("se")});
    assert_true(answered(b, &m) && slice_equal(m.data, SLICE("baseown")) && m.start == 0 && m.next == 7);
    read_from(
        b, (struct wire_read){.id = 2, .name = SLICE("p/fork"), .from = WIRE_FROM_BEFORE, .position = 6, .amount = 1});
    assert_true(answered(b, &m) && slice_equal(m.data, SLICE("ow")) && m.start == 4 && m.next == 6);
}

/* While the other shard is asked, the name may become another stream's: its messages are looked for anew. */
static void test_a_search_is_for_one_stream(void **state)
{
    struct bench *b = *state;
    struct wire_stream m;
    struct stream *fork = fork_of_another_shard(b);
    read_from(b, (struct wire_read){.id = 1, .name = SLICE("p/fork"), .from = WIRE_FROM_SINCE, .amount = 1});
    struct wire_seek seek = seek_asked(b);
    assert_true(seek.from == WIRE_FROM_SINCE && seek.since_ms == 1 && seek.at == 4);
    store_stream_set_deleting(b->shard->store, 2);
    streams_deleting(&b->shard->streams, fork);
    append(b, bench_stream(b, 3, "p/fork", STORE_NONE, STORE_NONE), "another");
    on_sought(b->shard, AWAY, &(struct wire_sought){.id = seek.id, .at = 2, .flags = WIRE_SEEK_DONE});
    assert_true(answered(b, &m) && m.uid == 3 && m.start == 0 && slice_equal(m.data, SLICE("another")));
}

static void test_a_search_for_another_shard(void **state)
{
    struct bench *b = *state;
    struct stream *one = bench_stream(b, 1, "p/one", STORE_NONE, STORE_NONE);
    struct wire_sought m;
    append(b, one, "first");
    append(b, one, "second");
    b->shard->peers.shards[AWAY].link.out = (struct buf){0};
    for (uint64_t floor = 0; floor <= 12;
         floor += 12) { /* 12 is beyond the tail: damage, or a fork of something else */
        on_seek(b->shard, AWAY,
                &(struct wire_seek){.id = 5,
                                    .uid = 1,
                                    .floor = floor,
                                    .at = 11 + floor,
                                    .from = WIRE_FROM_TAIL,
                                    .messages = 1,
                                    .bytes = UINT64_MAX});
        struct buf *out = &b->shard->peers.shards[AWAY].link.out;
        struct slice frames = buf_slice(out), body;
        assert_true(wire_take(&frames, WIRE_SOUGHT, &body) && wire_get_sought(body, &m) && m.id == 5);
        buf_clear(out);
        if (floor)
            assert_int_equal(m.error, ERR_INTERNAL);
        else
            assert_true(m.error == ERR_NONE && m.at == 5 && (m.flags & WIRE_SEEK_DONE));
    }
}

static void test_a_shard_that_comes_back_is_asked_again(void **state)
{
    struct bench *b = *state;
    fork_of_another_shard(b);
    read_from(b, (struct wire_read){.id = 1, .name = SLICE("p/fork")});
    uint64_t id = fetch_asked(b).id;
    asks_shard_up(&b->shard->asks[ASK_READ], AWAY);
    assert_int_equal(fetch_asked(b).id, id);
}

static void test_a_shard_that_stays_away_is_503(void **state)
{
    struct bench *b = *state;
    struct wire_stream m;
    fork_of_another_shard(b);
    read_from(b, (struct wire_read){.id = 1, .name = SLICE("p/fork")});
    asks_tick(&b->shard->asks[ASK_READ], b->cfg.router_shard_wait - 1);
    assert_false(answered(b, &m));
    asks_tick(&b->shard->asks[ASK_READ], b->cfg.router_shard_wait);
    assert_true(answered(b, &m) && m.error == ERR_SHARD_UNAVAILABLE);
}

static void test_a_stream_that_ends_meanwhile_is_404(void **state)
{
    struct bench *b = *state;
    struct wire_stream m;
    struct stream *fork = fork_of_another_shard(b);
    read_from(b, (struct wire_read){.id = 1, .name = SLICE("p/fork")});
    struct wire_fetch fetch = fetch_asked(b);
    store_stream_set_deleting(b->shard->store, 2);
    streams_deleting(&b->shard->streams, fork);
    on_fetched(b->shard, AWAY, &(struct wire_fetched){.id = fetch.id, .next = 4, .count = 1, .data = SLICE("base")});
    assert_true(answered(b, &m) && m.error == ERR_STREAM_NOT_FOUND);
}

#define READ_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        READ_TEST(test_a_page_is_whole_messages),
        READ_TEST(test_refusals),
        READ_TEST(test_a_live_read_at_the_tail_watches),
        READ_TEST(test_a_turn_that_has_read_much_puts_reads_off),
        READ_TEST(test_where_a_read_begins_is_asked_of_the_shard_that_has_it),
        READ_TEST(test_a_read_before_an_offset_is_whole),
        READ_TEST(test_a_search_is_for_one_stream),
        READ_TEST(test_a_search_for_another_shard),
        READ_TEST(test_inherited_bytes_come_first),
        READ_TEST(test_a_shard_that_comes_back_is_asked_again),
        READ_TEST(test_a_shard_that_stays_away_is_503),
        READ_TEST(test_a_stream_that_ends_meanwhile_is_404),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
