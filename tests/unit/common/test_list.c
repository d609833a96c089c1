#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/list.h"

struct member {
    int number;
    struct list link;
};

static struct list *link_of(struct member *member, int number)
{
    member->number = number;
    list_init(&member->link);
    return &member->link;
}

/* The members' numbers as digits of one, from the first to the last; backwards they must be the same ones. */
static int numbers(const struct list *head)
{
    int forward = 0, backward = 0, place = 1;
    LIST_EACH(link, (struct list *)(uintptr_t)head)
    forward = forward * 10 + LIST_OWNER(link, struct member, link)->number;
    for (const struct list *link = head->prev; link != head; link = link->prev, place *= 10)
        backward += LIST_OWNER(link, const struct member, link)->number * place;
    assert_int_equal(forward, backward);
    return forward;
}

static void keeps_the_order(void **state)
{
    struct list head;
    struct member m[4];
    (void)state;
    list_init(&head);
    assert_true(list_empty(&head));
    assert_int_equal(list_count(&head), 0);
    list_add_last(&head, link_of(&m[0], 2));
    list_add_last(&head, link_of(&m[1], 4));
    list_add_first(&head, link_of(&m[2], 1));
    list_insert(&m[1].link, link_of(&m[3], 3));
    assert_int_equal(numbers(&head), 1234);
    assert_false(list_empty(&head));
}

static void removes_from_everywhere(void **state)
{
    struct list head;
    struct member m[3];
    (void)state;
    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_add_last(&head, link_of(&m[i], i + 1));
    list_remove(&m[1].link);
    assert_int_equal(numbers(&head), 13);
    assert_true(list_empty(&m[1].link));
    list_remove(&m[1].link);
    assert_int_equal(numbers(&head), 13);
    assert_ptr_equal(list_pop(&head), &m[0].link);
    assert_ptr_equal(list_pop(&head), &m[2].link);
    assert_null(list_pop(&head));
}

static void a_walk_may_remove_where_it_is(void **state)
{
    struct list head;
    struct member m[5];
    (void)state;
    list_init(&head);
    for (int i = 0; i < 5; i++)
        list_add_last(&head, link_of(&m[i], i + 1));
    LIST_EACH_SAFE(link, after, &head)
    if (LIST_OWNER(link, struct member, link)->number % 2)
        list_remove(link);
    assert_int_equal(numbers(&head), 24);
}

static void appends_a_whole_list(void **state)
{
    struct list head, more;
    struct member m[4];
    (void)state;
    list_init(&head);
    list_init(&more);
    list_append(&head, &more);
    assert_true(list_empty(&head));
    for (int i = 0; i < 4; i++)
        list_add_last(i < 2 ? &head : &more, link_of(&m[i], i + 1));
    list_append(&head, &more);
    assert_int_equal(numbers(&head), 1234);
    assert_true(list_empty(&more));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order),
        cmocka_unit_test(removes_from_everywhere),
        cmocka_unit_test(a_walk_may_remove_where_it_is),
        cmocka_unit_test(appends_a_whole_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
