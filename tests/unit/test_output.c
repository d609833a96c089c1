#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "router/output.h"

static void shared_blocks(void **state)
{
    struct output_pool pool = {0};
    struct output a = {0}, b = {0};
    struct block *block = block_copy(&pool, SLICE("5\r\nhello\r\n"));
    int pair[2];
    char got[64];
    bool moved;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    output_add(&a, &pool, block, 0, block->len);
    output_add(&a, &pool, block, 3, 5);
    output_add(&a, &pool, block, 3, 0); /* nothing */
    output_add(&b, &pool, block, 0, 1);
    block_unref(block);
    assert_int_equal(a.bytes, 15);
    assert_int_equal(output_write(&a, &pool, pair[0], &moved), OUTPUT_EMPTY);
    assert_true(moved);
    assert_int_equal(a.bytes, 0);
    assert_int_equal(read(pair[1], got, sizeof got), 15);
    assert_memory_equal(got, "5\r\nhello\r\nhello", 15);
    assert_int_equal(block->refs, 1);
    output_clear(&b, &pool);
    assert_int_equal(pool.block_bytes, 0);
    while (pool.unused) {
        struct piece *next = pool.unused->next;
        free(pool.unused);
        pool.unused = next;
    }
    close(pair[0]);
    close(pair[1]);
}

/* Everything arrives in order through a socket that is full again and again. */
static void blocked_and_broken(void **state)
{
    struct output_pool pool = {0};
    struct output out = {0};
    int pair[2];
    bool moved;
    size_t total = 0, received = 0;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    for (int i = 0; i < 200; i++) {
        struct block *block = block_new(&pool, 10007);
        for (size_t j = 0; j < block->len; j++)
            block->data[j] = (char)((total + j) % 251);
        output_add(&out, &pool, block, 0, block->len);
        total += block->len;
        block_unref(block);
    }
    assert_int_equal(output_write(&out, &pool, pair[0], &moved), OUTPUT_BLOCKED);
    while (received < total) {
        char got[5000];
        ssize_t n = read(pair[1], got, sizeof got);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal((unsigned char)got[i], (received + (size_t)i) % 251);
        received += (size_t)n;
        assert_int_not_equal(output_write(&out, &pool, pair[0], &moved), OUTPUT_BROKEN);
        assert_true(out.bytes <= total - received);
    }
    assert_int_equal(out.bytes, 0);
    close(pair[1]);
    struct block *last = block_copy(&pool, SLICE("x"));
    output_add(&out, &pool, last, 0, 1);
    block_unref(last);
    assert_int_equal(output_write(&out, &pool, pair[0], &moved), OUTPUT_BROKEN);
    output_clear(&out, &pool);
    while (pool.unused) {
        struct piece *next = pool.unused->next;
        free(pool.unused);
        pool.unused = next;
    }
    close(pair[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shared_blocks), cmocka_unit_test(blocked_and_broken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
