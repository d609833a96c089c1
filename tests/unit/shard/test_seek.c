/* Reads that begin so many messages back, or at a time: over segments, chunks, what is pending, and inherited bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/streams/page.h"
#include "shard/streams/walk.h"
#include "tests/unit/shard_stand.h"

#define MESSAGES 30

/* What a stream should have: where each message ends, and when it was written at the latest. */
struct model {
    uint64_t ends[MESSAGES];
    uint64_t times[MESSAGES];
    char text[400];
    unsigned count;
};

static void add(struct bench *b, const char *name, struct model *model, const char *text)
{
    struct wire_append m = {.id = ++b->id,
                            .name = slice_str(name),
                            .content_type = SLICE("text/plain"),
                            .count = strlen(text),
                            .data = slice_str(text)};
    struct slice body;
    usleep(2000); /* each message has a time of its own */
    wire_put_append(&b->router.out, &m);
    expect_frame(b, WIRE_APPENDED, &body);
    strcat(model->text, text);
    model->ends[model->count] = strlen(model->text);
    model->times[model->count++] = b->shard->now_ms;
}

static void add_some(struct bench *b, const char *name, struct model *model, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char text[16];
        snprintf(text, sizeof text, "%u%.*s;", model->count, (int)(model->count % 5), "xxxxx");
        add(b, name, model, text);
    }
}

static uint64_t begin_of(const struct model *model, unsigned message)
{
    return message ? model->ends[message - 1] : 0;
}

/* A stream with messages in segments that are away, in chunks, and pending. */
static struct model three_tiers(struct bench *b, const char *name)
{
    struct model model = {0};
    b->cfg.segment_max_bytes = 1; /* whatever is flushed is due */
    create(b, name, "");
    add_some(b, name, &model, 12);
    cool(b, name);
    b->cfg.segment_max_bytes = 100000; /* what is flushed from now on stays in chunks */
    add_some(b, name, &model, 5);
    rest(b);
    add_some(b, name, &model, 4);
    const struct stream *stream = streams_by_name(&b->shard->streams, slice_str(name));
    assert_int_equal(stream->row.offloaded, model.ends[11]);
    assert_int_equal(stream->row.flushed, model.ends[16]);
    return model;
}

static struct wire_stream read_it(struct bench *b, struct wire_read m)
{
    struct slice body;
    enum wire_type type = WIRE_PARKED;
    struct wire_stream answer;
    m.id = ++b->id;
    m.life = life_of(b, m.name);
    wire_put_read(&b->router.out, &m);
    while (type == WIRE_PARKED)
        assert_true(frame(b, &type, &body, 20000));
    assert_int_equal(type, WIRE_STREAM);
    assert_true(wire_get_stream(body, &answer));
    assert_int_equal(answer.id, m.id);
    return answer;
}

static void expect_from(const struct model *model, const struct wire_stream *answer, uint64_t start)
{
    assert_int_equal(answer->error, ERR_NONE);
    assert_int_equal(answer->start, start);
    assert_int_equal(answer->next, start + answer->data.len);
    assert_memory_equal(answer->data.data, model->text + start, answer->data.len);
}

static void tail_counts_messages_back_over_all_tiers(void **state)
{
    struct bench *b = *state;
    struct model model = three_tiers(b, "p/a");
    for (unsigned n = 0; n < model.count + 3; n++) {
        const struct wire_stream answer = read_it(
            b, (struct wire_read){.name = SLICE("p/a"), .from = WIRE_FROM_TAIL, .amount = n, .max_bytes = 1000});
        expect_from(&model, &answer, n < model.count ? begin_of(&model, model.count - n) : 0);
        assert_true(n == 0 || answer.data.len > 0);
    }
}

/* The messages that end at `end`: as many as fit, but one at least. */
static uint64_t before(const struct model *model, uint64_t end, uint64_t n, uint64_t max_bytes)
{
    uint64_t start = end;
    for (unsigned i = model->count; i-- > 0 && n;) {
        uint64_t begin = begin_of(model, i);
        if (begin >= end || begin >= start)
            continue;
        if (end - begin > max_bytes && start < end)
            break;
        start = begin;
        n--;
    }
    return start;
}

