/* Every message of wire.def, in a loop over the list: a new one is tested by being there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/wire.h"
#include "tests/unit/exact.h"

#define HEADER 5 /* bytes of a frame before its fields */

static uint64_t random_u64(void)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 5; i++)
        value = value << 15 ^ (uint64_t)rand();
    return value >> (unsigned)rand() % 64;
}

/* Up to 40 bytes out of a fixed page. */
static struct slice random_slice(void)
{
    static char page[256];
    for (unsigned i = 0; !page[255] && i < sizeof page; i++)
        page[i] = (char)i;
    return slice_of(page + rand() % 200, rand() % 4 == 0 ? 0 : (size_t)rand() % 40);
}

/* Without a flag there is nothing else. */
static struct wire_condition random_condition(void)
{
    if (rand() % 2)
        return (struct wire_condition){0};
    return (struct wire_condition){
        .flags = (uint8_t)(rand() % 255 + 1), .life = random_u64(), .offset = {random_u64(), random_u64()}};
}

static bool same_condition(const struct wire_condition *a, const struct wire_condition *b)
{
    return a->flags == b->flags && a->life == b->life && a->offset.life == b->offset.life &&
           a->offset.position == b->offset.position;
}

/* ---- per message: fill with random fields, compare field by field ---- */

#define U8(field) m->field = (uint8_t)random_u64();
#define U32(field) m->field = (uint32_t)random_u64();
#define U64(field) m->field = random_u64();
#define STR(field) m->field = random_slice();
#define IF(field) m->field = random_condition();
#define MESSAGE(NAME, name, direction, answer, room, fields)                                                           \
    static void fill_##name(struct wire_##name *m)                                                                     \
    {                                                                                                                  \
        fields                                                                                                         \
    }
#include "common/wire.def"
#undef MESSAGE
#undef U8
#undef U32
#undef U64
#undef STR
#undef IF

#define U8(field) &&a->field == b->field
#define U32(field) &&a->field == b->field
#define U64(field) &&a->field == b->field
#define STR(field) &&slice_equal(a->field, b->field)
#define IF(field) &&same_condition(&a->field, &b->field)
#define MESSAGE(NAME, name, direction, answer, room, fields)                                                           \
    static bool equal_##name(const struct wire_##name *a, const struct wire_##name *b)                                 \
    {                                                                                                                  \
        return true fields;                                                                                            \
    }
#include "common/wire.def"
#undef MESSAGE
#undef U8
#undef U32
#undef U64
#undef STR
#undef IF

/* put: a random message into out; get: whether body decodes; same: whether what was put comes back. */
#define MESSAGE(NAME, name, direction, answer, room, fields)                                                           \
    static void put_##name(struct buf *out)                                                                            \
    {                                                                                                                  \
        struct wire_##name m;                                                                                          \
        fill_##name(&m);                                                                                               \
        wire_put_##name(out, &m);                                                                                      \
    }                                                                                                                  \
    static bool get_##name(struct slice body)                                                                          \
    {                                                                                                                  \
        struct wire_##name m;                                                                                          \
        return wire_get_##name(body, &m);                                                                              \
    }                                                                                                                  \
    static bool same_##name(void)                                                                                      \
    {                                                                                                                  \
        struct wire_##name put, got;                                                                                   \
        struct buf out = {0};                                                                                          \
        fill_##name(&put);                                                                                             \
        wire_put_##name(&out, &put);                                                                                   \
        struct slice body = slice_of(out.data + HEADER, buf_len(&out) - HEADER);                                       \
        bool same = wire_get_##name(body, &got) && equal_##name(&put, &got);                                           \
        buf_clear(&out);                                                                                               \
        return same;                                                                                                   \
    }
#include "common/wire.def"
#undef MESSAGE

static const struct {
    enum wire_type type;
    const char *name;
    void (*put)(struct buf *out);
    bool (*get)(struct slice body);
    bool (*same)(void);
} messages[] = {
#define MESSAGE(NAME, name, direction, answer, room, fields) {WIRE_##NAME, #NAME, put_##name, get_##name, same_##name},
#include "common/wire.def"
#undef MESSAGE
};

#define COUNT (sizeof messages / sizeof *messages)
#define ROUNDS 100

static void test_fields_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        for (unsigned round = 0; round < ROUNDS; round++)
            assert_true(messages[i].same());
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(COUNT, WIRE_TYPE_COUNT - 1);
    for (size_t i = 0; i < COUNT; i++)
        assert_string_equal(wire_name(messages[i].type), messages[i].name);
    assert_string_equal(wire_name(WIRE_INVALID), "?");
    assert_string_equal(wire_name(WIRE_TYPE_COUNT), "?");
}

/* An answer goes back the way its question came, and is answered by nothing itself. */
static void test_answers_go_back(void **state)
{
    static const enum wire_direction back[] = {
        [WIRE_ROUTER_TO_SHARD] = WIRE_ANSWER_TO_ROUTER,
        [WIRE_SHARD_TO_SHARD] = WIRE_SHARD_TO_SHARD,
    };
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        enum wire_type type = messages[i].type, answer = wire_answer(type);
        assert_int_not_equal(wire_direction(type), WIRE_NOWHERE);
        if (answer == WIRE_INVALID)
            continue;
        assert_int_equal(wire_direction(answer), back[wire_direction(type)]);
        assert_int_equal(wire_answer(answer), WIRE_INVALID);
    }
    assert_int_equal(wire_direction(WIRE_TYPE_COUNT), WIRE_NOWHERE);
    assert_int_equal(wire_answer(WIRE_READ), WIRE_STREAM);
}

