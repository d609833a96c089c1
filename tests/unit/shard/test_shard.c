/* One shard in this process, spoken to over a socketpair as a router would: sequencing, both tiers, forks, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/boundaries.h"
#include "common/lives.h"
#include "common/mem.h"
#include "shard/shard.h"
#include "shard/shard_role.h"
#include "shard/store/store.h"
#include "shard/store/store_disk.h"
#include "shard/store/store_fork.h"
#include "shard/store/store_upkeep.h"

/* The shard's own clock_gettime(): the wall clock may be set, the monotonic one may not. */
static time_t wall_ahead_s;

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += wall_ahead_s;
    return result;
}

/* The shard's own malloc_trim(), which gives memory back: here it only counts. */
static unsigned trims;

int malloc_trim(size_t pad)
{
    (void)pad;
    trims++;
    return 0;
}

struct bench {
    char dir[64];
    struct config cfg;
    struct event_base *base;
    struct shard *shard;
    struct role role;
    struct link router;
    uint64_t id;
    struct buf kept; /* the last answer's frame, so that its slices stay */
};

/* ---- the stand: what role_run() and a router do ---- */

static void boot(struct bench *b)
{
    int pair[2];
    b->shard = xcalloc(1, sizeof *b->shard);
    b->shard->role = &b->role;
    b->base = event_base_new();
    shard_start(b->shard, b->base, &b->cfg, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    shard_peer(b->shard, ROLE_ROUTER, 0, pair[0]);
    link_close(&b->router);
    link_open(&b->router, b->base, pair[1], 0);
}

static void halt(struct bench *b)
{
    link_close(&b->router);
    shard_close(b->shard);
    free(b->shard);
    event_base_free(b->base);
}

static void reboot(struct bench *b)
{
    halt(b);
    boot(b);
}

static void turn(struct bench *b)
{
    link_flush(&b->router);
    event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    shard_turn(b->shard);
}

static void next_frame(struct bench *b, enum wire_type expected, struct slice *body)
{
    enum wire_type type;
    for (int i = 0; i < 60000; i++) { /* most answers come at once; the worker has a minute */
        size_t cursor = 0;
        if (link_next(&b->router, &cursor, &type, body)) {
            buf_clear(&b->kept);
            buf_add_slice(&b->kept, *body);
            *body = buf_slice(&b->kept);
            link_release(&b->router, cursor);
            assert_int_equal(type, expected);
            return;
        }
        turn(b);
        event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        (void)link_receive(&b->router, 1 << 20);
        if (i > 100)
            usleep(1000);
    }
    fail_msg("no answer");
}

static struct wire_stream stream_answer(struct bench *b)
{
    struct wire_stream m;
    struct slice body;
    next_frame(b, WIRE_STREAM, &body);
    assert_true(wire_get_stream(body, &m));
    return m;
}

static struct wire_stream create(struct bench *b, const char *name, const char *type, const char *data)
{
    struct wire_create m = {
        .id = ++b->id, .name = slice_str(name), .content_type = slice_str(type), .data = slice_str(data)};
    wire_put_create(&b->router.out, &m);
    return stream_answer(b);
}

/* The newest life of a stream, or 0. */
static uint64_t life_of(struct bench *b, const char *name)
{
    const struct stream *stream = streams_by_name(&b->shard->streams, slice_str(name));
    return stream ? lives_newest(stream_lives(stream)).life : 0;
}

static struct wire_stream fork_at(struct bench *b, const char *name, const char *source, int64_t at, uint64_t sub)
{
    struct wire_create m = {.id = ++b->id,
                            .name = slice_str(name),
                            .flags = (uint8_t)(WIRE_CREATE_FORK | (at >= 0 ? WIRE_CREATE_FORK_POSITION : 0)),
                            .fork_source = slice_str(source),
                            .fork_life = life_of(b, source),
                            .fork_position = (uint64_t)(at >= 0 ? at : 0),
                            .fork_sub = sub};
    wire_put_create(&b->router.out, &m);
    return stream_answer(b);
}

static struct wire_appended append(struct bench *b, struct wire_append m)
{
    struct slice body;
    struct wire_appended answer;
    m.id = ++b->id;
    wire_put_append(&b->router.out, &m);
    next_frame(b, WIRE_APPENDED, &body);
    assert_true(wire_get_appended(body, &answer));
    assert_int_equal(answer.id, m.id);
    return answer;
}

static struct wire_append text(const char *name, const char *data)
{
    return (struct wire_append){
        .name = slice_str(name), .content_type = SLICE("text/plain"), .count = strlen(data), .data = slice_str(data)};
}

static struct wire_append produced(const char *name, const char *data, uint64_t epoch, uint64_t seq)
{
    struct wire_append m = text(name, data);
    m.flags = WIRE_APPEND_PRODUCER;
    m.producer = SLICE("p");
    m.epoch = epoch;
    m.seq = seq;
    return m;
}

static struct wire_stream read_at(struct bench *b, const char *name, uint64_t position, uint64_t watch)
{
    struct wire_read m = {.id = ++b->id,
                          .name = slice_str(name),
                          .life = life_of(b, name),
                          .position = position,
                          .max_bytes = 1 << 20,
                          .watch = watch};
    wire_put_read(&b->router.out, &m);
    return stream_answer(b);
}

static enum error delete_it(struct bench *b, const char *name)
{
    struct wire_delete m = {.id = ++b->id, .name = slice_str(name)};
    wire_put_delete(&b->router.out, &m);
    return stream_answer(b).error;
}

static void expect_text(struct bench *b, const char *name, const char *data)
{
    struct wire_stream m = read_at(b, name, 0, 0);
    assert_int_equal(m.error, ERR_NONE);
    assert_int_equal(m.data.len, strlen(data));
    if (*data)
        assert_memory_equal(m.data.data, data, strlen(data));
    assert_int_equal(m.next, m.tail);
}

static void tick(struct bench *b)
{
    b->shard->tick_due = true;
    b->shard->upkeep_ms = 0;
    turn(b);
}

/* Lets the shard be idle until all is settled and swept. */
static void rest(struct bench *b)
{
    b->cfg.shard_flush_idle = 0;
    for (int i = 0; i < 50; i++)
        tick(b);
    assert_int_equal(b->shard->streams.journal_entries, 0);
    b->cfg.shard_flush_idle = 1000000;
}

static int setup(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    struct layout layout;
    strcpy(b->dir, "/tmp/streamd-test-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    config_init(&b->cfg);
    free(b->cfg.server_data_dir);
    b->cfg.server_data_dir = xstrdup(b->dir);
    b->cfg.shard_flush_idle = 1000000;
    layout_init(&layout, 1);
    assert_true(layout_save(b->dir, &layout));
    boot(b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char command[128];
    halt(b);
    config_clear(&b->cfg);
    buf_clear(&b->kept);
    snprintf(command, sizeof command, "rm -r %s", b->dir);
    free(b);
    return system(command);
}

/* ---- the tests ---- */

static void bytes_survive_flushing_and_restarts(void **state)
{
    struct bench *b = *state;
    char expected[4096] = "";
    assert_int_equal(create(b, "p/a", "text/plain", "first,").flags & WIRE_STREAM_CREATED, WIRE_STREAM_CREATED);
    strcat(expected, "first,");
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 20; i++) {
            char piece[32];
            snprintf(piece, sizeof piece, "%d.%d,", round, i);
            strcat(expected, piece);
            assert_int_equal(append(b, text("p/a", piece)).tail, strlen(expected));
        }
        expect_text(b, "p/a", expected);
        if (round % 2)
            rest(b);
        expect_text(b, "p/a", expected);
        reboot(b);
        expect_text(b, "p/a", expected);
    }
    for (size_t at = 0; at <= strlen(expected); at += 7) {
        struct wire_stream m = read_at(b, "p/a", at, 0);
        assert_int_equal(m.data.len, strlen(expected) - at);
        assert_memory_equal(m.data.data, expected + at, m.data.len);
    }
    assert_int_equal(read_at(b, "p/a", strlen(expected) + 1, 0).error, ERR_OFFSET_BEYOND_TAIL);
}

/* One stream has more than a slice takes while others come and go: nothing leaves the log before it is in chunks. */
static void a_busy_stream_keeps_its_generation_open(void **state)
{
    struct bench *b = *state;
    char name[32];
    uint64_t tail = 0;
    b->cfg.shard_flush_appends = 3000;
    create(b, "p/busy", "text/plain", "");
    for (int i = 0; i < 2998; i++)
        tail = append(b, text("p/busy", "0123456789")).tail;
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "p/other%d", i);
        create(b, name, "text/plain", "x");
        tail = append(b, text("p/busy", "0123456789")).tail;
        if (i % 60 != 59)
            continue;
        reboot(b);
        struct wire_stream m = read_at(b, "p/busy", 0, 0);
        assert_int_equal(m.error, ERR_NONE);
        assert_int_equal(m.tail, tail);
        assert_int_equal(m.data.len, tail);
        for (size_t at = 0; at < m.data.len; at += 10)
            assert_memory_equal(m.data.data + at, "0123456789", 10);
    }
    rest(b);
    reboot(b);
    assert_int_equal(read_at(b, "p/busy", 0, 0).data.len, tail);
}

