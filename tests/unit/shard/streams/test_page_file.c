/* Pages that are kept as files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/streams/page_file.h"

static const struct page_file *add(struct page_files *files, uint64_t start, bool full, size_t bytes, uint64_t now_ms)
{
    struct page page = {.next = start + bytes, .full = full, .time_ms = 5};
    const struct page_key key = {.uid = 1, .start = start, .max_bytes = 1000};
    memset(buf_reserve(&page.data, bytes), 'a' + (int)(start % 26), bytes);
    buf_grow(&page.data, bytes);
    const struct page_file *file = page_files_add(files, &key, &page, 3000, now_ms);
    assert_non_null(file);
    buf_clear(&page.data);
    return file;
}

static const struct page_file *find(struct page_files *files, uint64_t start, uint64_t tail)
{
    const struct page_key key = {.uid = 1, .start = start, .max_bytes = 1000};
    return page_files_find(files, &key, tail, 100);
}

static void a_page_is_found_while_it_is_right(void **state)
{
    struct page_files files = {0};
    char text[4];
    (void)state;
    add(&files, 1, true, 1000, 0);
    add(&files, 2, false, 500, 0);
    assert_null(find(&files, 3, 502));
    assert_non_null(find(&files, 1, 99999));
    assert_non_null(find(&files, 2, 502));
    assert_null(find(&files, 2, 503)); /* something was appended */
    const struct page_file *file = find(&files, 1, 0);
    assert_int_equal(file->bytes, 1000);
    assert_int_equal(file->next, 1001);
    assert_int_equal(pread(file->fd, text, 4, 996), 4);
    assert_memory_equal(text, "bbbb", 4);
    const struct page_key other = {.uid = 1, .start = 1, .max_bytes = 1000, .max_messages = 3};
    assert_null(page_files_find(&files, &other, 0, 0));
    page_files_clear(&files);
    assert_int_equal(files.count, 0);
    assert_int_equal(files.bytes, 0);
}

static void the_longest_unused_goes(void **state)
{
    struct page_files files = {0};
    (void)state;
    for (uint64_t start = 0; start < 3; start++)
        add(&files, start, true, 1000, 10 + start);
    assert_non_null(find(&files, 0, 0));
    add(&files, 3, true, 1000, 20);
    assert_int_equal(files.bytes, 3000);
    assert_null(find(&files, 1, 0));
    assert_non_null(find(&files, 0, 0));
    add(&files, 4, true, 5000, 20); /* more than is kept, but it was asked for */
    assert_int_equal(files.count, 1);
    assert_non_null(find(&files, 4, 0));
    page_files_age(&files, 100); /* used at 100 */
    assert_int_equal(files.count, 1);
    page_files_age(&files, 101);
    assert_int_equal(files.count, 0);
    assert_null(files.newest);
    assert_null(files.oldest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_page_is_found_while_it_is_right),
                                       cmocka_unit_test(the_longest_unused_goes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