/* What waits for room is repeated by another shard; a router's request is refused instead. */
static void test_only_shards_wait_for_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        if (wire_waits_for_room(messages[i].type))
            assert_int_equal(wire_direction(messages[i].type), WIRE_SHARD_TO_SHARD);
    assert_true(wire_waits_for_room(WIRE_UNPIN));
    assert_false(wire_waits_for_room(WIRE_PIN));
}

static bool decodes(size_t which, struct slice body)
{
    struct slice copy = exact_copy(body);
    bool decoded = messages[which].get(copy);
    exact_free(copy);
    return decoded;
}

static void test_whole_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        for (unsigned round = 0; round < ROUNDS; round++) {
            struct buf out = {0};
            messages[i].put(&out);
            size_t len = buf_len(&out) - HEADER;
            buf_add_byte(&out, 0);
            const char *body = out.data + HEADER;
            assert_true(decodes(i, slice_of(body, len)));
            assert_false(decodes(i, slice_of(body, len + 1)));
            for (size_t cut = 0; cut < len; cut++)
                assert_false(decodes(i, slice_of(body, cut)));
            buf_clear(&out);
        }
}

static void test_peek_over_splits(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        struct buf out = {0};
        messages[i].put(&out);
        size_t whole = buf_len(&out), size;
        buf_add_slice(&out, SLICE("next"));
        enum wire_type type = WIRE_INVALID;
        struct slice body = {0};
        for (size_t len = 0; len < whole; len++) {
            struct slice part = exact_copy(slice_of(out.data, len));
            assert_int_equal(wire_peek(part, &type, &body, &size), WIRE_PEEK_MORE);
            assert_int_equal(size, len < 4 ? 0 : whole);
            exact_free(part);
        }
        for (size_t len = whole; len <= buf_len(&out); len++) {
            assert_int_equal(wire_peek(slice_of(out.data, len), &type, &body, &size), WIRE_PEEK_FRAME);
            assert_int_equal(type, messages[i].type);
            assert_int_equal(size, whole);
            assert_ptr_equal(body.data, out.data + HEADER);
            assert_int_equal(body.len, whole - HEADER);
        }
        buf_clear(&out);
    }
}

static void test_frames_in_a_row(void **state)
{
    (void)state;
    struct buf out = {0};
    for (size_t i = 0; i < COUNT; i++)
        messages[i].put(&out);
    for (size_t i = 0; i < COUNT; i++) {
        enum wire_type type;
        struct slice body;
        size_t size;
        assert_int_equal(wire_peek(buf_slice(&out), &type, &body, &size), WIRE_PEEK_FRAME);
        assert_int_equal(type, messages[i].type);
        assert_true(messages[i].get(body));
        buf_consume(&out, size);
    }
    assert_int_equal(buf_len(&out), 0);
    buf_clear(&out);
}

static void test_only_the_wanted_type_is_taken(void **state)
{
    (void)state;
    struct buf out = {0};
    struct slice body;
    struct wire_parked parked;
    wire_put_parked(&out, &(struct wire_parked){.id = 7});
    wire_put_parked(&out, &(struct wire_parked){.id = 8});
    struct slice in = buf_slice(&out), cut = slice_of(in.data, in.len / 2 - 1);
    assert_false(wire_take(&in, WIRE_EVENT, &body));
    assert_int_equal(in.len, buf_len(&out));
    for (uint64_t id = 7; id <= 8; id++) {
        assert_true(wire_take(&in, WIRE_PARKED, &body) && wire_get_parked(body, &parked));
        assert_int_equal(parked.id, id);
    }
    assert_int_equal(in.len, 0);
    assert_false(wire_take(&in, WIRE_PARKED, &body));
    assert_false(wire_take(&cut, WIRE_PARKED, &body));
    buf_clear(&out);
}

static enum wire_peek peek(struct slice in)
{
    enum wire_type type;
    struct slice body;
    size_t size;
    return wire_peek(in, &type, &body, &size);
}

static void test_broken_frames(void **state)
{
    (void)state;
    const char past_last[] = {1, 0, 0, 0, (char)WIRE_TYPE_COUNT};
    assert_int_equal(peek(SLICE("\0\0\0\0")), WIRE_PEEK_BAD);     /* no room for a type */
    assert_int_equal(peek(SLICE("\x01\0\0\x10")), WIRE_PEEK_BAD); /* WIRE_FRAME_MAX + 1 */
    assert_int_equal(peek(SLICE("\0\0\0\x10")), WIRE_PEEK_MORE);  /* WIRE_FRAME_MAX */
    assert_int_equal(peek(SLICE("\xff\xff\xff\xff")), WIRE_PEEK_BAD);
    assert_int_equal(peek(SLICE("\x01\0\0\0\0")), WIRE_PEEK_BAD); /* WIRE_INVALID */
    assert_int_equal(peek(SLICE("\x01\0\0\0\xff")), WIRE_PEEK_BAD);
    assert_int_equal(peek(slice_of(past_last, sizeof past_last)), WIRE_PEEK_BAD);
}

int main(void)
{
    srand(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_come_back),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_answers_go_back),
        cmocka_unit_test(test_only_shards_wait_for_room),
        cmocka_unit_test(test_whole_or_refused),
        cmocka_unit_test(test_peek_over_splits),
        cmocka_unit_test(test_frames_in_a_row),
        cmocka_unit_test(test_broken_frames),
        cmocka_unit_test(test_only_the_wanted_type_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