/* Creations, deletions and recreations whose traces are partly in the log and partly settled. */
static void streams_begin_and_end_across_flushing_and_restarts(void **state)
{
    struct bench *b = *state;
    struct wire_create m = {.id = ++b->id,
                            .name = SLICE("p/full"),
                            .content_type = SLICE("text/plain"),
                            .flags = WIRE_CREATE_TTL | WIRE_CREATE_CLOSED,
                            .ttl_s = 1000,
                            .data = SLICE("once")};
    uint64_t uids[8];
    wire_put_create(&b->router.out, &m);
    stream_answer(b);
    for (int round = 0; round < 8; round++) {
        uids[round] = create(b, "p/again", "text/plain", "new").uid;
        for (int i = 0; i < round; i++)
            assert_int_not_equal(uids[i], uids[round]);
        if (round & 1)
            rest(b);
        append(b, text("p/again", "er"));
        if (round & 2)
            reboot(b);
        expect_text(b, "p/again", "newer");
        assert_int_equal(delete_it(b, "p/again"), ERR_NONE);
        if (round & 4)
            reboot(b);
        assert_int_equal(read_at(b, "p/again", 0, 0).error, ERR_STREAM_NOT_FOUND);
    }
    reboot(b);
    assert_int_equal(read_at(b, "p/again", 0, 0).error, ERR_STREAM_NOT_FOUND);
    for (int i = 0; i < 2; i++) {
        struct wire_stream full = read_at(b, "p/full", 0, 0);
        assert_int_equal(full.flags & (WIRE_STREAM_CLOSED | WIRE_STREAM_TTL), WIRE_STREAM_CLOSED | WIRE_STREAM_TTL);
        assert_int_equal(full.ttl_s, 1000);
        assert_true(slice_equal(full.data, SLICE("once")) && slice_equal(full.content_type, SLICE("text/plain")));
        rest(b);
        reboot(b);
    }
}

