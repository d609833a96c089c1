/* Long-polls and event streams, from the request to the bytes that their clients get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/router/bench.h"

#define SSE "p/s?offset=-1&live=sse"
#define POLL "p/s?offset=0000000000000000_0000000000000000&live=long-poll"

/* ---- what the shard says ---- */

static void reply(struct bench *b, uint8_t flags, uint64_t from, const char *data)
{
    struct wire_stream m = {.id = b->reads[b->read_count - 1].id,
                            .uid = 7,
                            .flags = flags,
                            .start = from,
                            .next = from + strlen(data),
                            .tail = from + strlen(data),
                            .remaining_ms = UINT64_MAX,
                            .content_type = SLICE("text/plain"),
                            .data = slice_str(data)};
    wire_put_stream(&b->shard.out, &m);
    link_flush(&b->shard);
    turn(b);
    turn(b);
    hear(b);
}

static void event(struct bench *b, uint8_t flags, uint64_t from, const char *data)
{
    struct wire_event m = {.watch = b->reads[0].watch,
                           .flags = flags,
                           .from = from,
                           .next = from + strlen(data),
                           .time_ms = 5,
                           .data = slice_str(data)};
    wire_put_event(&b->shard.out, &m);
    link_flush(&b->shard);
    turn(b);
    turn(b);
    hear(b);
}

/* ---- what a client gets ---- */

/* All that is there for it now. */
static const char *got(struct bench *b, int i)
{
    static char text[16384];
    ssize_t len = recv(b->clients[i], text, sizeof text - 1, MSG_DONTWAIT);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

static void expect_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("%s: not in %s", part, text);
}

static void expect_closed(struct bench *b, int i)
{
    char byte;
    assert_int_equal(recv(b->clients[i], &byte, 1, MSG_DONTWAIT), 0);
}

/* ---- event streams ---- */

static void an_event_stream_begins_with_what_is_there(void **state)
{
    struct bench *b = *state;
    ask(b, 0, 1, SSE, "");
    assert_int_equal(b->read_count, 1);
    assert_true(b->reads[0].watch != 0);
    assert_int_equal(b->reads[0].flags & (WIRE_READ_WAIT | WIRE_READ_CUT), WIRE_READ_CUT);
    reply(b, WIRE_STREAM_WATCHING, 0, "ab");
    const char *text = got(b, 0);
    expect_in(text, "HTTP/1.1 200 ");
    expect_in(text, "Content-Type: text/event-stream\r\n");
    expect_in(text, "Transfer-Encoding: chunked\r\n");
    expect_in(text, "event: data\ndata:ab\n\nevent: control\n");
    expect_in(text, "\"upToDate\":true");
    event(b, 0, 2, "cd");
    expect_in(got(b, 0), "event: data\ndata:cd\n\nevent: control\n");
    assert_int_equal(b->read_count, 1);
}

static void all_readers_get_the_same_event(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 20; i++) {
        ask(b, i, i + 1, SSE, "");
        reply(b, WIRE_STREAM_WATCHING, 0, "ab");
        (void)got(b, i);
    }
    event(b, 0, 2, "cd");
    for (int i = 0; i < 20; i++)
        expect_in(got(b, i), "data:cd\n");
    assert_int_equal(b->router->live.entries.count, 1);
}

static void one_that_is_behind_reads_page_after_page(void **state)
{
    struct bench *b = *state;
    ask(b, 0, 1, SSE, "");
    reply(b, 0, 0, "ab"); /* the shard does not watch for it yet */
    assert_int_equal(b->read_count, 2);
    assert_int_equal(b->reads[1].position, 2);
    reply(b, WIRE_STREAM_WATCHING, 2, "cd");
    const char *text = got(b, 0);
    expect_in(text, "data:ab\n");
    expect_in(text, "data:cd\n");
    assert_int_equal(b->read_count, 2);
}

static void without_chunks_the_end_of_the_connection_ends_it(void **state)
{
    struct bench *b = *state;
    static const char request[] = "GET /v1/stream/" SSE " HTTP/1.0\r\n\r\n";
    call_up(b, 0);
    assert_int_equal(send(b->clients[0], request, sizeof request - 1, 0), sizeof request - 1);
    turn(b);
    hear(b);
    reply(b, WIRE_STREAM_WATCHING, 0, "ab");
    const char *text = got(b, 0);
    expect_in(text, "\r\n\r\nevent: data\ndata:ab\n");
    assert_null(strstr(text, "Transfer-Encoding"));
    event(b, WIRE_EVENT_CLOSED, 2, "");
    expect_in(got(b, 0), "\"streamClosed\":true");
    turn(b);
    expect_closed(b, 0);
}

