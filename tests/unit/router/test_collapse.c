/* A router in this process, and its clients and its shard with it: how many READs leave it, and for whom each answer
 * is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/router/bench.h"

#define AT_ONCE 4 /* as in router/live/collapse.c */

/* ---- tests ---- */

static void what_comes_together_is_one_read(void **state)
{
    struct bench *b = *state;
    ask(b, 0, CLIENTS, "p/s?offset=-1", "");
    assert_int_equal(b->read_count, 1);
    assert_int_equal(b->router->collapse.questions.count, 1);
    tell(b, 0, ERR_NONE, SLICE("hello"));
    for (int i = 0; i < CLIENTS; i++)
        expect(b, i, 200, "hello");
    assert_int_equal(b->read_count, 1);
    ask(b, 0, 1, "p/s?offset=-1", ""); /* what is over is not remembered */
    assert_int_equal(b->read_count, 2);
    tell(b, 1, ERR_STREAM_NOT_FOUND, SLICE(""));
    expect(b, 0, 404, NULL);
}

static void a_read_that_has_left_is_not_joined(void **state)
{
    struct bench *b = *state;
    int i = 0;
    for (; i < AT_ONCE; i++) {
        ask(b, i, i + 1, "p/s?offset=-1", "");
        assert_int_equal(b->read_count, i + 1);
    }
    for (; i < 100; i++)
        ask(b, i, i + 1, "p/s?offset=-1", "");
    assert_int_equal(b->read_count, AT_ONCE);
    tell(b, 1, ERR_NONE, SLICE("second")); /* nobody waits for this one */
    assert_int_equal(b->read_count, AT_ONCE);
    expect(b, 1, 200, "second");
    tell(b, 0, ERR_NONE, SLICE("first"));
    expect(b, 0, 200, "first");
    assert_int_equal(b->read_count, AT_ONCE + 1);
    expect_nothing(b, 50);
    tell(b, AT_ONCE, ERR_NONE, SLICE("new"));
    for (i = AT_ONCE; i < 100; i++)
        expect(b, i, 200, "new");
    tell(b, 2, ERR_NONE, SLICE("third"));
    tell(b, 3, ERR_NONE, SLICE("fourth"));
    expect(b, 2, 200, "third");
    expect(b, 3, 200, "fourth");
    assert_int_equal(b->read_count, AT_ONCE + 1);
}

static void what_is_not_the_same_is_not_shared(void **state)
{
    struct bench *b = *state;
    static const char *const paths[] = {"p/s",
                                        "p/t",
                                        "q/s",
                                        "p/s?limit=1",
                                        "p/s?offset=now",
                                        "p/s?offset=0000000000000000_0000000000000000",
                                        "p/s?offset=0000000000000000_0000000000000001"};
    const size_t count = sizeof paths / sizeof paths[0];
    for (size_t i = 0; i < count; i++) {
        ask(b, (int)i, (int)i + 1, paths[i], "");
        assert_int_equal(b->read_count, i + 1);
    }
    for (size_t i = 0; i < count; i++)
        tell(b, i, ERR_NONE, slice_str(paths[i]));
    for (size_t i = 0; i < count; i++)
        expect(b, (int)i, 200, paths[i]);
}

/* A refusal of one incarnation is no answer to those who ask for another, or for any. */
static void different_conditions_are_not_shared(void **state)
{
    static const char *const headers[] = {"", "Stream-Incarnation: 0\r\n", "Stream-Incarnation: 7\r\n"};
    struct bench *b = *state;
    for (int i = 0; i < 3; i++) {
        ask(b, i, i + 1, "p/s", headers[i]);
        assert_int_equal(b->read_count, i + 1);
        assert_int_equal(b->reads[i].condition.flags, i ? WIRE_IF_LIFE : 0);
    }
    assert_int_equal(b->reads[2].condition.life, 7);
    tell(b, 2, ERR_PRECONDITION_FAILED, SLICE(""));
    tell(b, 1, ERR_NONE, SLICE("one"));
    tell(b, 0, ERR_NONE, SLICE("any"));
    expect(b, 2, 412, NULL);
    expect(b, 1, 200, "one");
    expect(b, 0, 200, "any");
}