static void producers_are_fenced_across_flushing_and_restarts(void **state)
{
    struct bench *b = *state;
    (void)create(b, "p/a", "text/plain", "");
    struct wire_appended early = append(b, produced("p/a", "y", 0, 1));
    assert_int_equal(early.error, ERR_PRODUCER_SEQUENCE_GAP);
    assert_int_equal(early.expected, 0);
    assert_int_equal(append(b, produced("p/a", "x", 0, 0)).error, ERR_NONE);
    assert_int_equal(append(b, produced("p/a", "x", 0, 0)).flags & WIRE_APPENDED_DUPLICATE, WIRE_APPENDED_DUPLICATE);
    assert_int_equal(append(b, produced("p/a", "y", 0, 1)).error, ERR_NONE);
    reboot(b);
    struct wire_appended gap = append(b, produced("p/a", "z", 0, 3));
    assert_int_equal(gap.error, ERR_PRODUCER_SEQUENCE_GAP);
    assert_int_equal(gap.expected, 2);
    rest(b);
    reboot(b);
    assert_int_equal(append(b, produced("p/a", "y", 0, 1)).flags & WIRE_APPENDED_DUPLICATE, WIRE_APPENDED_DUPLICATE);
    assert_int_equal(append(b, produced("p/a", "z", 2, 1)).error, ERR_PRODUCER_SEQ_MUST_START_AT_ZERO);
    assert_int_equal(append(b, produced("p/a", "z", 2, 0)).error, ERR_NONE);
    struct wire_appended stale = append(b, produced("p/a", "z", 1, 0));
    assert_int_equal(stale.error, ERR_STALE_PRODUCER_EPOCH);
    assert_int_equal(stale.epoch, 2);
    expect_text(b, "p/a", "xyz");
}

/* More than are kept in memory: the store answers for the others, settled or not. */
static void many_producers_are_all_remembered(void **state)
{
    struct bench *b = *state;
    char id[16];
    (void)create(b, "p/a", "text/plain", "");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++) {
            struct wire_append m = produced("p/a", "x", 0, 0);
            snprintf(id, sizeof id, "p%d", i);
            m.producer = slice_str(id);
            assert_int_equal(append(b, m).flags, round ? WIRE_APPENDED_DUPLICATE : 0);
        }
        if (round)
            rest(b);
        reboot(b);
    }
    assert_int_equal(read_at(b, "p/a", 0, 0).tail, 300);
}

static void closing_is_final_and_repeatable(void **state)
{
    struct bench *b = *state;
    struct wire_append end = produced("p/a", "end", 0, 0), other = produced("p/a", "more", 0, 1);
    (void)create(b, "p/a", "text/plain", "");
    end.flags |= WIRE_APPEND_CLOSE;
    for (int i = 0; i < 3; i++) {
        struct wire_appended m = append(b, end);
        assert_int_equal(m.error, ERR_NONE);
        assert_int_equal(m.flags, WIRE_APPENDED_CLOSED | (i ? WIRE_APPENDED_DUPLICATE : 0));
        assert_int_equal(append(b, other).error, ERR_STREAM_CLOSED);
        assert_int_equal(append(b, text("p/a", "x")).error, ERR_STREAM_CLOSED);
        if (i)
            rest(b);
        reboot(b);
    }
    expect_text(b, "p/a", "end");
}

