/* All of a part is read and written, or the caller is told why not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "common/file.h"

#define LARGE ((size_t)200000) /* more than one step of writing anew */

static int setup(void **state)
{
    char path[] = "/tmp/streamd-unit-XXXXXX";
    int *fd = malloc(sizeof *fd);
    *fd = mkstemp(path);
    unlink(path);
    *state = fd;
    return *fd < 0;
}

static int teardown(void **state)
{
    int *fd = *state;
    close(*fd);
    free(fd);
    return 0;
}

static void what_is_written_is_read(void **state)
{
    int fd = *(int *)*state;
    char read[6];
    assert_true(file_write_at(fd, SLICE("hello"), 3));
    assert_true(file_write_at(fd, SLICE("J"), 3));
    assert_true(file_read_at(fd, read, 5, 3));
    assert_memory_equal(read, "Jello", 5);
    assert_true(file_read_at(fd, read, 0, 100));
}

static void a_file_that_ends_before_is_told_apart(void **state)
{
    int fd = *(int *)*state;
    char read[6];
    assert_true(file_write_at(fd, SLICE("hello"), 0));
    assert_false(file_read_at(fd, read, 6, 0));
    assert_int_equal(errno, 0);
    assert_false(file_read_at(-1, read, 1, 0));
    assert_int_equal(errno, EBADF);
    assert_false(file_write_at(-1, SLICE("x"), 0));
    assert_int_equal(errno, EBADF);
}

/* The kernel writes what still fits, and refuses the rest. */
static void a_part_that_does_not_fit_is_an_error(void **state)
{
    int fd = *(int *)*state;
    struct rlimit before, little;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = (struct rlimit){3, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    bool written = file_write_at(fd, SLICE("hello"), 0);
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(written);
    assert_int_equal(error, EFBIG);
}

static void written_anew_a_file_is_as_it_was(void **state)
{
    int fd = *(int *)*state;
    struct stat stat;
    char *bytes = malloc(LARGE), *read = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (char)(i * 7919 >> 3);
    assert_true(file_write_at(fd, slice_of(bytes, LARGE), 0));
    assert_true(file_write_anew(fd, LARGE));
    assert_true(file_write_anew(fd, LARGE / 2));
    assert_true(file_read_at(fd, read, LARGE, 0));
    assert_memory_equal(read, bytes, LARGE);
    assert_int_equal(fstat(fd, &stat), 0);
    assert_int_equal(stat.st_size, LARGE);
    assert_false(file_write_anew(fd, LARGE + 1));
    free(bytes);
    free(read);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(what_is_written_is_read),
        FILE_TEST(a_file_that_ends_before_is_told_apart),
        FILE_TEST(a_part_that_does_not_fit_is_an_error),
        FILE_TEST(written_anew_a_file_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
