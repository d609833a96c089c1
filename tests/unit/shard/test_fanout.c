/* Fan-out, from both sides: one shard in this process, and the test is the router, the other shard, and its bus. The
 * shard's clock is the test's and stands still: nothing is sent again and no answer is late before pass() says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "shard/fanout/bus.h"
#include "shard/fanout/feed_send.h"
#include "shard/fanout/source.h"
#include "shard/shard.h"
#include "shard/shard_role.h"

#define SOURCE "p/source"   /* of the shard */
#define ESTUARY "p/estuary" /* of the shard */
#define REMOTE "p/remote"   /* of the test */
#define REMOTE_FEED 77u

struct bench {
    char dir[64];
    struct config cfg;
    struct event_base *base;
    struct shard *shard;
    struct role role;
    struct link router, other; /* the test's ends */
    struct bus bus;            /* of the other shard */
    struct layout layout;
    uint64_t id;
    uint64_t now_ms, ticks_ms; /* the shard's clocks */
    struct buf kept;           /* the last frame, so that its slices stay */
};

static void connect_to(struct bench *b, struct link *link, enum role_kind kind, unsigned index)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    link_close(link);
    shard_peer(b->shard, kind, index, pair[0]);
    link_open(link, b->base, pair[1], 0);
}

static int setup(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    strcpy(b->dir, "/tmp/streamd-test-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    config_init(&b->cfg);
    free(b->cfg.server_data_dir);
    b->cfg.server_data_dir = xstrdup(b->dir);
    b->cfg.fanout_inline_timeout = 300; /* shorter than what is sent again takes */
    layout_init(&b->layout, 2);
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++)
        b->layout.owner[slot] = slot == layout_slot_of_whole(SLICE(REMOTE));
    assert_true(layout_save(b->dir, &b->layout));
    b->shard = xcalloc(1, sizeof *b->shard);
    b->shard->role = &b->role;
    b->base = event_base_new();
    shard_start(b->shard, b->base, &b->cfg, 0);
    b->now_ms = b->shard->now_ms;
    b->ticks_ms = b->shard->ticks_ms;
    bus_open(&b->bus, b->base, b->dir, 1);
    connect_to(b, &b->router, ROLE_ROUTER, 0);
    connect_to(b, &b->other, ROLE_SHARD, 1);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char command[128];
    link_close(&b->router);
    link_close(&b->other);
    bus_close(&b->bus);
    shard_close(b->shard);
    free(b->shard);
    event_base_free(b->base);
    config_clear(&b->cfg);
    buf_clear(&b->kept);
    snprintf(command, sizeof command, "rm -r %s", b->dir);
    free(b);
    return system(command);
}

static void turn(struct bench *b)
{
    link_flush(&b->router);
    link_flush(&b->other);
    event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    shard_turn_at(b->shard, b->now_ms, b->ticks_ms);
}

/* So much time has passed for the shard, and its tick looks at what is due. */
static void pass(struct bench *b, uint64_t ms)
{
    b->now_ms += ms;
    b->ticks_ms += ms;
    b->shard->tick_due = true;
    turn(b);
}

static struct slice keep(struct bench *b, struct slice body)
{
    buf_clear(&b->kept);
    buf_add_slice(&b->kept, body);
    return buf_slice(&b->kept);
}

/* The next frame on a link within some seconds, which has this type. */
static struct slice next(struct bench *b, struct link *link, enum wire_type expected)
{
    for (int i = 0; i < 60000; i++) {
        enum wire_type type;
        struct slice body;
        size_t cursor = 0;
        if (link_next(link, &cursor, &type, &body)) {
            body = keep(b, body);
            link_release(link, cursor);
            assert_string_equal(wire_name(type), wire_name(expected));
            return body;
        }
        turn(b);
        usleep(1000);
        (void)link_receive(link, 1 << 20);
    }
    fail_msg("no %s", wire_name(expected));
    return (struct slice){0};
}

/* Nothing more comes on a link for now. */
static void assert_silent(struct bench *b, struct link *link)
{
    enum wire_type type;
    struct slice body;
    size_t cursor = 0;
    for (int i = 0; i < 20; i++) {
        turn(b);
        usleep(1000);
        (void)link_receive(link, 1 << 20);
        assert_false(link_next(link, &cursor, &type, &body));
    }
}