static void stream_seq_must_grow_byte_by_byte(void **state)
{
    struct bench *b = *state;
    struct wire_append m = text("p/a", "x");
    (void)create(b, "p/a", "text/plain", "");
    m.flags = WIRE_APPEND_STREAM_SEQ;
    m.stream_seq = SLICE("2");
    assert_int_equal(append(b, m).error, ERR_NONE);
    m.stream_seq = SLICE("10");
    assert_int_equal(append(b, m).error, ERR_STREAM_SEQ_REGRESSION);
    m.stream_seq = SLICE("20");
    assert_int_equal(append(b, m).error, ERR_NONE);
    rest(b);
    reboot(b);
    assert_int_equal(append(b, m).error, ERR_STREAM_SEQ_REGRESSION);
}

static struct wire_condition tail_is(uint8_t flags, uint64_t life, uint64_t position)
{
    return (struct wire_condition){.flags = flags, .offset = {life, position}};
}

static void expect_append(struct bench *b, struct wire_append m, struct wire_condition condition, enum error error)
{
    m.condition = condition;
    struct wire_appended answer = append(b, m);
    assert_string_equal(error_code(answer.error), error_code(error));
    assert_false(answer.flags & WIRE_APPENDED_NO_STREAM);
}

static void appends_hold_their_conditions(void **state)
{
    struct bench *b = *state;
    struct wire_stream made = create(b, "p/a", "text/plain", "");
    uint64_t life = lives_newest(made.lives).life;
    struct wire_append x = text("p/a", "x"), p = produced("p/a", "x", 0, 0), seq = x, other = x, end = {.name = x.name};
    seq.flags = WIRE_APPEND_STREAM_SEQ;
    seq.stream_seq = SLICE("2");
    other.content_type = SLICE("text/html");
    end.flags = WIRE_APPEND_CLOSE;
    assert_true(life > 0);
    expect_append(b, x, tail_is(WIRE_IF_EXPECTED, life + 1, 0), ERR_EXPECTED_OFFSET_CONFLICT);
    expect_append(b, x, tail_is(WIRE_IF_EXPECTED, life, 1), ERR_EXPECTED_OFFSET_CONFLICT);
    expect_append(b, x, tail_is(WIRE_IF_EXPECTED, 0, 0), ERR_NONE); /* the start of any stream: 1 */
    expect_append(b, x, tail_is(WIRE_IF_EXPECTED, 0, 0), ERR_EXPECTED_OFFSET_CONFLICT);
    expect_append(b, p, tail_is(WIRE_IF_EXPECTED, life, 1), ERR_NONE);
    expect_append(b, p, tail_is(WIRE_IF_EXPECTED, life, 1), ERR_NONE); /* a repetition: 2 */
    expect_append(b, seq, tail_is(WIRE_IF_TAIL, life, 1), ERR_PRECONDITION_FAILED);
    expect_append(b, seq, tail_is(WIRE_IF_TAIL | WIRE_IF_READ, life, 2), ERR_NONE);
    expect_append(b, seq, tail_is(WIRE_IF_TAIL, life, 3), ERR_STREAM_SEQ_REGRESSION);
    expect_append(b, seq, tail_is(WIRE_IF_EXPECTED, life, 2), ERR_EXPECTED_OFFSET_CONFLICT);
    expect_append(b, other, tail_is(WIRE_IF_TAIL | WIRE_IF_UNSUITED, 0, 0), ERR_CONTENT_TYPE_MISMATCH);
    expect_append(b, x, tail_is(WIRE_IF_TAIL | WIRE_IF_UNSUITED, 0, 0), ERR_CONDITION_NOT_SUPPORTED);
    expect_append(b, p, tail_is(WIRE_IF_TAIL, life, 3), ERR_CONDITION_NOT_SUPPORTED);
    expect_append(b, other, (struct wire_condition){.flags = WIRE_IF_LIFE}, ERR_PRECONDITION_FAILED);
    expect_append(b, end, tail_is(WIRE_IF_EXPECTED, life, 2), ERR_EXPECTED_OFFSET_CONFLICT);
    expect_append(b, end, tail_is(WIRE_IF_TAIL, life, 3), ERR_NONE);
    expect_append(b, end, tail_is(WIRE_IF_TAIL, life, 3), ERR_NONE); /* again */
    expect_append(b, end, tail_is(WIRE_IF_TAIL, life, 2), ERR_STREAM_CLOSED);
    expect_append(b, x, tail_is(WIRE_IF_TAIL, life, 2), ERR_STREAM_CLOSED);
    expect_append(b, x, (struct wire_condition){.flags = WIRE_IF_LIFE}, ERR_PRECONDITION_FAILED);
    expect_text(b, "p/a", "xxx");
}

