/* Streams whose numbers were counted from 1, by a streamd that knew no lives: they have life 0 until they are deleted,
 * and their forks go on from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/store/store.h"
#include "shard/store/store_stream.h"
#include "tests/unit/shard_stand.h"

#define NAME SLICE("p/old")

static void insert_old(struct bench *b)
{
    struct stream_row row = {.uid = ((uint64_t)layout_slot_of_whole(NAME) << LAYOUT_UID_BITS) + 7,
                             .name = NAME,
                             .content_type = SLICE("text/plain"),
                             .ttl_s = STORE_NONE,
                             .expires_ms = STORE_NONE,
                             .source_uid = STORE_NONE,
                             .retain_ms = STORE_NONE};
    memset(row.reader_key, 'a', sizeof row.reader_key);
    store_begin(b->shard->store);
    store_stream_insert(b->shard->store, &row);
    store_commit(b->shard->store);
    append_some(b, "p/old", 3);
}

static struct wire_stream read_from(struct bench *b, struct slice name, struct offset offset)
{
    wire_put_read(
        &b->router.out,
        &(struct wire_read){
            .id = ++b->id, .name = name, .life = offset.life, .position = offset.position, .max_bytes = 1000});
    return stream_answer(b);
}

static void their_offsets_stay(void **state)
{
    struct bench *b = *state;
    insert_old(b);
    struct wire_stream answer = read_from(b, NAME, (struct offset){0, 1});
    assert_int_equal(answer.error, ERR_NONE);
    assert_int_equal(lives_offset(answer.lives, answer.tail).life, 0);
    assert_int_equal(lives_newest(answer.lives).life, 0);
    assert_int_equal(read_from(b, NAME, (struct offset){1764373190123, 1}).error, ERR_STREAM_RECREATED);
    delete_it(b, "p/old");
    answer = create(b, "p/old", "another one");
    assert_true(lives_newest(answer.lives).life >= LAYOUT_SERIAL_FIRST);
    assert_int_equal(read_from(b, NAME, (struct offset){0, 1}).error, ERR_STREAM_RECREATED);
    assert_int_equal(read_from(b, NAME, (struct offset){0, 0}).error, ERR_NONE); /* the start of any stream */
}

static void their_forks_have_a_life_behind_them(void **state)
{
    struct bench *b = *state;
    struct slice fork = SLICE("p/fork");
    insert_old(b);
    wire_put_create(&b->router.out,
                    &(struct wire_create){.id = ++b->id, .name = fork, .flags = WIRE_CREATE_FORK, .fork_source = NAME});
    struct wire_stream made = stream_answer(b);
    assert_int_equal(made.error, ERR_NONE);
    uint64_t base = made.tail;
    uint64_t life = lives_newest(made.lives).life;
    assert_int_equal(lives_offset(made.lives, base).life, life); /* a fork tells its own life only */
    assert_true(life >= LAYOUT_SERIAL_FIRST);
    append_some(b, "p/fork", 2);
    assert_int_equal(read_from(b, fork, (struct offset){0, base}).error, ERR_NONE);
    assert_int_equal(read_from(b, fork, (struct offset){0, base + 1}).error, ERR_STREAM_RECREATED);
    assert_int_equal(read_from(b, fork, (struct offset){life, base + 1}).error, ERR_NONE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(their_offsets_stay), T(their_forks_have_a_life_behind_them)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