static void before_ends_at_its_offset(void **state)
{
    struct bench *b = *state;
    struct model model = three_tiers(b, "p/a");
    static const uint64_t sizes[] = {1, 10, 1000};
    for (uint64_t end = 0; end <= model.ends[model.count - 1]; end++) /* also inside of messages */
        for (uint64_t n = 1; n < 9; n += 3)
            for (size_t i = 0; i < 3; i++) {
                const struct wire_stream answer = read_it(b, (struct wire_read){.name = SLICE("p/a"),
                                                                                .from = WIRE_FROM_BEFORE,
                                                                                .position = end,
                                                                                .amount = n,
                                                                                .max_bytes = sizes[i]});
                expect_from(&model, &answer, before(&model, end, n, sizes[i]));
                assert_int_equal(answer.next, end);
            }
}

static void before_is_checked_as_an_offset_is(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "four");
    struct wire_read m = {.name = SLICE("p/a"), .from = WIRE_FROM_BEFORE, .position = 5, .amount = 1, .max_bytes = 9};
    assert_int_equal(read_it(b, m).error, ERR_OFFSET_BEYOND_TAIL);
    struct stream *stream = streams_by_name(&b->shard->streams, SLICE("p/a"));
    m.position = 1;
    stream->row.earliest = 2;
    assert_int_equal(read_it(b, m).error, ERR_OFFSET_GONE);
    m.position = 4;
    assert_int_equal(read_it(b, m).start, 2); /* what retention has left of a message */
    stream->row.earliest = 0;
}

static void json_messages_are_counted_alike(void **state)
{
    struct bench *b = *state;
    struct wire_create m = {
        .id = ++b->id, .name = SLICE("p/j"), .content_type = SLICE("application/json"), .data = SLICE("[10,20,30,40]")};
    b->cfg.segment_max_bytes = 1;
    wire_put_create(&b->router.out, &m);
    stream_answer(b);
    cool(b, "p/j");
    for (uint64_t n = 0; n < 6; n++) {
        uint64_t have = n < 4 ? n : 4;
        struct wire_read read = {.name = SLICE("p/j"), .from = WIRE_FROM_TAIL, .amount = n, .max_bytes = 1000};
        struct wire_stream answer = read_it(b, read);
        assert_true(answer.start == 4 - have && answer.next == 4 && answer.data.len == have * 3);
        read.from = WIRE_FROM_BEFORE;
        read.position = 3;
        answer = read_it(b, read);
        have = n < 3 ? n : 3;
        assert_true(answer.start == 3 - have && answer.next == 3 && answer.data.len == have * 3);
        read.max_bytes = 7; /* two messages with their commas */
        answer = read_it(b, read);
        have = n < 2 ? n : 2;
        assert_true(answer.start == 3 - have && answer.next == 3 && answer.data.len == have * 3);
    }
}

static void expect_since(struct bench *b, const char *name, const struct model *model)
{
    for (unsigned i = 0; i <= model->count; i++) {
        struct wire_read read = {.name = slice_str(name),
                                 .from = WIRE_FROM_SINCE,
                                 .amount = i < model->count ? model->times[i] : model->times[i - 1] + 1,
                                 .max_bytes = 1000};
        struct wire_stream answer = read_it(b, read);
        expect_from(model, &answer, begin_of(model, i));
    }
}

static void since_finds_the_first_message_of_that_time(void **state)
{
    struct bench *b = *state;
    struct model model = three_tiers(b, "p/a");
    expect_since(b, "p/a", &model);
    struct wire_stream answer =
        read_it(b, (struct wire_read){.name = SLICE("p/a"), .from = WIRE_FROM_SINCE, .amount = 0, .max_bytes = 1000});
    expect_from(&model, &answer, 0);
}