static void watchers_hear_everything_once(void **state)
{
    struct bench *b = *state;
    struct wire_append m = text("p/a", "two");
    struct wire_event event;
    struct slice body;
    (void)create(b, "p/a", "text/plain", "one");
    assert_int_equal(read_at(b, "p/a", 0, 77).flags & WIRE_STREAM_WATCHING, WIRE_STREAM_WATCHING);
    wire_put_append(&b->router.out, &m);
    m.data = SLICE("three");
    m.count = 5;
    m.flags = WIRE_APPEND_CLOSE;
    wire_put_append(&b->router.out, &m);
    next_frame(b, WIRE_APPENDED, &body);
    next_frame(b, WIRE_APPENDED, &body);
    next_frame(b, WIRE_EVENT, &body); /* one commit, one frame */
    assert_true(wire_get_event(body, &event));
    assert_int_equal(event.watch, 77);
    assert_int_equal(event.from, 3);
    assert_int_equal(event.next, 11);
    assert_int_equal(event.flags, WIRE_EVENT_CLOSED);
    assert_memory_equal(event.data.data, "twothree", 8);
    wire_put_delete(&b->router.out, &(struct wire_delete){.id = 1, .name = SLICE("p/a")});
    next_frame(b, WIRE_EVENT, &body);
    assert_true(wire_get_event(body, &event));
    assert_int_equal(event.flags, WIRE_EVENT_DELETED);
    assert_int_equal(stream_answer(b).error, ERR_NONE);
}

static void forks_keep_their_source_alive(void **state)
{
    struct bench *b = *state;
    (void)create(b, "p/a", "text/plain", "hello");
    (void)append(b, text("p/a", " world"));
    assert_int_equal(fork_at(b, "p/f", "p/a", 5, 3).error, ERR_NONE);
    assert_int_equal(fork_at(b, "p/f", "p/a", 5, 3).flags & WIRE_STREAM_CREATED, 0);
    assert_int_equal(fork_at(b, "p/f", "p/a", 5, 4).error, ERR_STREAM_FORK_MISMATCH);
    assert_int_equal(fork_at(b, "p/x", "p/a", 2, 4).error, ERR_INVALID_FORK_SUB_OFFSET);
    assert_int_equal(fork_at(b, "p/x", "p/a", 99, 0).error, ERR_FORK_OFFSET_BEYOND_TAIL);
    assert_int_equal(fork_at(b, "p/x", "p/none", -1, 0).error, ERR_FORK_SOURCE_NOT_FOUND);
    (void)append(b, text("p/f", "!"));
    expect_text(b, "p/f", "hello wo!");
    assert_int_equal(fork_at(b, "p/g", "p/f", -1, 0).error, ERR_NONE);
    (void)append(b, text("p/g", "?"));
    expect_text(b, "p/g", "hello wo!?");
    assert_int_equal(delete_it(b, "p/a"), ERR_NONE);
    assert_int_equal(delete_it(b, "p/f"), ERR_NONE);
    assert_int_equal(delete_it(b, "p/a"), ERR_STREAM_GONE);
    rest(b);
    reboot(b);
    expect_text(b, "p/g", "hello wo!?");
    assert_int_equal(create(b, "p/a", "text/plain", "").error, ERR_STREAM_SOFT_DELETED);
    assert_int_equal(delete_it(b, "p/g"), ERR_NONE);
    rest(b);
    assert_int_equal(delete_it(b, "p/a"), ERR_STREAM_NOT_FOUND);
    assert_int_equal(create(b, "p/f", "text/plain", "new").flags & WIRE_STREAM_CREATED, WIRE_STREAM_CREATED);
    expect_text(b, "p/f", "new");
    assert_false(store_deleting_any(b->shard->store));
}

/* The maker of a fork died between pin and creation: the pin is asked after and dropped. */
static void an_orphaned_pin_is_dropped(void **state)
{
    struct bench *b = *state;
    struct wire_stream source = create(b, "p/a", "text/plain", "x");
    store_begin(b->shard->store);
    store_pin_insert(b->shard->store, source.uid, 12345, SLICE("p/never-made"), 1);
    assert_int_equal(delete_it(b, "p/a"), ERR_NONE);
    assert_int_equal(delete_it(b, "p/a"), ERR_STREAM_GONE);
    rest(b);
    assert_int_equal(delete_it(b, "p/a"), ERR_STREAM_NOT_FOUND);
}

static void a_new_stream_of_an_old_name_is_empty(void **state)
{
    struct bench *b = *state;
    uint64_t uid = create(b, "p/a", "text/plain", "old").uid;
    (void)append(b, produced("p/a", "x", 5, 0));
    assert_int_equal(delete_it(b, "p/a"), ERR_NONE);
    assert_int_not_equal(create(b, "p/a", "text/plain", "").uid, uid);
    reboot(b);
    expect_text(b, "p/a", "");
    assert_int_equal(append(b, produced("p/a", "y", 0, 0)).error, ERR_NONE);
    rest(b);
    reboot(b);
    expect_text(b, "p/a", "y");
}

static void expect_usage(struct bench *b, uint64_t streams, uint64_t bytes)
{
    assert_int_equal(b->shard->streams.usages.streams, streams);
    assert_int_equal(b->shard->streams.usages.bytes, bytes);
}