#define NEXT(name, NAME)                                                                                               \
    static struct wire_##name next_##name(struct bench *b, struct link *link)                                          \
    {                                                                                                                  \
        struct wire_##name m;                                                                                          \
        assert_true(wire_get_##name(next(b, link, WIRE_##NAME), &m));                                                  \
        return m;                                                                                                      \
    }
NEXT(stream, STREAM)
NEXT(appended, APPENDED)
NEXT(attach, ATTACH)
NEXT(attached, ATTACHED)
NEXT(sources, SOURCES)
NEXT(subscribers, SUBSCRIBERS)
NEXT(estuary_state, ESTUARY_STATE)
NEXT(feed_ack, FEED_ACK)
NEXT(probe_feed, PROBE_FEED)
NEXT(feed_closed, FEED_CLOSED)

/* The first DELIVER of the next message on the bus. */
static struct wire_deliver next_deliver(struct bench *b)
{
    for (int i = 0; i < 60000; i++) {
        struct slice message, body;
        enum wire_type type;
        struct wire_deliver m;
        size_t size;
        turn(b);
        b->bus.readable_now = true;
        if (bus_receive(&b->bus, &message)) {
            struct slice received = message;
            message = keep(b, received);
            bus_release(received);
            assert_int_equal(wire_peek(message, &type, &body, &size), WIRE_PEEK_FRAME);
            assert_int_equal(type, WIRE_DELIVER);
            assert_true(wire_get_deliver(body, &m));
            return m;
        }
        usleep(1000);
    }
    fail_msg("no DELIVER");
    return (struct wire_deliver){0};
}

static void create(struct bench *b, const char *name)
{
    struct wire_create m = {.id = ++b->id, .name = slice_str(name), .content_type = SLICE("text/plain")};
    wire_put_create(&b->router.out, &m);
    assert_int_equal(next_stream(b, &b->router).error, ERR_NONE);
}

static void put_append(struct bench *b, const char *data)
{
    struct wire_append m = {.id = ++b->id,
                            .name = SLICE(SOURCE),
                            .content_type = SLICE("text/plain"),
                            .count = strlen(data),
                            .data = slice_str(data)};
    wire_put_append(&b->router.out, &m);
}

static struct wire_attached attach(struct bench *b)
{
    wire_put_attach(&b->other.out, &(struct wire_attach){.id = ++b->id, .source = SLICE(SOURCE), .subscribers = 1});
    return next_attached(b, &b->other);
}

static void put_ack(struct bench *b, const struct wire_deliver *deliver, uint64_t position, unsigned flags)
{
    wire_put_feed_ack(&b->other.out, &(struct wire_feed_ack){.uid = deliver->uid,
                                                             .feed = deliver->feed,
                                                             .attempt = deliver->attempt,
                                                             .flags = (uint8_t)flags,
                                                             .position = position,
                                                             .subscribers = 1,
                                                             .bytes = feed_send_weight(deliver)});
}

static struct feed *the_feed(struct bench *b)
{
    return streams_by_name(&b->shard->streams, SLICE(SOURCE))->feeds;
}

/* ---- the source's side ---- */

static void an_append_is_answered_when_its_subscribers_have_it(void **state)
{
    struct bench *b = *state;
    create(b, SOURCE);
    struct wire_attached attached = attach(b);
    assert_int_equal(attached.error, ERR_NONE);
    assert_int_equal(attached.position, 0);
    put_append(b, "abc");
    struct wire_deliver deliver = next_deliver(b);
    assert_int_equal(deliver.feed, attached.feed);
    assert_int_equal(deliver.start, 0);
    assert_int_equal(deliver.next, 3);
    assert_memory_equal(deliver.data.data, "abc", 3);
    assert_silent(b, &b->router);
    put_ack(b, &deliver, 3, 0);
    struct wire_appended appended = next_appended(b, &b->router);
    assert_int_equal(appended.fanout, WIRE_FANOUT_INLINE);
    assert_int_equal(appended.successes, 1);
    assert_int_equal(appended.failures, 0);
    assert_int_equal(the_feed(b)->row.acked, 3);
    assert_int_equal(b->shard->streams.feeds.peers[1].window.bytes, 0);
}

static void a_lost_delivery_is_sent_again_and_the_append_is_answered_meanwhile(void **state)
{
    struct bench *b = *state;
    create(b, SOURCE);
    (void)attach(b);
    put_append(b, "abc");
    struct wire_deliver first = next_deliver(b);
    assert_silent(b, &b->router);
    pass(b, b->cfg.fanout_inline_timeout);
    struct wire_appended appended = next_appended(b, &b->router);
    assert_int_equal(appended.successes, 0);
    assert_int_equal(appended.failures, 1);
    pass(b, 2000); /* without an answer from the other shard */
    struct wire_deliver second = next_deliver(b);
    assert_true(second.attempt > first.attempt);
    assert_int_equal(second.start, 0);
    put_ack(b, &first, 0, WIRE_FEED_ACK_AGAIN); /* of the earlier attempt: means nothing */
    turn(b);
    put_ack(b, &second, 3, 0);
    turn(b);
    turn(b);
    assert_int_equal(the_feed(b)->row.acked, 3);
}

static void what_came_out_of_order_is_sent_from_where_the_other_side_is(void **state)
{
    struct bench *b = *state;
    create(b, SOURCE);
    (void)attach(b);
    put_append(b, "abc");
    (void)next_deliver(b); /* lost */
    put_append(b, "d");
    struct wire_deliver second = next_deliver(b);
    assert_int_equal(second.start, 3);
    put_ack(b, &second, 0, WIRE_FEED_ACK_AGAIN);
    struct wire_deliver again = next_deliver(b);
    assert_int_equal(again.start, 0);
}

static void a_new_link_starts_over_from_the_last_acknowledgement(void **state)
{
    struct bench *b = *state;
    create(b, SOURCE);
    (void)attach(b);
    put_append(b, "abc");
    struct wire_deliver first = next_deliver(b);
    connect_to(b, &b->other, ROLE_SHARD, 1);
    struct wire_deliver second = next_deliver(b);
    assert_int_equal(second.start, 0);
    assert_true(second.attempt > first.attempt);
}

static void a_feed_that_nobody_wants_is_removed_after_a_probe(void **state)
{
    struct bench *b = *state;
    create(b, SOURCE);
    (void)attach(b);
    put_append(b, "abc");
    struct wire_deliver deliver = next_deliver(b);
    put_ack(b, &deliver, 0, WIRE_FEED_ACK_UNWANTED);
    struct wire_probe_feed probe = next_probe_feed(b, &b->other);
    assert_non_null(the_feed(b)); /* somebody may be about to subscribe */
    deliver.attempt = probe.attempt;
    put_ack(b, &deliver, 0, WIRE_FEED_ACK_UNWANTED | WIRE_FEED_ACK_SURE);
    turn(b);
    turn(b);
    assert_null(the_feed(b));
    assert_int_equal(next_appended(b, &b->router).error, ERR_NONE);
}

static void an_attach_behind_a_probe_keeps_the_feed(void **state)
{
    struct bench *b = *state;
    create(b, SOURCE);
    (void)attach(b);
    put_append(b, "abc");
    struct wire_deliver deliver = next_deliver(b);
    put_ack(b, &deliver, 0, WIRE_FEED_ACK_UNWANTED);
    struct wire_probe_feed probe = next_probe_feed(b, &b->other);
    (void)attach(b);
    deliver.attempt = probe.attempt;
    put_ack(b, &deliver, 0, WIRE_FEED_ACK_UNWANTED | WIRE_FEED_ACK_SURE);
    turn(b);
    turn(b);
    assert_non_null(the_feed(b));
}

static void a_deleted_source_closes_its_feeds_once_they_are_level(void **state)
{
    struct bench *b = *state;
    create(b, SOURCE);
    struct wire_attached attached = attach(b);
    put_append(b, "abc");
    struct wire_deliver deliver = next_deliver(b);
    pass(b, b->cfg.fanout_inline_timeout);
    (void)next_appended(b, &b->router);
    wire_put_delete(&b->router.out, &(struct wire_delete){.id = ++b->id, .name = SLICE(SOURCE)});
    (void)next(b, &b->router, WIRE_STREAM);
    assert_silent(b, &b->other);
    put_ack(b, &deliver, 3, 0);
    struct wire_feed_closed closed = next_feed_closed(b, &b->other);
    assert_int_equal(closed.feed, attached.feed);
}

/* ---- the estuaries' side ---- */

static uint64_t remote_uid(void)
{
    return (uint64_t)layout_slot_of_whole(SLICE(REMOTE)) << LAYOUT_UID_BITS | 1;
}

static struct wire_attach put_subscribe(struct bench *b)
{
    wire_put_subscribe(&b->router.out, &(struct wire_subscribe){
                                           .id = ++b->id, .estuary = SLICE(ESTUARY), .sources = SLICE(REMOTE "\0")});
    return next_attach(b, &b->other);
}

static void put_attached(struct bench *b, uint64_t id)
{
    wire_put_attached(
        &b->other.out,
        &(struct wire_attached){
            .id = id, .uid = remote_uid(), .feed = REMOTE_FEED, .position = 5, .content_type = SLICE("text/plain")});
}

static void put_sourced(struct bench *b, const struct wire_sources *m, struct slice names)
{
    wire_put_sourced(&b->other.out, &(struct wire_sourced){.id = m->id, .step = m->step, .sources = names});
}

static void subscribe(struct bench *b)
{
    struct wire_attach attach = put_subscribe(b);
    assert_int_equal(attach.subscribers, 1);
    put_attached(b, attach.id);
    struct wire_sources sources = next_sources(b, &b->other);
    assert_int_equal(sources.name.len, strlen(REMOTE));
    put_sourced(b, &sources, SLICE(""));
    assert_int_equal(next_subscribers(b, &b->other).subscribers, 1);
    struct wire_estuary_state estuary = next_estuary_state(b, &b->router);
    assert_int_equal(estuary.error, ERR_NONE);
    assert_int_equal(estuary.flags, WIRE_ESTUARY_NEW);
    assert_int_equal(estuary.results.data[0], ERR_NONE);
}

static struct wire_feed_ack deliver(struct bench *b, uint64_t feed, uint64_t start, const char *data)
{
    struct buf frame = {0};
    struct wire_deliver m = {.uid = remote_uid(),
                             .feed = feed,
                             .attempt = 9,
                             .start = start,
                             .next = start + strlen(data),
                             .data = slice_str(data)};
    wire_put_deliver(&frame, &m);
    for (int i = 0; !bus_send(&b->bus, 0, buf_slice(&frame)); i++) { /* the bus is connecting */
        assert_in_range(i, 0, 60000);
        turn(b);
        usleep(1000);
    }
    buf_clear(&frame);
    struct wire_feed_ack ack = next_feed_ack(b, &b->other);
    assert_int_equal(ack.attempt, 9);
    assert_int_equal(ack.bytes, feed_send_weight(&m));
    return ack;
}

static uint64_t estuary_tail(struct bench *b)
{
    return streams_by_name(&b->shard->streams, SLICE(ESTUARY))->tail;
}

static void a_delivery_is_written_once(void **state)
{
    struct bench *b = *state;
    subscribe(b);
    struct wire_feed_ack ack = deliver(b, REMOTE_FEED, 5, "xyz");
    assert_int_equal(ack.flags, 0);
    assert_int_equal(ack.position, 8);
    assert_int_equal(ack.subscribers, 1);
    assert_int_equal(estuary_tail(b), 3);
    ack = deliver(b, REMOTE_FEED, 5, "xyz");
    assert_int_equal(ack.flags, WIRE_FEED_ACK_AGAIN);
    assert_int_equal(ack.position, 8);
    assert_int_equal(estuary_tail(b), 3);
    assert_int_equal(deliver(b, REMOTE_FEED, 9, "z").flags, WIRE_FEED_ACK_AGAIN); /* one was lost in between */
    assert_int_equal(deliver(b, REMOTE_FEED + 1, 8, "z").flags, WIRE_FEED_ACK_UNWANTED);
    assert_int_equal(estuary_tail(b), 3);
}

static void put_probe(struct bench *b)
{
    wire_put_probe_feed(&b->other.out,
                        &(struct wire_probe_feed){.uid = remote_uid(), .feed = REMOTE_FEED, .attempt = 4});
}

static void a_probe_is_answered_by_what_is_subscribed(void **state)
{
    struct bench *b = *state;
    put_probe(b);
    assert_int_equal(next_feed_ack(b, &b->other).flags, WIRE_FEED_ACK_UNWANTED | WIRE_FEED_ACK_SURE);
    subscribe(b);
    put_probe(b);
    struct wire_feed_ack ack = next_feed_ack(b, &b->other);
    assert_int_equal(ack.flags, WIRE_FEED_ACK_AGAIN);
    assert_int_equal(ack.position, 5);
    wire_put_feed_closed(&b->other.out, &(struct wire_feed_closed){.uid = remote_uid(), .feed = REMOTE_FEED});
    assert_int_equal(next_feed_ack(b, &b->other).flags, WIRE_FEED_ACK_UNWANTED | WIRE_FEED_ACK_SURE);
    assert_null(source_find(b->shard, remote_uid()));
}

static void a_deleted_estuary_tells_its_sources(void **state)
{
    struct bench *b = *state;
    subscribe(b);
    wire_put_delete(&b->router.out, &(struct wire_delete){.id = ++b->id, .name = SLICE(ESTUARY)});
    assert_int_equal(next_subscribers(b, &b->other).subscribers, 0);
    assert_int_equal(deliver(b, REMOTE_FEED, 5, "x").flags, WIRE_FEED_ACK_UNWANTED);
}

/* Leaves a source that has ended, which its shard says with this answer. What the source had before still comes. */
static void leave_behind_the_end(struct bench *b, struct wire_attached answer)
{
    subscribe(b);
    wire_put_subscribe(&b->router.out, &(struct wire_subscribe){.id = ++b->id,
                                                                .flags = WIRE_SUBSCRIBE_END,
                                                                .estuary = SLICE(ESTUARY),
                                                                .sources = SLICE(REMOTE "\0")});
    answer.id = next_attach(b, &b->other).id;
    wire_put_attached(&b->other.out, &answer);
    assert_int_equal(next_estuary_state(b, &b->router).results.data[0], ERR_NONE);
    struct wire_feed_ack ack = deliver(b, REMOTE_FEED, 5, "xyz");
    assert_int_equal(ack.flags, 0);
    assert_int_equal(ack.position, 8);
    assert_int_equal(ack.subscribers, 0);
    assert_int_equal(estuary_tail(b), 3);
    wire_put_feed_closed(&b->other.out, &(struct wire_feed_closed){.uid = remote_uid(), .feed = REMOTE_FEED});
    (void)next_feed_ack(b, &b->other);
    assert_null(source_find(b->shard, remote_uid()));
}

static void what_a_deleted_source_had_comes_to_who_leaves_it(void **state)
{
    leave_behind_the_end(*state, (struct wire_attached){.error = ERR_STREAM_GONE});
}

static void so_it_does_if_another_source_has_its_name(void **state)
{
    leave_behind_the_end(*state, (struct wire_attached){.uid = remote_uid() + 1, .position = 2});
}

static void a_subscription_that_closes_a_cycle_is_refused(void **state)
{
    struct bench *b = *state;
    put_attached(b, put_subscribe(b).id);
    for (int walk = 0; walk < 2; walk++) { /* of all sources together, then of this one */
        struct wire_sources sources = next_sources(b, &b->other);
        put_sourced(b, &sources, SLICE(ESTUARY "\0"));
    }
    struct wire_estuary_state estuary = next_estuary_state(b, &b->router);
    assert_int_equal(estuary.results.data[0], ERR_SUBSCRIPTION_CIRCLE);
    assert_int_equal(next_subscribers(b, &b->other).subscribers, 0);
    assert_null(source_find(b->shard, remote_uid()));
}

static void a_question_is_asked_again_over_a_new_link(void **state)
{
    struct bench *b = *state;
    uint64_t id = put_subscribe(b).id;
    connect_to(b, &b->other, ROLE_SHARD, 1);
    assert_int_equal(next_attach(b, &b->other).id, id);
    put_attached(b, id);
    struct wire_sources before = next_sources(b, &b->other);
    connect_to(b, &b->other, ROLE_SHARD, 1);
    struct wire_sources after = next_sources(b, &b->other);
    assert_int_equal(after.id, before.id);
    assert_int_equal(after.step, before.step);
    put_sourced(b, &after, SLICE(""));
    assert_int_equal(next_estuary_state(b, &b->router).results.data[0], ERR_NONE);
}

static void a_subscription_gives_up_on_a_shard_that_does_not_answer(void **state)
{
    struct bench *b = *state;
    put_attached(b, put_subscribe(b).id);
    (void)next_sources(b, &b->other);
    assert_silent(b, &b->router);
    pass(b, b->cfg.router_shard_wait);
    assert_int_equal(next_estuary_state(b, &b->router).error, ERR_SHARD_UNAVAILABLE);
    assert_null(source_find(b->shard, remote_uid()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_append_is_answered_when_its_subscribers_have_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_delivery_is_sent_again_and_the_append_is_answered_meanwhile, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_came_out_of_order_is_sent_from_where_the_other_side_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_link_starts_over_from_the_last_acknowledgement, setup, teardown),
        cmocka_unit_test_setup_teardown(a_feed_that_nobody_wants_is_removed_after_a_probe, setup, teardown),
        cmocka_unit_test_setup_teardown(an_attach_behind_a_probe_keeps_the_feed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deleted_source_closes_its_feeds_once_they_are_level, setup, teardown),
        cmocka_unit_test_setup_teardown(a_delivery_is_written_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_probe_is_answered_by_what_is_subscribed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deleted_estuary_tells_its_sources, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_deleted_source_had_comes_to_who_leaves_it, setup, teardown),
        cmocka_unit_test_setup_teardown(so_it_does_if_another_source_has_its_name, setup, teardown),
        cmocka_unit_test_setup_teardown(a_subscription_that_closes_a_cycle_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_question_is_asked_again_over_a_new_link, setup, teardown),
        cmocka_unit_test_setup_teardown(a_subscription_gives_up_on_a_shard_that_does_not_answer, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