/* Estuaries write them at another time. */
static void appends_for_estuaries_have_no_times(void **state)
{
    struct bench *b = *state;
    struct model model = three_tiers(b, "p/a");
    struct stream *stream = streams_by_name(&b->shard->streams, SLICE("p/a"));
    struct joined joined = {0};
    struct extent extent;
    for (uint64_t at = model.ends[11]; at < stream->tail; at = extent.start + extent.count) {
        assert_int_equal(page_appends_at(&b->shard->streams, stream, at, &joined, &extent).kind, OUTCOME_DONE);
        assert_int_equal(extent.start, at);
        assert_memory_equal(extent.data.data, model.text + at, extent.data.len);
        struct walk w = walk_start(&extent, false);
        while (walk_next(&w, &extent))
            assert_int_equal(w.time_ms, 0);
        assert_false(w.damaged);
        assert_int_equal(walk_end(&w), extent.start + extent.count + w.length);
    }
    buf_clear(&joined.data);
    buf_clear(&joined.boundaries);
}

/* A fork of a fork, in one shard: the second begins inside of a message of the first. */
static void inherited_messages_count_too(void **state)
{
    struct bench *b = *state;
    struct model model = three_tiers(b, "p/a");
    uint64_t cut = begin_of(&model, 14) + 2;
    struct wire_create m = {.id = ++b->id,
                            .name = SLICE("p/f"),
                            .flags = WIRE_CREATE_FORK | WIRE_CREATE_FORK_POSITION,
                            .fork_source = SLICE("p/a"),
                            .fork_life = life_of(b, SLICE("p/a")),
                            .fork_position = begin_of(&model, 14),
                            .fork_sub = 2};
    wire_put_create(&b->router.out, &m);
    assert_int_equal(stream_answer(b).error, ERR_NONE);
    model.text[cut] = 0;
    model.ends[14] = cut;
    model.count = 15;
    add_some(b, "p/f", &model, 3);
    m = (struct wire_create){
        .id = ++b->id, .name = SLICE("p/g"), .flags = WIRE_CREATE_FORK, .fork_source = SLICE("p/f")};
    wire_put_create(&b->router.out, &m);
    assert_int_equal(stream_answer(b).error, ERR_NONE);
    add_some(b, "p/g", &model, 2);
    for (unsigned n = 0; n < model.count + 2; n++) {
        struct wire_read read = {.name = SLICE("p/g"), .from = WIRE_FROM_TAIL, .amount = n, .max_bytes = 1000};
        struct wire_stream answer = read_it(b, read);
        uint64_t start = n < model.count ? begin_of(&model, model.count - n) : 0;
        expect_from(&model, &answer, start);
        read.from = WIRE_FROM_BEFORE;
        read.position = answer.tail;
        if (n) {
            answer = read_it(b, read);
            expect_from(&model, &answer, start);
            assert_int_equal(answer.next, answer.tail);
        }
    }
    expect_since(b, "p/g", &model);
}

/* Segments that lie behind the start as a whole are counted by their rows: they are fetched only to be read. */
static void whole_segments_are_not_opened(void **state)
{
    struct bench *b = *state;
    struct model model = {0};
    b->cfg.segment_max_bytes = 1;
    create(b, "p/a", "");
    add_some(b, "p/a", &model, 20);
    cool(b, "p/a");
    uint64_t id = ++b->id;
    b->s3.holds = true;
    wire_put_read(
        &b->router.out,
        &(struct wire_read){.id = id, .name = SLICE("p/a"), .from = WIRE_FROM_TAIL, .amount = 10, .max_bytes = 2});
    expect_parked(b, id);
    assert_true(b->s3.gets <= 4); /* of at least ten: the one that is read first, and those behind it */
    fake_s3_release(&b->s3);
    struct wire_stream answer = stream_answer(b);
    while (answer.id != id)
        answer = stream_answer(b);
    expect_from(&model, &answer, begin_of(&model, 10));
}

#define SEEK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEEK_TEST(tail_counts_messages_back_over_all_tiers),
        SEEK_TEST(before_ends_at_its_offset),
        SEEK_TEST(before_is_checked_as_an_offset_is),
        SEEK_TEST(json_messages_are_counted_alike),
        SEEK_TEST(since_finds_the_first_message_of_that_time),
        SEEK_TEST(inherited_messages_count_too),
        SEEK_TEST(whole_segments_are_not_opened),
        SEEK_TEST(appends_for_estuaries_have_no_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
