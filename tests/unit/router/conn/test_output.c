#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "router/conn/output.h"
#include "router/conn/socket.h"

static void shared_blocks(void **state)
{
    struct output_pool pool = {0};
    struct output a = {0}, b = {0};
    struct block *block = block_copy(&pool, SLICE("5\r\nhello\r\n"));
    int pair[2];
    char got[64];
    size_t written;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    output_add(&a, &pool, block, 0, block->len);
    output_add(&a, &pool, block, 3, 5);
    output_add(&a, &pool, block, 3, 0); /* nothing */
    output_add(&b, &pool, block, 0, 1);
    block_unref(block);
    assert_int_equal(a.bytes, 15);
    assert_int_equal(output_write(&a, &pool, &(struct socket){pair[0]}, SIZE_MAX, &written), OUTPUT_EMPTY);
    assert_true(written > 0);
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
    size_t written;
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
    assert_int_equal(output_write(&out, &pool, &(struct socket){pair[0]}, SIZE_MAX, &written), OUTPUT_BLOCKED);
    while (received < total) {
        char got[5000];
        ssize_t n = read(pair[1], got, sizeof got);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal((unsigned char)got[i], (received + (size_t)i) % 251);
        received += (size_t)n;
        assert_int_not_equal(output_write(&out, &pool, &(struct socket){pair[0]}, SIZE_MAX, &written), OUTPUT_BROKEN);
        assert_true(out.bytes <= total - received);
    }
    assert_int_equal(out.bytes, 0);
    close(pair[1]);
    struct block *last = block_copy(&pool, SLICE("x"));
    output_add(&out, &pool, last, 0, 1);
    block_unref(last);
    assert_int_equal(output_write(&out, &pool, &(struct socket){pair[0]}, SIZE_MAX, &written), OUTPUT_BROKEN);
    output_clear(&out, &pool);
    while (pool.unused) {
        struct piece *next = pool.unused->next;
        free(pool.unused);
        pool.unused = next;
    }
    close(pair[0]);
}

/* [ file ], and no more than was asked for at once. */
static void files_between_memory(void **state)
{
    static char got[4096], file_bytes[3000];
    struct output_pool pool = {0};
    struct output out = {0};
    size_t written, received = 0;
    int pair[2], fd = memfd_create("test", MFD_CLOEXEC);
    (void)state;
    memset(file_bytes, 'f', sizeof file_bytes);
    assert_int_equal(write(fd, file_bytes, sizeof file_bytes), (int)sizeof file_bytes);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct block *before = block_copy(&pool, SLICE("[")), *after = block_copy(&pool, SLICE("]"));
    struct block *file = block_file(&pool, fd, 0, 2000);
    output_add(&out, &pool, before, 0, 1);
    output_add(&out, &pool, file, 100, 1900);
    output_add(&out, &pool, after, 0, 1);
    block_unref(before);
    block_unref(file);
    block_unref(after);
    assert_int_equal(output_write(&out, &pool, &(struct socket){pair[0]}, 1000, &written), OUTPUT_PARTLY);
    assert_int_equal(written, 1000);
    assert_int_equal(output_write(&out, &pool, &(struct socket){pair[0]}, SIZE_MAX, &written), OUTPUT_EMPTY);
    assert_int_equal(written, 902);
    for (ssize_t n; received < 1902 && (n = read(pair[1], got + received, sizeof got - received)) > 0;)
        received += (size_t)n;
    assert_int_equal(received, 1902);
    assert_int_equal(got[0], '[');
    assert_memory_equal(got + 1, file_bytes, 1900);
    assert_int_equal(got[1901], ']');
    assert_int_equal(pool.block_bytes, 0);
    assert_int_equal(close(fd), -1); /* it was closed with its block */
    output_clear(&out, &pool);
    while (pool.unused) {
        struct piece *next = pool.unused->next;
        free(pool.unused);
        pool.unused = next;
    }
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shared_blocks), cmocka_unit_test(blocked_and_broken),
                                       cmocka_unit_test(files_between_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