static void streams_and_bytes_are_counted_across_flushing_and_restarts(void **state)
{
    struct bench *b = *state;
    create(b, "p/a", "text/plain", "12");
    create(b, "q/b", "text/plain", "");
    create(b, "q/c", "text/plain", "");
    append(b, text("q/b", "345"));
    append(b, text("q/c", "6789"));
    expect_usage(b, 3, 9);
    assert_int_equal(delete_it(b, "q/c"), ERR_NONE);
    expect_usage(b, 2, 5);
    reboot(b); /* from the log */
    expect_usage(b, 2, 5);
    rest(b);
    expect_usage(b, 2, 5);
    reboot(b); /* from what is settled */
    expect_usage(b, 2, 5);
    append(b, text("q/b", "0"));
    expect_usage(b, 2, 6);
    reboot(b); /* from both */
    expect_usage(b, 2, 6);
    assert_int_equal(delete_it(b, "p/a"), ERR_NONE);
    assert_int_equal(delete_it(b, "q/b"), ERR_NONE);
    expect_usage(b, 0, 0);
    rest(b);
    reboot(b);
    expect_usage(b, 0, 0);
}

static void json_batches_are_messages(void **state)
{
    struct bench *b = *state;
    struct buf boundaries = {0};
    (void)create(b, "p/j", "application/json", "[1, [2,3], {\"a\":4}]");
    boundaries_add(&boundaries, 3, false);
    boundaries_add(&boundaries, 3, true);
    struct wire_append m = {.name = SLICE("p/j"),
                            .content_type = SLICE("application/json"),
                            .count = 2,
                            .boundaries = buf_slice(&boundaries),
                            .data = SLICE("\"\",77,")};
    assert_int_equal(append(b, m).tail, 5);
    for (int round = 0; round < 2; round++) {
        struct wire_stream got = read_at(b, "p/j", 2, 0);
        assert_int_equal(got.data.len, 14);
        assert_memory_equal(got.data.data, "{\"a\":4},\"\",77,", 14);
        rest(b);
    }
    assert_int_equal(create(b, "p/k", "application/json", "[1,").error, ERR_INVALID_JSON);
    assert_int_equal(read_at(b, "p/k", 0, 0).error, ERR_STREAM_NOT_FOUND);
    buf_clear(&boundaries);
}

/* ---- a full disk ---- */

static void create_many(struct bench *b, unsigned count)
{
    char name[32];
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "p/%u", i);
        assert_int_equal(create(b, name, "text/plain", "abc").error, ERR_NONE);
    }
}

/* As a full disk does it: nothing is free any more, by the configuration's word. */
static void fill(struct bench *b, bool full)
{
    b->cfg.shard_disk_reserve = full ? (uint64_t)1 << 60 : 0;
    b->shard->tick_due = true;
    turn(b);
    assert_int_equal(b->shard->disk.full, full);
}

static void a_full_disk_refuses_only_appends(void **state)
{
    struct bench *b = *state;
    create_many(b, 2);
    rest(b);
    for (int round = 0; round < 2; round++) {
        fill(b, true);
        assert_int_equal(append(b, text("p/0", "x")).error, ERR_INSUFFICIENT_STORAGE);
        assert_int_equal(create(b, "p/new", "text/plain", "").error, ERR_INSUFFICIENT_STORAGE);
        assert_int_equal(create(b, "p/0", "text/plain", "").error, ERR_NONE); /* it is there */
        expect_text(b, "p/0", "abc");
        reboot(b);
    }
    assert_int_equal(fork_at(b, "p/fork", "p/0", -1, 0).error, ERR_INSUFFICIENT_STORAGE);
    assert_int_equal(delete_it(b, "p/1"), ERR_NONE);
    reboot(b);
    assert_int_equal(read_at(b, "p/1", 0, 0).error, ERR_STREAM_NOT_FOUND);
    fill(b, false);
    assert_int_equal(append(b, text("p/0", "d")).error, ERR_NONE);
    expect_text(b, "p/0", "abcd");
}

/* They come together, and are more than fit into what is kept for a turn. */
static void a_full_disk_takes_any_number_of_deletes(void **state)
{
    struct bench *b = *state;
    const unsigned count = 2000;
    char name[32];
    create_many(b, count);
    rest(b);
    fill(b, true);
    for (unsigned i = 0; i < count; i++) {
        struct wire_delete m = {.id = ++b->id, .name = slice_of(name, (size_t)snprintf(name, sizeof name, "p/%u", i))};
        wire_put_delete(&b->router.out, &m);
    }
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(stream_answer(b).error, ERR_NONE);
    rest(b);
    assert_int_equal(b->shard->streams.usages.streams, 0);
}

static uint64_t blocks_of(struct bench *b, const char *name)
{
    char path[128];
    struct stat stat_now;
    snprintf(path, sizeof path, "%s/%s", b->dir, name);
    assert_int_equal(stat(path, &stat_now), 0);
    return (uint64_t)stat_now.st_blocks * 512;
}

