#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/table.h"

#define NAME_MAX_BYTES 32

struct member {
    struct table_node node;
    char name[NAME_MAX_BYTES];
    bool seen;
};

static unsigned asked; /* how often a member's key was read */

static struct slice member_key(const struct table_node *node)
{
    asked++;
    return slice_str(TABLE_OWNER(node, struct member, node)->name);
}

static struct member *member_of(struct table *table, const char *name)
{
    struct table_node *node = table_find(table, slice_str(name));
    return node ? TABLE_OWNER(node, struct member, node) : NULL;
}

static struct member *members_new(struct table *table, size_t count)
{
    struct member *members = xcalloc(count, sizeof *members);
    table_init(table, member_key);
    for (size_t i = 0; i < count; i++) {
        snprintf(members[i].name, NAME_MAX_BYTES, "stream/%zu", i);
        table_add(table, &members[i].node);
    }
    return members;
}

static void finds_what_was_added_and_not_removed(void **state)
{
    struct table table;
    struct member *members = members_new(&table, 1000);
    (void)state;
    for (size_t i = 0; i < 1000; i += 2)
        table_remove(&table, &members[i].node);
    assert_int_equal(table.count, 500);
    for (size_t i = 0; i < 1000; i++)
        assert_ptr_equal(member_of(&table, members[i].name), i % 2 ? &members[i] : NULL);
    assert_null(member_of(&table, ""));
    assert_null(member_of(&table, "stream/1000"));
    table_clear(&table);
    free(members);
}

static void an_empty_table_has_nothing(void **state)
{
    struct table table;
    struct member member = {.name = "one"};
    (void)state;
    table_init(&table, member_key);
    assert_null(table_find(&table, SLICE("one")));
    assert_null(table_next(&table, NULL));
    table_add(&table, &member.node);
    table_remove(&table, &member.node);
    assert_null(table_find(&table, SLICE("one")));
    assert_null(table_next(&table, NULL));
    table_clear(&table);
    assert_null(table_find(&table, SLICE("one")));
    table_clear(&table);
}

static void a_walk_meets_each_once_even_if_it_removes(void **state)
{
    struct table table;
    struct member *members = members_new(&table, 100);
    size_t met = 0;
    (void)state;
    for (struct table_node *node = table_next(&table, NULL), *next; node; node = next) {
        struct member *member = TABLE_OWNER(node, struct member, node);
        assert_false(member->seen);
        member->seen = true;
        met++;
        next = table_next(&table, node);
        table_remove(&table, node);
    }
    assert_int_equal(met, 100);
    assert_int_equal(table.count, 0);
    table_clear(&table);
    free(members);
}

/* The hash that these tables had: without a key, so that anybody can compute it. */
static uint64_t fnv1a(const char *text)
{
    uint64_t hash = 1469598103934665603u;
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 1099511628211u;
    return hash;
}

/* All names end in the same of 4,096 buckets of an FNV-1a table: each lookup there would compare a thousand names on
 * average. */
static void names_made_to_collide_do_not(void **state)
{
    enum { COUNT = 2048 };
    struct table table;
    struct member *members = xcalloc(COUNT, sizeof *members);
    uint64_t number = 0;
    (void)state;
    table_init(&table, member_key);
    for (size_t i = 0; i < COUNT; i++) {
        do
            snprintf(members[i].name, NAME_MAX_BYTES, "flood/%llu", (unsigned long long)number++);
        while (fnv1a(members[i].name) % 4096 != 0);
        table_add(&table, &members[i].node);
    }
    asked = 0;
    for (size_t i = 0; i < COUNT; i++)
        assert_ptr_equal(member_of(&table, members[i].name), &members[i]);
    assert_in_range(asked, COUNT, COUNT * 3);
    table_clear(&table);
    free(members);
}

static void two_tables_hash_differently(void **state)
{
    struct table one, other;
    (void)state;
    table_init(&one, member_key);
    table_init(&other, member_key);
    assert_memory_not_equal(one.secret, other.secret, sizeof one.secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added_and_not_removed),
        cmocka_unit_test(an_empty_table_has_nothing),
        cmocka_unit_test(a_walk_meets_each_once_even_if_it_removes),
        cmocka_unit_test(names_made_to_collide_do_not),
        cmocka_unit_test(two_tables_hash_differently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