static void each_gets_the_answer_to_its_own_headers(void **state)
{
    struct bench *b = *state;
    ask(b, 0, 1, "p/s", "");
    tell(b, 0, ERR_NONE, SLICE("text"));
    expect(b, 0, 200, "text");
    for (int i = 0; i < AT_ONCE; i++)
        ask(b, i, i + 1, "p/s", "");
    ask(b, 10, 11, "p/s", "If-None-Match: \"0:0:4\"\r\n");
    ask(b, 11, 12, "p/s?offset=-1&other=x", "");
    ask(b, 12, 13, "p/s", "If-None-Match: \"0:0:3\"\r\nConnection: close\r\n");
    tell(b, 1, ERR_NONE, SLICE("text"));
    assert_int_equal(b->read_count, 1 + AT_ONCE + 1);
    tell(b, 1 + AT_ONCE, ERR_NONE, SLICE("text"));
    expect(b, 10, 304, "");
    expect(b, 11, 200, "text");
    expect(b, 12, 200, "text");
    for (size_t i = 2; i <= AT_ONCE; i++)
        tell(b, i, ERR_NONE, SLICE("text"));
}

static void a_long_page_is_there_once(void **state)
{
    struct bench *b = *state;
    size_t len = (size_t)1 << 20;
    char *page = xmalloc(len);
    memset(page, 'x', len);
    ask(b, 0, CLIENTS, "p/s", "");
    assert_int_equal(b->read_count, 1);
    wire_put_stream(&b->shard.out, &(struct wire_stream){.id = b->reads[0].id,
                                                         .next = len,
                                                         .tail = len,
                                                         .remaining_ms = UINT64_MAX,
                                                         .content_type = SLICE("text/plain"),
                                                         .data = slice_of(page, len)});
    for (int i = 0; i < 100 && !b->router->outputs.block_bytes; i++) {
        link_flush(&b->shard);
        turn(b);
    }
    for (int i = 0; i < 20; i++) {
        link_flush(&b->shard);
        turn(b);
    }
    assert_int_equal(b->router->collapse.questions.count, 0);
    assert_in_range(b->router->outputs.block_bytes, len, len + CLIENTS * 1200);
    free(page);
}

/* ---- answers that are joined ---- */

static void small_pages(struct bench *b)
{
    assert_int_equal(config_set(&b->cfg, "limits.read_page=1K", stderr), 0);
    assert_int_equal(config_set(&b->cfg, "limits.read_answer=4K", stderr), 0);
}

/* A page of 1,000 bytes, of a stream that goes on up to 10,000. */
static void tell_page(struct bench *b, size_t read, uint64_t uid, uint64_t start)
{
    char data[1000];
    memset(data, (int)('a' + start / 1000), sizeof data);
    wire_put_stream(&b->shard.out, &(struct wire_stream){.id = b->reads[read].id,
                                                         .uid = uid,
                                                         .start = start,
                                                         .next = start + 1000,
                                                         .tail = 10000,
                                                         .remaining_ms = UINT64_MAX,
                                                         .content_type = SLICE("text/plain"),
                                                         .data = slice_of(data, sizeof data)});
    link_flush(&b->shard);
    turn(b);
    turn(b);
    hear(b);
}

/* The client has got an answer with these pages. */
static void expect_pages(struct bench *b, int i, const char *letters)
{
    char body[5000] = "";
    for (size_t at = 0; letters[at]; at++)
        memset(body + at * 1000, letters[at], 1000);
    expect(b, i, 200, body);
}

static void pages_are_joined_up_to_a_limit(void **state)
{
    struct bench *b = *state;
    small_pages(b);
    ask(b, 0, 2, "p/s?offset=-1", "");
    assert_true(b->reads[0].flags & WIRE_READ_EARLIEST);
    for (uint64_t page = 0; page < 4; page++) {
        assert_int_equal(b->read_count, page + 1);
        assert_int_equal(b->reads[page].position, page * 1000);
        assert_int_equal(b->reads[page].max_bytes, 1024);
        expect_nothing(b, 0);
        tell_page(b, page, 7, page * 1000);
    }
    assert_false(b->reads[1].flags & WIRE_READ_EARLIEST);
    expect_pages(b, 0, "abcd");
    expect_pages(b, 1, "abcd");
    assert_int_equal(b->read_count, 4);
    assert_int_equal(b->router->collapse.questions.count, 0);
}

