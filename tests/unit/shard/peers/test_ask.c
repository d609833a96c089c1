/* Questions to other shards: put, put again, answered, given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/peers/ask.h"
#include "shard/peers/peers.h"

#define HERE 0 /* the only shard that can be reached without a link */
#define AWAY 1

struct question {
    struct ask ask;
    unsigned put, expired, dropped;
};

struct bench {
    struct peers peers;
    struct asks asks;
    struct question one, two;
};

static struct question *question_of(const struct ask *ask)
{
    return (struct question *)(uintptr_t)LIST_OWNER(ask, const struct question, ask);
}

static void put(const struct ask *ask, struct buf *out)
{
    wire_put_fetch(out, &(struct wire_fetch){.id = ask->id});
    question_of(ask)->put++;
}

static void expired(void *ctx, struct ask *ask)
{
    assert_non_null(ctx);
    question_of(ask)->expired++;
}

static void drop(struct ask *ask)
{
    question_of(ask)->dropped++;
}

static const struct ask_kind kind = {.most = 2, .put = put, .expired = expired, .drop = drop};

static void begin(struct bench *b)
{
    *b = (struct bench){.peers = {.index = HERE}};
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        link_close(&b->peers.shards[i].link);
    asks_init(&b->asks, &kind, &b->peers, b);
}

static void end(struct bench *b)
{
    asks_clear(&b->asks);
    buf_clear(&b->peers.self);
}

static void test_an_answer_finds_its_question(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    ask_begin(&b.asks, &b.one.ask, HERE, 100);
    ask_begin(&b.asks, &b.two.ask, HERE, 100);
    assert_true(b.one.put == 1 && b.two.put == 1);
    assert_ptr_equal(ask_find(&b.asks, b.two.ask.id, HERE), &b.two.ask);
    assert_null(ask_find(&b.asks, b.two.ask.id, AWAY));
    assert_null(ask_find(&b.asks, b.two.ask.id + 1, HERE));
    ask_end(&b.asks, &b.two.ask);
    assert_null(ask_find(&b.asks, b.two.ask.id, HERE));
    end(&b);
    assert_true(b.one.dropped == 1 && !b.two.dropped);
}

static void test_a_shard_that_is_away_is_asked_when_it_comes(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    ask_begin(&b.asks, &b.one.ask, AWAY, 100);
    assert_int_equal(b.one.put, 0);
    b.peers.shards[AWAY].link.fd = 1000; /* as good as up: nothing is flushed */
    asks_shard_up(&b.asks, HERE);
    assert_int_equal(b.one.put, 0);
    asks_shard_up(&b.asks, AWAY);
    asks_shard_up(&b.asks, AWAY); /* its next process */
    assert_int_equal(b.one.put, 2);
    assert_non_null(ask_find(&b.asks, b.one.ask.id, AWAY));
    buf_clear(&b.peers.shards[AWAY].link.out);
    end(&b);
}

static void test_a_late_answer_to_an_earlier_question_is_nobodys(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    ask_begin(&b.asks, &b.one.ask, HERE, 100);
    uint64_t before = b.one.ask.id;
    ask_next(&b.asks, &b.one.ask, HERE);
    assert_null(ask_find(&b.asks, before, HERE));
    assert_ptr_equal(ask_find(&b.asks, b.one.ask.id, HERE), &b.one.ask);
    assert_int_equal(b.one.ask.deadline_ms, 100);
    end(&b);
}

static void test_time_runs_out_in_the_order_of_deadlines(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    ask_begin(&b.asks, &b.one.ask, AWAY, 200);
    ask_begin(&b.asks, &b.two.ask, AWAY, 100); /* of something that began earlier */
    asks_tick(&b.asks, 99);
    assert_true(!b.one.expired && !b.two.expired);
    asks_tick(&b.asks, 100);
    assert_true(!b.one.expired && b.two.expired == 1);
    assert_null(ask_find(&b.asks, b.two.ask.id, AWAY));
    asks_tick(&b.asks, 300);
    assert_true(b.one.expired == 1 && b.two.expired == 1);
    end(&b);
    assert_true(!b.one.dropped && !b.two.dropped);
}

static void test_there_is_a_limit(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    ask_begin(&b.asks, &b.one.ask, AWAY, 100);
    assert_false(asks_full(&b.asks));
    ask_begin(&b.asks, &b.two.ask, AWAY, 100);
    assert_true(asks_full(&b.asks));
    ask_end(&b.asks, &b.one.ask);
    assert_false(asks_full(&b.asks));
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_finds_its_question),
        cmocka_unit_test(test_a_shard_that_is_away_is_asked_when_it_comes),
        cmocka_unit_test(test_a_late_answer_to_an_earlier_question_is_nobodys),
        cmocka_unit_test(test_time_runs_out_in_the_order_of_deadlines),
        cmocka_unit_test(test_there_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
