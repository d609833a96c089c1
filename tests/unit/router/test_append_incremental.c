/* Incremental appends: which pieces the shard gets, when, and what their clients are answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/lives.h"
#include "tests/unit/router/bench.h"

#define TEXT "Content-Type: text/plain\r\n"
#define JSON "Content-Type: application/json\r\n"

/* A turn without the passing of time. */
static void step(struct bench *b)
{
    for (int i = 0; i < 3; i++)
        turn(b);
    hear(b);
}

static void say(struct bench *b, const char *text)
{
    assert_int_equal(send(b->clients[0], text, strlen(text), 0), strlen(text));
    step(b);
}

static void chunk(struct bench *b, const char *text)
{
    char line[300];
    snprintf(line, sizeof line, "%zx\r\n%s\r\n", strlen(text), text);
    say(b, line);
}

static void begin(struct bench *b, const char *headers)
{
    char text[300];
    snprintf(text, sizeof text,
             "POST /v1/stream/p/s HTTP/1.1\r\nHost: x\r\nStream-Append: incremental\r\nTransfer-Encoding: chunked\r\n"
             "%s\r\n",
             headers);
    call_up(b, 0);
    say(b, text);
}

/* The shard says how the stream is. */
static void look(struct bench *b, uint64_t uid, uint32_t flags, uint64_t tail)
{
    const struct wire_stream m = {.id = b->reads[b->read_count - 1].id,
                                  .uid = uid,
                                  .flags = flags,
                                  .start = tail,
                                  .next = tail,
                                  .tail = tail,
                                  .remaining_ms = UINT64_MAX,
                                  .content_type = SLICE("text/plain")};
    wire_put_stream(&b->shard.out, &m);
    link_flush(&b->shard);
    step(b);
}

static void answer(struct bench *b, enum error error, uint8_t flags, uint64_t tail)
{
    const struct wire_appended m = {
        .id = b->appends[b->append_count - 1].id, .error = (uint8_t)error, .flags = flags, .tail = tail};
    wire_put_appended(&b->shard.out, &m);
    link_flush(&b->shard);
    step(b);
}

static void event(struct bench *b, uint8_t flags, uint64_t tail)
{
    const struct wire_event m = {.watch = b->reads[0].watch, .flags = flags, .from = tail, .next = tail};
    wire_put_event(&b->shard.out, &m);
    link_flush(&b->shard);
    step(b);
}

static void expect_piece(struct bench *b, size_t count, const char *data)
{
    assert_int_equal(b->append_count, count);
    assert_string_equal(b->appended[count - 1], data);
}

static void expect_answer(struct bench *b, const char *status, const char *header)
{
    char got[2000];
    ssize_t len = recv(b->clients[0], got, sizeof got - 1, MSG_DONTWAIT);
    assert_true(len > 0);
    got[len] = '\0';
    if (!strstr(got, status) || !strstr(got, header))
        fail_msg("%s, %s: not in %s", status, header, got);
}

/* The piece that waits becomes due. */
static void pass_delay(struct bench *b)
{
    assert_true(evtimer_pending(b->router->incrementals.timer, NULL));
    ((struct deadline *)deadline_first(&b->router->deadlines, DEADLINE_PIECE))->at_ms = 0;
    step(b);
}

static void set(struct bench *b, const char *assignment)
{
    assert_int_equal(config_set(&b->cfg, assignment, stderr), 0);
}

/* ---- pieces ---- */

static void the_first_bytes_leave_at_once(void **state)
{
    struct bench *b = *state;
    set(b, "append.piece_delay=10s");
    begin(b, TEXT "Stream-Seq: a\r\nStream-Closed: true\r\n");
    assert_int_equal(b->read_count, 1);
    assert_int_equal(b->reads[0].flags & WIRE_READ_NOW, WIRE_READ_NOW);
    look(b, 7, WIRE_STREAM_WATCHING, 5);
    assert_int_equal(b->append_count, 0);
    chunk(b, "one");
    expect_piece(b, 1, "one");
    assert_int_equal(b->appends[0].count, 3);
    assert_int_equal(b->appends[0].flags, WIRE_APPEND_STREAM_SEQ);
    /* later ones wait for the piece that is under way, and for their time */
    chunk(b, "two");
    chunk(b, "three");
    assert_int_equal(b->append_count, 1);
    answer(b, ERR_NONE, 0, 8);
    assert_int_equal(b->append_count, 1);
    pass_delay(b);
    expect_piece(b, 2, "twothree");
    assert_int_equal(b->appends[1].flags, 0);
    answer(b, ERR_NONE, 0, 16);
    chunk(b, "four");
    say(b, "0\r\n\r\n");
    expect_piece(b, 3, "four");
    assert_int_equal(b->appends[2].flags, WIRE_APPEND_CLOSE);
    event(b, WIRE_EVENT_CLOSED, 20);
    expect_nothing(b, 0);
    answer(b, ERR_NONE, WIRE_APPENDED_CLOSED, 20);
    expect_answer(b, "HTTP/1.1 204 ", "Stream-Next-Offset: 0000000000000000_0000000000000020\r\nStream-Closed: true");
    assert_int_equal(b->router->connections.count, 1);
    assert_int_equal(b->router->live.entries.count, 0);
    assert_int_equal(b->unwatched, 1);
}

