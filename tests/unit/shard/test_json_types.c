/* Streams of types with the suffix "+json": new ones hold messages; those of data of version 9 hold bytes, and so do
 * their forks, until they are gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/fanout/append.h"
#include "shard/store/entry.h"
#include "shard/store/journal.h"
#include "shard/store/store.h"
#include "shard/store/store_uid.h"
#include "tests/unit/shard_stand.h"

#define TYPE SLICE("Application/Vnd.Api+JSON; v=1")

static void reboot(struct bench *b)
{
    shard_close(b->shard);
    *b->shard = (struct shard){.role = &b->role};
    shard_start(b->shard, b->base, &b->cfg, 0);
    router_up(b);
}

static struct wire_appended send_append(struct bench *b, const struct wire_append *m)
{
    struct wire_appended answer;
    struct slice frame;
    wire_put_append(&b->router.out, m);
    expect_frame(b, WIRE_APPENDED, &frame);
    assert_true(wire_get_appended(frame, &answer));
    return answer;
}

/* As the router sends it, whose body the shard takes apart. */
static struct wire_appended put(struct bench *b, const char *name, const char *body)
{
    struct wire_append m = {.id = ++b->id,
                            .name = slice_str(name),
                            .flags = WIRE_APPEND_BODY,
                            .content_type = SLICE("application/vnd.api+json"),
                            .count = strlen(body),
                            .data = slice_str(body)};
    return send_append(b, &m);
}

/* As a router that has taken it apart itself. */
static struct wire_appended put_messages(struct bench *b, const char *name, const char *messages, uint64_t count)
{
    struct wire_append m = {.id = ++b->id,
                            .name = slice_str(name),
                            .content_type = SLICE("application/vnd.api+json"),
                            .count = count,
                            .data = slice_str(messages)};
    return send_append(b, &m);
}

static struct wire_stream make(struct bench *b, const char *name, const char *source, const char *body)
{
    struct wire_create m = {.id = ++b->id,
                            .name = slice_str(name),
                            .flags = *source ? WIRE_CREATE_FORK : 0,
                            .content_type = TYPE,
                            .fork_source = slice_str(source),
                            .data = slice_str(body)};
    wire_put_create(&b->router.out, &m);
    return stream_answer(b);
}

static struct wire_stream read_page(struct bench *b, const char *name, uint64_t position)
{
    uint64_t id = ask(b, name, position, 1 << 20);
    enum wire_type type = WIRE_PARKED;
    struct slice body;
    struct wire_stream m;
    while (type == WIRE_PARKED) /* it waits for a segment */
        assert_true(frame(b, &type, &body, 20000));
    assert_true(wire_get_stream(body, &m));
    assert_int_equal(m.id, id);
    assert_int_equal(m.error, ERR_NONE);
    return m;
}

static void expect(struct bench *b, const char *name, const char *data, uint64_t tail, bool json)
{
    struct buf all = {0};
    uint64_t next = 0;
    do {
        struct wire_stream m = read_page(b, name, next);
        buf_add_slice(&all, m.data);
        next = m.next;
        assert_int_equal(m.tail, tail);
        assert_int_equal((m.flags & WIRE_STREAM_JSON) != 0, json);
    } while (next < tail);
    assert_true(slice_equal(buf_slice(&all), slice_str(data)));
    buf_clear(&all);
}

/* A stream as a program of data version 9 creates it: its entry says nothing of messages. */
static void make_old(struct bench *b, const char *name, const char *bytes)
{
    struct store *store = b->shard->store;
    struct journal_entry entry = {.flags = ENTRY_CREATES,
                                  .count = strlen(bytes),
                                  .name = slice_str(name),
                                  .content_type = TYPE,
                                  .reader_key = SLICE("0123456789abcdef0123456789abcdef"),
                                  .ttl_s = STORE_NONE,
                                  .expires_ms = STORE_NONE,
                                  .data = slice_str(bytes)};
    store_begin(store);
    entry.uid = store_next_uid(store, layout_slot_of_whole(slice_str(name)), 0);
    journal_append(store, &entry);
    store_commit(store);
    reboot(b);
}

static void new_streams_hold_messages(void **state)
{
    struct bench *b = *state;
    assert_int_equal(make(b, "p/a", "", "[1, 2]").tail, 2);
    assert_int_equal(put(b, "p/a", " [{\"x\": 3}, 4]\n").tail, 4);
    assert_int_equal(put(b, "p/a", "5").tail, 5);
    assert_int_equal(put(b, "p/a", "[").error, ERR_INVALID_JSON);
    assert_int_equal(put(b, "p/a", "[]").error, ERR_EMPTY_JSON_ARRAY);
    assert_int_equal(put(b, "p/none", "1").error, ERR_STREAM_NOT_FOUND);
    for (int round = 0; round < 3; round++) {
        expect(b, "p/a", "1,2,{\"x\": 3},4,5,", 5, true);
        rest(b);
        reboot(b);
    }
    assert_int_equal(make(b, "p/f", "p/a", "[6,7]").tail, 7);
    expect(b, "p/f", "1,2,{\"x\": 3},4,5,6,7,", 7, true);
}

static void old_streams_hold_bytes(void **state)
{
    struct bench *b = *state;
    make_old(b, "p/a", "[1, ");
    assert_int_equal(put(b, "p/a", "2] and no JSON").tail, 18);
    assert_int_equal(put_messages(b, "p/a", "1,2,", 2).error, ERR_CONTENT_TYPE_MISMATCH);
    for (int round = 0; round < 3; round++) {
        expect(b, "p/a", "[1, 2] and no JSON", 18, false);
        rest(b);
        reboot(b);
    }
    assert_int_equal(make(b, "p/f", "p/a", "!").tail, 19);
    reboot(b);
    expect(b, "p/f", "[1, 2] and no JSON!", 19, false);
    assert_int_equal(make(b, "p/a", "", "").error, ERR_NONE); /* it is there, with this type */
}

static void a_new_stream_of_an_old_name_holds_messages(void **state)
{
    struct bench *b = *state;
    make_old(b, "p/a", "[1, ");
    rest(b);
    delete_it(b, "p/a");
    assert_int_equal(make(b, "p/a", "", "[1,2]").tail, 2);
    reboot(b);
    expect(b, "p/a", "1,2,", 2, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_streams_hold_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(old_streams_hold_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_stream_of_an_old_name_holds_messages, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