/* The next start may be on a full disk. */
static void what_is_kept_of_the_disk_stays_over_restarts(void **state)
{
    struct bench *b = *state;
    create_many(b, 10);
    rest(b);
    if (!store_room(b->shard->store))
        skip(); /* not on this file system */
    halt(b);
    uint64_t log = blocks_of(b, "shard-0.db-wal"), database = blocks_of(b, "shard-0.db");
    boot(b);
    assert_true(log >= b->cfg.shard_disk_ballast);
    assert_true(database >= b->cfg.shard_disk_ballast);
    assert_true(store_room(b->shard->store) >= b->cfg.shard_disk_ballast);
}

/* Files that may not grow are a full disk, too. */
static void a_limit_of_files_is_a_full_disk(void **state)
{
    struct bench *b = *state;
    struct rlimit before, low = {.rlim_cur = 1 << 20};
    create_many(b, 100);
    rest(b);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    b->shard->tick_due = true;
    turn(b);
    assert_int_equal(append(b, text("p/0", "x")).error, ERR_INSUFFICIENT_STORAGE);
    assert_int_equal(delete_it(b, "p/1"), ERR_NONE);
    expect_text(b, "p/0", "abc");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    b->shard->tick_due = true;
    turn(b);
    assert_int_equal(append(b, text("p/0", "d")).error, ERR_NONE);
}

/* Where not even that is left, reads go on and nothing is written. */
static void a_disk_that_takes_nothing_is_read_from(void **state)
{
    struct bench *b = *state;
    struct wire_create m = {.id = ++b->id,
                            .name = SLICE("p/ttl"),
                            .flags = WIRE_CREATE_TTL,
                            .ttl_s = 1,
                            .content_type = SLICE("text/plain"),
                            .data = SLICE("abc")};
    create_many(b, 2);
    wire_put_create(&b->router.out, &m);
    assert_int_equal(stream_answer(b).error, ERR_NONE);
    rest(b);
    event_del(b->shard->tick); /* which would look at the disk, and find room */
    b->shard->tick_due = false;
    b->shard->disk.full = b->shard->disk.stuck = true;
    assert_int_equal(delete_it(b, "p/0"), ERR_INSUFFICIENT_STORAGE);
    assert_int_equal(append(b, text("p/0", "x")).error, ERR_INSUFFICIENT_STORAGE);
    assert_int_equal(append(b, produced("p/0", "x", 0, 0)).error, ERR_INSUFFICIENT_STORAGE);
    expect_text(b, "p/0", "abc");
    wall_ahead_s = 10;
    assert_int_equal(read_at(b, "p/ttl", 0, 0).error, ERR_STREAM_NOT_FOUND); /* but it is still there */
    assert_int_equal(b->shard->streams.usages.streams, 3);
    wall_ahead_s = 0;
    fill(b, false);
    assert_int_equal(delete_it(b, "p/0"), ERR_NONE);
}

/* ---- clocks ---- */

static void create_with_ttl(struct bench *b, const char *name, uint64_t ttl_s)
{
    struct wire_create m = {.id = ++b->id,
                            .name = slice_str(name),
                            .flags = WIRE_CREATE_TTL,
                            .ttl_s = ttl_s,
                            .content_type = SLICE("text/plain"),
                            .data = SLICE("abc")};
    wire_put_create(&b->router.out, &m);
    assert_int_equal(stream_answer(b).error, ERR_NONE);
}

/* Each read or write sets the countdown to its TTL, whatever the clock has said before. */
static void a_renewal_counts_from_now(void **state)
{
    struct bench *b = *state;
    create_with_ttl(b, "p/read", 1000);
    create_with_ttl(b, "p/written", 1000);
    create_with_ttl(b, "p/restart", 1000);
    wall_ahead_s = 900;
    expect_text(b, "p/read", "abc");
    assert_int_equal(append(b, text("p/written", "d")).error, ERR_NONE);
    assert_int_equal(append(b, text("p/restart", "d")).error, ERR_NONE);
    wall_ahead_s = 0;
    expect_text(b, "p/read", "abc");
    assert_int_equal(append(b, text("p/written", "e")).error, ERR_NONE);
    reboot(b);
    wall_ahead_s = 1100;
    assert_int_equal(read_at(b, "p/read", 0, 0).error, ERR_STREAM_NOT_FOUND);
    assert_int_equal(read_at(b, "p/written", 0, 0).error, ERR_STREAM_NOT_FOUND);
    assert_int_equal(read_at(b, "p/restart", 0, 0).error, ERR_STREAM_NOT_FOUND);
    wall_ahead_s = 0;
}

/* A stream that keeps what is not older than a minute, with a message, while the clock is far ahead. */
static void create_while_ahead(struct bench *b)
{
    struct wire_create m = {.id = ++b->id,
                            .name = SLICE("p/a"),
                            .content_type = SLICE("text/plain"),
                            .data = SLICE("a"),
                            .retention_s = 60};
    wall_ahead_s = 100000;
    wire_put_create(&b->router.out, &m);
    assert_int_equal(stream_answer(b).error, ERR_NONE);
    rest(b);
    wall_ahead_s = 0;
}