static void many_bytes_do_not_wait(void **state)
{
    struct bench *b = *state;
    set(b, "append.piece_delay=10s");
    set(b, "append.piece_bytes=4");
    begin(b, TEXT);
    chunk(b, "1");
    answer(b, ERR_NONE, 0, 1);
    chunk(b, "23");
    assert_int_equal(b->append_count, 1);
    chunk(b, "45");
    expect_piece(b, 2, "2345");
    /* no more is read than so many pieces while one is under way */
    for (int i = 0; i < 16; i++)
        chunk(b, "6789");
    assert_true(b->router->connections.first->body_paused);
    answer(b, ERR_NONE, 0, 5);
    assert_false(b->router->connections.first->body_paused);
    assert_int_equal(b->append_count, 3);
    assert_int_equal(b->appends[2].count, 64);
    assert_int_equal(b->router->connections.body_bytes, 0);
}

static void lines_wait_for_their_ends(void **state)
{
    struct bench *b = *state;
    set(b, "append.piece_delay=10s");
    begin(b, JSON);
    chunk(b, "{\"a\"");
    assert_int_equal(b->append_count, 0);
    assert_false(evtimer_pending(b->router->incrementals.timer, NULL));
    chunk(b, ":1}\n[2,3]\n{");
    expect_piece(b, 1, "{\"a\":1},2,3,");
    assert_int_equal(b->appends[0].count, 3);
    assert_int_equal(b->marks[0], 3);
    answer(b, ERR_NONE, 0, 3);
    chunk(b, "}");
    assert_int_equal(b->append_count, 1);
    say(b, "0\r\n\r\n");
    expect_piece(b, 2, "{},");
    assert_int_equal(b->marks[1], 0);
    answer(b, ERR_NONE, 0, 4);
    expect_answer(b, "HTTP/1.1 204 ", "_0000000000000004");
}

static void a_wrong_line_ends_it_behind_the_good_ones(void **state)
{
    struct bench *b = *state;
    begin(b, JSON);
    chunk(b, "1\n\nx\n2\n");
    expect_piece(b, 1, "1,");
    chunk(b, "3\n");
    expect_nothing(b, 0);
    answer(b, ERR_NONE, 0, 1);
    expect_answer(b, "HTTP/1.1 400 ", "_0000000000000001");
    assert_int_equal(b->append_count, 1);
    assert_int_equal(b->router->connections.first->state, CONNECTION_LINGERING);
}

/* ---- ends ---- */

static void a_close_ends_it_at_once(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT);
    look(b, 7, WIRE_STREAM_WATCHING, 5);
    event(b, WIRE_EVENT_CLOSED, 9);
    expect_answer(b, "HTTP/1.1 409 ",
                  "Stream-Closed: true\r\nETag: \"0000000000000000_0000000000000009\"\r\nStream-Incarnation: 0\r\n"
                  "Stream-Next-Offset: 0000000000000000_0000000000000009");
}

/* The piece that is under way may have been before the close. */
static void a_close_waits_for_the_piece_under_way(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT);
    look(b, 7, WIRE_STREAM_WATCHING, 5);
    chunk(b, "one");
    event(b, WIRE_EVENT_CLOSED, 8);
    chunk(b, "two");
    expect_nothing(b, 0);
    answer(b, ERR_NONE, 0, 8);
    expect_answer(b, "HTTP/1.1 409 ", "_0000000000000008");
    assert_int_equal(b->append_count, 1);
}

static void a_closed_stream_and_none(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT);
    look(b, 7, WIRE_STREAM_CLOSED, 5);
    expect_answer(b, "HTTP/1.1 409 ", "_0000000000000005");
    hang_up(b, 0);
    turn(b);
    begin(b, TEXT);
    tell(b, b->read_count - 1, ERR_STREAM_NOT_FOUND, SLICE(""));
    expect_answer(b, "HTTP/1.1 404 ", "STREAM_NOT_FOUND");
}

static void a_deleted_stream_ends_it(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT);
    look(b, 7, WIRE_STREAM_WATCHING, 5);
    event(b, WIRE_EVENT_DELETED, 5);
    expect_answer(b, "HTTP/1.1 404 ", "STREAM_NOT_FOUND");
    assert_int_equal(b->router->live.entries.count, 0);
}

/* The shard refuses a piece because the stream is in this life. */
static void refuse_life(struct bench *b, uint64_t life)
{
    char room[LIVES_ONE];
    const struct wire_appended m = {.id = b->appends[b->append_count - 1].id,
                                    .error = ERR_PRECONDITION_FAILED,
                                    .lives = lives_one(life, room),
                                    .tail = 9};
    wire_put_appended(&b->shard.out, &m);
    link_flush(&b->shard);
    step(b);
}

