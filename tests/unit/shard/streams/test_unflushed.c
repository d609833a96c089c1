/* Streams in the order of their names, against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "shard/streams/streams.h"

#define COUNT 400

static struct stream streams[COUNT];
static char names[COUNT][8];
static bool in[COUNT];

static struct stream *least(struct slice name)
{
    struct stream *found = NULL;
    for (size_t i = 0; i < COUNT; i++)
        if (in[i] && slice_compare(streams[i].row.name, name) >= 0 &&
            (!found || slice_compare(streams[i].row.name, found->row.name) < 0))
            found = &streams[i];
    return found;
}

static unsigned depth(const struct stream *tree)
{
    if (!tree)
        return 0;
    unsigned left = depth(tree->unflushed_left), right = depth(tree->unflushed_right);
    return 1 + (left > right ? left : right);
}

static void is_like_an_array(void **state)
{
    struct unflushed all;
    unsigned seed = 1;
    (void)state;
    unflushed_init(&all);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%u", (unsigned)(i * 7919 % 10007));
        streams[i].row.name = slice_str(names[i]);
    }
    for (unsigned step = 0; step < 20000; step++) {
        size_t i = (size_t)rand_r(&seed) % COUNT, at = (size_t)rand_r(&seed) % COUNT;
        if (in[i])
            unflushed_remove(&all, &streams[i]);
        else
            unflushed_add(&all, &streams[i]);
        in[i] = !in[i];
        if (step % 3)
            continue; /* some are loose for a while, and some leave so */
        while (!unflushed_sort(&all, 2))
            ;
        assert_ptr_equal(unflushed_from(&all, streams[at].row.name), least(streams[at].row.name));
    }
    assert_true(unflushed_sort(&all, COUNT));
    assert_ptr_equal(unflushed_from(&all, SLICE("")), least(SLICE("")));
    assert_null(unflushed_from(&all, SLICE("a")));
    for (size_t i = 0; i < COUNT; i++)
        if (in[i])
            unflushed_remove(&all, &streams[i]);
    assert_null(all.root);
    assert_null(all.loose);
}

static void ascending_names_make_no_list(void **state)
{
    static struct stream many[10000];
    static char texts[10000][8];
    struct unflushed all;
    (void)state;
    unflushed_init(&all);
    for (size_t i = 0; i < 10000; i++) {
        snprintf(texts[i], sizeof texts[i], "%05u", (unsigned)i);
        many[i].row.name = slice_str(texts[i]);
        unflushed_add(&all, &many[i]);
    }
    assert_false(unflushed_sort(&all, 9999));
    assert_true(unflushed_sort(&all, 1));
    assert_in_range(depth(all.root), 14, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_like_an_array),
        cmocka_unit_test(ascending_names_make_no_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