/* A message of a clock that was ahead goes with those that came after it. */
static void retention_does_not_wait_for_a_clock_that_was_ahead(void **state)
{
    struct bench *b = *state;
    b->cfg.segment_max_messages = 1;
    create_while_ahead(b);
    for (int i = 0; i < 20; i++) { /* small ones are merged, or not */
        assert_int_equal(append(b, text("p/a", "b")).error, ERR_NONE);
        rest(b);
    }
    wall_ahead_s = 200;
    for (int i = 0; i < 30000 && !streams_newest(&b->shard->streams)->row.earliest; i++) {
        rest(b);
        usleep(1000);
    }
    assert_int_not_equal(streams_newest(&b->shard->streams)->row.earliest, 0);
    wall_ahead_s = 0;
}

/* The same where both are in one chunk, because nothing was offloaded in between. */
static void retention_knows_the_times_in_a_chunk_of_a_clock_that_was_ahead(void **state)
{
    struct bench *b = *state;
    create_while_ahead(b);
    assert_int_equal(append(b, text("p/a", "b")).error, ERR_NONE);
    rest(b);
    b->cfg.segment_max_messages = 1;
    wall_ahead_s = 200;
    for (int i = 0; i < 2000 && streams_newest(&b->shard->streams)->row.earliest < 2; i++) {
        rest(b);
        usleep(1000);
    }
    assert_int_equal(streams_newest(&b->shard->streams)->row.earliest, 2);
    wall_ahead_s = 0;
}

static void a_pin_of_a_clock_that_was_ahead_is_asked_after(void **state)
{
    struct bench *b = *state;
    struct wire_stream source = create(b, "p/a", "text/plain", "x");
    store_begin(b->shard->store);
    store_pin_insert(b->shard->store, source.uid, 12345, SLICE("p/never-made"), b->shard->now_ms + 100000000);
    assert_int_equal(delete_it(b, "p/a"), ERR_NONE);
    rest(b);
    assert_int_equal(delete_it(b, "p/a"), ERR_STREAM_NOT_FOUND);
}

/* What is idle is settled, also after the clock was set back. */
static void flushing_does_not_wait_for_the_wall_clock(void **state)
{
    struct bench *b = *state;
    wall_ahead_s = 100000;
    create_many(b, 10);
    wall_ahead_s = 0;
    b->cfg.shard_flush_idle = 1;
    usleep(2000);
    for (int i = 0; i < 10; i++)
        turn(b);
    assert_int_equal(b->shard->streams.journal_entries, 0);
}

static void memory_of_many_flushed_appends_is_given_back_once(void **state)
{
    struct bench *b = *state;
    int (*volatile called)(size_t pad) = malloc_trim;
    trims = 0;
    (void)called(0);
    if (!trims)
        skip(); /* valgrind has its own */
    char *data = xcalloc(1, (1 << 20) + 1);
    memset(data, 'x', 1 << 20);
    create(b, "p/a", "text/plain", "");
    rest(b);
    trims = 0;
    append(b, text("p/a", data));
    rest(b);
    assert_int_equal(trims, 0); /* too few bytes */
    for (int i = 0; i < 4; i++)
        append(b, text("p/a", data));
    tick(b);
    assert_int_equal(trims, 0); /* it is written to */
    rest(b);
    assert_int_equal(trims, 1);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_survive_flushing_and_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_busy_stream_keeps_its_generation_open, setup, teardown),
        cmocka_unit_test_setup_teardown(streams_begin_and_end_across_flushing_and_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(producers_are_fenced_across_flushing_and_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(many_producers_are_all_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_is_final_and_repeatable, setup, teardown),
        cmocka_unit_test_setup_teardown(stream_seq_must_grow_byte_by_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(appends_hold_their_conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(watchers_hear_everything_once, setup, teardown),
        cmocka_unit_test_setup_teardown(forks_keep_their_source_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(an_orphaned_pin_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_stream_of_an_old_name_is_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(json_batches_are_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(streams_and_bytes_are_counted_across_flushing_and_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_refuses_only_appends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_takes_any_number_of_deletes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_kept_of_the_disk_stays_over_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_limit_of_files_is_a_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_takes_nothing_is_read_from, setup, teardown),
        cmocka_unit_test_setup_teardown(a_renewal_counts_from_now, setup, teardown),
        cmocka_unit_test_setup_teardown(retention_does_not_wait_for_a_clock_that_was_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(retention_knows_the_times_in_a_chunk_of_a_clock_that_was_ahead, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_pin_of_a_clock_that_was_ahead_is_asked_after, setup, teardown),
        cmocka_unit_test_setup_teardown(flushing_does_not_wait_for_the_wall_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_of_many_flushed_appends_is_given_back_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