/* The stream was deleted and created again while a piece was on its way: the news come behind it. */
static void pieces_are_for_one_life(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT "Stream-Expected-Offset: 0000000000000000_0000000000000000\r\n");
    chunk(b, "one");
    assert_int_equal(b->appends[0].condition.flags, WIRE_IF_EXPECTED);
    answer(b, ERR_NONE, 0, 3);
    chunk(b, "two");
    pass_delay(b);
    assert_int_equal(b->appends[1].condition.flags, WIRE_IF_LIFE);
    assert_int_equal(b->appends[1].condition.life, 0);
    refuse_life(b, 1764000000123);
    expect_answer(b, "HTTP/1.1 404 ", "STREAM_NOT_FOUND");
}

/* A client that has named the life hears of its condition. */
static void a_life_that_was_asked_for_is_412(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT "Stream-Incarnation: 0\r\n");
    chunk(b, "one");
    answer(b, ERR_NONE, 0, 3);
    chunk(b, "two");
    pass_delay(b);
    refuse_life(b, 1764000000123);
    expect_answer(b, "HTTP/1.1 412 ", "Stream-Incarnation: 1764000000123");
}

/* The next process watches again, and says whether the stream is still the same. */
static void a_shard_that_dies_is_asked_again(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT);
    look(b, 7, WIRE_STREAM_WATCHING, 5);
    chunk(b, "one");
    answer(b, ERR_NONE, 0, 8);
    shard_up(b);
    step(b);
    assert_int_equal(b->read_count, 2);
    look(b, 7, WIRE_STREAM_WATCHING, 8);
    expect_nothing(b, 0);
    shard_up(b);
    step(b);
    look(b, 8, WIRE_STREAM_WATCHING, 0);
    expect_answer(b, "HTTP/1.1 404 ", "STREAM_NOT_FOUND");
}

static void a_piece_that_dies_with_its_shard_is_503(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT);
    look(b, 7, WIRE_STREAM_WATCHING, 5);
    chunk(b, "one");
    shard_up(b);
    step(b);
    expect_answer(b, "HTTP/1.1 503 ", "_0000000000000005");
}

static void silence_is_408(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT);
    look(b, 7, WIRE_STREAM_WATCHING, 5);
    chunk(b, "one");
    connection_timer_expired(b->router->connections.first, DEADLINE_SILENCE);
    step(b);
    expect_nothing(b, 0); /* the shard is what is waited for */
    answer(b, ERR_NONE, 0, 8);
    connection_timer_expired(b->router->connections.first, DEADLINE_SILENCE);
    step(b);
    expect_answer(b, "HTTP/1.1 408 ", "_0000000000000008");
}

static void a_client_that_goes_leaves_nothing(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT);
    look(b, 7, WIRE_STREAM_WATCHING, 5);
    chunk(b, "one");
    chunk(b, "two");
    assert_int_equal(b->router->connections.body_bytes, 3);
    hang_up(b, 0);
    step(b);
    assert_int_equal(b->router->connections.count, 0);
    assert_int_equal(b->router->connections.body_bytes, 0);
    assert_int_equal(b->router->live.entries.count, 0);
    answer(b, ERR_NONE, 0, 8);
    assert_int_equal(b->append_count, 1);
}

static void bodies_have_a_memory(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT);
    look(b, 7, WIRE_STREAM_WATCHING, 5);
    b->router->connections.body_bytes += b->cfg.router_body_memory;
    chunk(b, "one");
    b->router->connections.body_bytes -= b->cfg.router_body_memory;
    expect_answer(b, "HTTP/1.1 503 ", "_0000000000000005");
}

/* A live reader of the stream and an append share the watch. */
static void readers_are_not_disturbed(void **state)
{
    struct bench *b = *state;
    begin(b, TEXT);
    look(b, 7, WIRE_STREAM_WATCHING, 0);
    ask(b, 1, 2, "p/s?offset=0000000000000000_0000000000000000&live=long-poll", "");
    assert_int_equal(b->read_count, 2);
    look(b, 7, WIRE_STREAM_WATCHING, 0);
    assert_int_equal(live_readers(&b->router->live, SLICE("p/s")), 1);
    hang_up(b, 1);
    step(b);
    assert_int_equal(b->unwatched, 0);
    event(b, WIRE_EVENT_CLOSED, 0);
    expect_answer(b, "HTTP/1.1 409 ", "Stream-Closed: true");
    assert_int_equal(b->unwatched, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(the_first_bytes_leave_at_once),
        T(many_bytes_do_not_wait),
        T(lines_wait_for_their_ends),
        T(a_wrong_line_ends_it_behind_the_good_ones),
        T(a_close_ends_it_at_once),
        T(a_close_waits_for_the_piece_under_way),
        T(a_closed_stream_and_none),
        T(a_deleted_stream_ends_it),
        T(pieces_are_for_one_life),
        T(a_life_that_was_asked_for_is_412),
        T(a_shard_that_dies_is_asked_again),
        T(a_piece_that_dies_with_its_shard_is_503),
        T(silence_is_408),
        T(a_client_that_goes_leaves_nothing),
        T(bodies_have_a_memory),
        T(readers_are_not_disturbed),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