static void a_stream_that_closes_ends_it_as_a_whole(void **state)
{
    struct bench *b = *state;
    ask(b, 0, 1, SSE, "");
    reply(b, WIRE_STREAM_WATCHING, 0, "ab");
    (void)got(b, 0);
    event(b, WIRE_EVENT_CLOSED, 2, "cd");
    const char *text = got(b, 0);
    expect_in(text, "data:cd\n");
    expect_in(text, "\"streamClosed\":true");
    expect_in(text, "\r\n0\r\n\r\n");
    assert_int_equal(b->unwatched, 1);
    assert_int_equal(b->router->live.entries.count, 0);
    ask(b, 0, 1, "p/s?offset=-1", ""); /* the connection goes on */
    assert_int_equal(b->read_count, 2);
}

static void one_that_hangs_up_is_gone(void **state)
{
    struct bench *b = *state;
    ask(b, 0, 1, SSE, "");
    reply(b, WIRE_STREAM_WATCHING, 0, "ab");
    hang_up(b, 0);
    turn(b);
    turn(b);
    hear(b);
    assert_int_equal(b->unwatched, 1);
    assert_int_equal(b->router->connections.count, 0);
    assert_int_equal(b->router->live.entries.count, 0);
}

/* ---- long-polls ---- */

static void a_long_poll_waits_for_the_next_event(void **state)
{
    struct bench *b = *state;
    ask(b, 0, 3, POLL, "");
    assert_int_equal(b->read_count, 3);
    assert_int_equal(b->reads[0].flags & (WIRE_READ_WAIT | WIRE_READ_CUT), WIRE_READ_WAIT);
    for (size_t i = 3; i > 0; i--) {
        b->read_count = i;
        reply(b, WIRE_STREAM_WATCHING, 0, "");
    }
    expect_nothing(b, 0);
    event(b, 0, 0, "hello");
    for (int i = 0; i < 3; i++)
        expect(b, i, 200, "hello");
    assert_int_equal(b->unwatched, 1);
}

static void a_long_poll_with_data_is_answered_at_once(void **state)
{
    struct bench *b = *state;
    ask(b, 0, 1, POLL, "");
    reply(b, 0, 0, "there");
    expect(b, 0, 200, "there");
    assert_int_equal(b->router->live.entries.count, 0);
}

static void one_with_a_limit_reads_for_itself(void **state)
{
    struct bench *b = *state;
    ask(b, 0, 1, POLL "&limit=1", "");
    reply(b, WIRE_STREAM_WATCHING, 0, "");
    event(b, 0, 0, "onetwo");
    assert_int_equal(b->read_count, 2);
    assert_int_equal(b->reads[1].max_messages, 1);
    reply(b, 0, 0, "one");
    expect(b, 0, 200, "one");
}

static void a_closed_stream_is_204(void **state)
{
    struct bench *b = *state;
    ask(b, 0, 1, POLL, "");
    reply(b, WIRE_STREAM_WATCHING, 0, "");
    event(b, WIRE_EVENT_CLOSED, 0, "");
    const char *text = got(b, 0);
    expect_in(text, "HTTP/1.1 204 ");
    expect_in(text, "Stream-Closed: true\r\n");
}

static void a_deleted_stream_is_404_or_the_end(void **state)
{
    struct bench *b = *state;
    ask(b, 0, 1, POLL, "");
    reply(b, WIRE_STREAM_WATCHING, 0, "");
    ask(b, 1, 2, SSE, "");
    reply(b, WIRE_STREAM_WATCHING, 0, "");
    (void)got(b, 1);
    event(b, WIRE_EVENT_DELETED, 0, "");
    expect(b, 0, 404, NULL);
    expect_in(got(b, 1), "\"streamDeleted\":true}\n"); /* and then the end */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_stream_begins_with_what_is_there), TEST(all_readers_get_the_same_event),
        TEST(one_that_is_behind_reads_page_after_page),  TEST(without_chunks_the_end_of_the_connection_ends_it),
        TEST(a_stream_that_closes_ends_it_as_a_whole),   TEST(one_that_hangs_up_is_gone),
        TEST(a_long_poll_waits_for_the_next_event),      TEST(a_long_poll_with_data_is_answered_at_once),
        TEST(one_with_a_limit_reads_for_itself),         TEST(a_closed_stream_is_204),
        TEST(a_deleted_stream_is_404_or_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