static void joined_pages_are_one_array(void **state)
{
    struct bench *b = *state;
    static const char *const pages[] = {"123,", "2,", "1,"};
    small_pages(b);
    ask(b, 0, 1, "p/s", "");
    for (uint64_t page = 0; page < 3; page++) {
        wire_put_stream(&b->shard.out, &(struct wire_stream){.id = b->reads[page].id,
                                                             .uid = 7,
                                                             .start = page,
                                                             .next = page + 1,
                                                             .tail = 3,
                                                             .remaining_ms = UINT64_MAX,
                                                             .flags = WIRE_STREAM_JSON,
                                                             .content_type = SLICE("application/json"),
                                                             .data = slice_str(pages[page])});
        link_flush(&b->shard);
        turn(b);
        turn(b);
        hear(b);
    }
    expect(b, 0, 200, "[123,2,1]");
}

static void whoever_limits_messages_gets_a_page(void **state)
{
    struct bench *b = *state;
    small_pages(b);
    ask(b, 0, 1, "p/s?limit=5", "");
    tell_page(b, 0, 7, 0);
    expect_pages(b, 0, "a");
}

static void a_page_that_cannot_be_had_takes_no_other_with_it(void **state)
{
    struct bench *b = *state;
    small_pages(b);
    ask(b, 0, 1, "p/s?offset=-1", "");
    tell_page(b, 0, 7, 0);
    tell_page(b, 1, 7, 1000);
    tell(b, 2, ERR_SEGMENT_MISSING, SLICE(""));
    expect_nothing(b, 0);
    assert_int_equal(b->read_count, 4);
    assert_true(b->reads[3].flags & WIRE_READ_EARLIEST);
    tell_page(b, 3, 7, 0);
    expect_pages(b, 0, "a");
    assert_int_equal(b->read_count, 4);
}

static void pages_of_two_streams_are_not_joined(void **state)
{
    struct bench *b = *state;
    small_pages(b);
    ask(b, 0, 1, "p/s?offset=-1", "");
    tell_page(b, 0, 7, 0);
    tell(b, 1, ERR_STREAM_RECREATED, SLICE("")); /* it was deleted and made again meanwhile */
    expect_nothing(b, 0);
    assert_int_equal(b->read_count, 3);
    tell_page(b, 2, 8, 0);
    expect_pages(b, 0, "a");
}

static void answers_are_not_joined_where_memory_is_scarce(void **state)
{
    struct bench *b = *state;
    small_pages(b);
    assert_int_equal(config_set(&b->cfg, "router.answer_memory=1M", stderr), 0);
    struct block *waiting = block_new(&b->router->outputs, (size_t)600 << 10);
    ask(b, 0, 1, "p/s?offset=-1", "");
    tell_page(b, 0, 7, 0);
    expect_pages(b, 0, "a");
    block_unref(waiting);
    ask(b, 0, 1, "p/s?offset=-1", "");
    tell_page(b, 1, 7, 0);
    expect_nothing(b, 0);
    tell(b, 2, ERR_STREAM_NOT_FOUND, SLICE(""));
    tell(b, 3, ERR_STREAM_NOT_FOUND, SLICE(""));
    expect(b, 0, 404, NULL);
}

static void those_behind_a_joined_answer_are_next(void **state)
{
    struct bench *b = *state;
    small_pages(b);
    for (int i = 0; i < AT_ONCE; i++)
        ask(b, i, i + 1, "p/s?offset=-1", "");
    ask(b, 10, 20, "p/s?offset=-1", "");
    assert_int_equal(b->read_count, AT_ONCE);
    tell_page(b, 0, 7, 0);
    hang_up(b, 0); /* in the middle of it */
    turn(b);
    turn(b);
    hear(b);
    assert_int_equal(b->read_count, AT_ONCE + 2);
    assert_int_equal(b->reads[AT_ONCE + 1].position, 0);
    tell(b, AT_ONCE + 1, ERR_NONE, SLICE("short"));
    for (int i = 10; i < 20; i++)
        expect(b, i, 200, "short");
    for (size_t i = 1; i < AT_ONCE; i++)
        tell(b, i, ERR_NONE, SLICE("short"));
}

static void nobody_waits_for_those_who_leave(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < AT_ONCE; i++)
        ask(b, i, i + 1, "p/s", "");
    ask(b, 10, 20, "p/s", "");
    assert_int_equal(b->read_count, AT_ONCE);
    for (int i = 10; i < 15; i++)
        hang_up(b, i);
    hang_up(b, 1);
    turn(b);
    hear(b);
    assert_int_equal(b->read_count, AT_ONCE);
    hang_up(b, 0); /* those who gathered were behind this one */
    turn(b);
    hear(b);
    assert_int_equal(b->read_count, AT_ONCE + 1);
    tell(b, 0, ERR_NONE, SLICE("for nobody"));
    tell(b, AT_ONCE, ERR_NONE, SLICE("rest"));
    for (int i = 15; i < 20; i++)
        expect(b, i, 200, "rest");
    for (int i = 1; i < AT_ONCE; i++)
        tell(b, (size_t)i, ERR_NONE, SLICE("own"));
    expect(b, 2, 200, "own");
    assert_int_equal(b->router->collapse.questions.count, 0);
}

static void a_dead_shards_successor_is_asked(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < AT_ONCE; i++)
        ask(b, i, i + 1, "p/s", "");
    ask(b, 10, 20, "p/s", "");
    link_close(&b->shard);
    turn(b);
    turn(b);
    b->read_count = 0;
    shard_up(b);
    turn(b);
    hear(b);
    assert_int_equal(b->read_count, AT_ONCE);
    for (size_t i = 0; i < AT_ONCE; i++)
        tell(b, i, ERR_NONE, SLICE("again"));
    assert_int_equal(b->read_count, AT_ONCE + 1);
    tell(b, AT_ONCE, ERR_NONE, SLICE("later"));
    expect(b, 0, 200, "again");
    for (int i = 10; i < 20; i++)
        expect(b, i, 200, "later");
}

static void a_shard_that_stays_away_is_503_for_all(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < AT_ONCE; i++)
        ask(b, i, i + 1, "p/s", "");
    ask(b, 10, 200, "p/s", "");
    shard_wait(b, "100ms");
    link_close(&b->shard);
    while (b->router->collapse.questions.count) { /* however slow the machine is */
        turn(b);
        usleep(10000);
    }
    shard_wait(b, "1m");
    expect(b, 0, 503, NULL);
    for (int i = 10; i < 200; i++)
        expect(b, i, 503, NULL);
    for (int i = 200; i < CLIENTS; i++) { /* all of them wait in the queue, and are joined there */
        ask(b, i, i + 1, "p/s", "");
        assert_int_equal(b->router->collapse.questions.count, 1);
    }
    shard_up(b);
    turn(b);
    b->read_count = 0;
    hear(b);
    assert_int_equal(b->read_count, 1);
    tell(b, 0, ERR_NONE, SLICE("back"));
    for (int i = 200; i < CLIENTS; i++)
        expect(b, i, 200, "back");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_comes_together_is_one_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_read_that_has_left_is_not_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_the_same_is_not_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(different_conditions_are_not_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(each_gets_the_answer_to_its_own_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_page_is_there_once, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_are_joined_up_to_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(joined_pages_are_one_array, setup, teardown),
        cmocka_unit_test_setup_teardown(whoever_limits_messages_gets_a_page, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_that_cannot_be_had_takes_no_other_with_it, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_of_two_streams_are_not_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_are_not_joined_where_memory_is_scarce, setup, teardown),
        cmocka_unit_test_setup_teardown(those_behind_a_joined_answer_are_next, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_waits_for_those_who_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dead_shards_successor_is_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_shard_that_stays_away_is_503_for_all, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
