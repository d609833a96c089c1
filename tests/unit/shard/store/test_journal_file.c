/* Commits in files: all of one or nothing, whatever the files were used for before, and what crashes leave behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/store/journal.h"
#include "shard/store/journal_file.h"
#include "tests/unit/shard/store/database.h"

#define MANY 100
#define MARK UINT64_C(0x123456789abcdef0)

struct folder {
    char path[64];
    int64_t dropped; /* as the database would say */
    struct journal_files files;
};

static void open_files(struct folder *f)
{
    journal_files_open(&f->files, f->path, MARK, f->dropped);
}

static int setup(void **state)
{
    struct folder *f = xcalloc(1, sizeof *f);
    strcpy(f->path, "/tmp/streamd-unit-XXXXXX");
    if (!mkdtemp(f->path))
        return -1;
    strcat(f->path, "/db");
    open_files(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct folder *f = *state;
    char command[128];
    journal_files_close(&f->files);
    snprintf(command, sizeof command, "rm -r %.*s", (int)strlen(f->path) - 3, f->path);
    free(f);
    return system(command);
}

static void reopen(struct folder *f)
{
    journal_files_close(&f->files);
    open_files(f);
}

/* Puts a commit of `count` batches, the first of number `seq`, each of `size` bytes of data. */
static void put(struct folder *f, int64_t seq, unsigned count, size_t size, int64_t dropped)
{
    struct batch batches[4] = {0};
    for (unsigned i = 0; i < count; i++) {
        batches[i].seq = seq + i;
        batches[i].time_ms = 1000 + (uint64_t)seq;
        batches[i].next = i + 1 < count ? &batches[i + 1] : NULL;
        buf_add_text(&batches[i].heads, "heads");
        memset(buf_reserve(&batches[i].data, size + 1), 'a' + (int)((seq + i) % 26), size);
        buf_grow(&batches[i].data, size);
    }
    if (!journal_files_have_room(&f->files))
        assert_true(journal_files_next(&f->files, dropped));
    assert_true(journal_files_put(&f->files, batches));
    for (unsigned i = 0; i < count; i++) {
        buf_clear(&batches[i].heads);
        buf_clear(&batches[i].data);
    }
}

/* Behind batch `after` there are those from `first` to `last`, each of `size` bytes, and nothing else. */
static void expect(const struct folder *f, int64_t after, int64_t first, int64_t last, size_t size)
{
    struct journal_cursor cursor;
    journal_cursor_begin(&cursor, &f->files, after);
    for (int64_t seq = first; seq <= last; seq++) {
        assert_int_equal(journal_cursor_next(&cursor), seq);
        assert_true(slice_equal(cursor.heads, SLICE("heads")));
        assert_int_equal(cursor.data.len, size);
        if (size)
            assert_int_equal(cursor.data.data[size - 1], 'a' + (int)(seq % 26));
    }
    assert_int_equal(journal_cursor_next(&cursor), 0);
    journal_cursor_end(&cursor);
}

static int file_fd(const struct folder *f, unsigned i)
{
    char path[128];
    snprintf(path, sizeof path, "%s.journal-%u", f->path, i);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

static void damage(const struct folder *f, unsigned i, off_t at)
{
    char byte;
    int fd = file_fd(f, i);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void commits_come_back(void **state)
{
    struct folder *f = *state;
    assert_int_equal(journal_files_last(&f->files), 0);
    put(f, 1, 1, 10, 0);
    put(f, 2, 3, 10, 0);
    put(f, 5, 1, 10, 0);
    expect(f, 0, 1, 5, 10);
    reopen(f);
    assert_int_equal(journal_files_last(&f->files), 5);
    expect(f, 0, 1, 5, 10);
    expect(f, 3, 4, 5, 10);
    put(f, 6, 1, 10, 0);
    reopen(f);
    expect(f, 0, 1, 6, 10);
}

static void an_empty_batch_comes_back(void **state)
{
    struct folder *f = *state;
    put(f, 1, 2, 0, 0);
    reopen(f);
    expect(f, 0, 1, 2, 0);
}

/* One bit of its last batch is wrong: none of the commit's batches was ever there. */
static void half_a_commit_is_nothing(void **state)
{
    struct folder *f = *state;
    put(f, 1, 1, 100, 0);
    put(f, 2, 3, 1000, 0);
    uint64_t end = f->files.files[0].end;
    damage(f, 0, (off_t)end - 512);
    reopen(f);
    assert_int_equal(journal_files_last(&f->files), 1);
    expect(f, 0, 1, 1, 100);
    put(f, 2, 1, 100, 0); /* written over it; what is left of the old one is not taken for what follows */
    reopen(f);
    expect(f, 0, 1, 2, 100);
}

/* The first batch of a commit is torn, and those behind it are whole. The next commit is just as long as that batch. */
static void what_is_left_of_a_torn_commit_is_not_its_successor(void **state)
{
    struct folder *f = *state;
    const size_t sector = 512 - 56 - 5; /* a record of this much data fills it */
    put(f, 1, 2, sector, 0);
    damage(f, 0, 100);
    reopen(f);
    assert_int_equal(journal_files_last(&f->files), 0);
    put(f, 1, 1, sector, 0);
    reopen(f);
    expect(f, 0, 1, 1, sector);
}

static void files_are_used_again_when_all_is_dropped(void **state)
{
    struct folder *f = *state;
    const size_t size = 1 << 20;
    for (int64_t seq = 1; seq <= 8; seq++)
        put(f, seq, 1, size, 0);
    unsigned files = f->files.count;
    assert_int_equal(files, 2);
    for (int64_t seq = 9; seq <= MANY; seq++)
        put(f, seq, 1, size, f->dropped = seq - 6);
    assert_true(f->files.count <= 3);
    expect(f, MANY - 4, MANY - 3, MANY, size);
    reopen(f);
    assert_int_equal(journal_files_last(&f->files), MANY);
    expect(f, MANY - 4, MANY - 3, MANY, size);
}

/* The first commit of a second use is torn: the file has what it had before, of which all is dropped. */
static void a_torn_second_use_leaves_the_first(void **state)
{
    struct folder *f = *state;
    const size_t size = 1 << 20;
    for (int64_t seq = 1; seq <= 8; seq++)
        put(f, seq, 1, size, 0);
    put(f, 9, 1, size, 4);
    f->dropped = 4;
    assert_int_equal(f->files.current, 0);
    damage(f, 0, 5000);
    reopen(f);
    assert_int_equal(journal_files_last(&f->files), 8);
    expect(f, 4, 5, 8, size);
}

static void a_commit_may_be_longer_than_a_file(void **state)
{
    struct folder *f = *state;
    const size_t size = 20 << 20;
    struct stat stat;
    put(f, 1, 1, size, 0);
    reopen(f);
    expect(f, 0, 1, 1, size);
    assert_true(journal_files_next(&f->files, 1));
    int fd = file_fd(f, 0);
    assert_int_equal(fstat(fd, &stat), 0);
    assert_int_equal(stat.st_size, 4 << 20); /* it is as long as all are again */
    close(fd);
}

/* A commit behind it was made when the disk had it. */
static void damage_is_not_a_torn_commit(void **state)
{
    struct folder *f = *state;
    struct journal_files look;
    for (int64_t seq = 1; seq <= 3; seq++)
        put(f, seq, 1, 700, 0);
    damage(f, 0, 1500);
    assert_false(journal_files_look(&look, f->path, MARK, 0));
    assert_int_equal(journal_files_last(&look), 1);
    journal_files_close(&look);
    damage(f, 0, 1500); /* as it was */
    assert_true(journal_files_look(&look, f->path, MARK, 0));
    journal_files_close(&look);
}

/* A record of another database is rubbish here: a client may send one as data. */
static void what_a_client_sends_is_no_record(void **state)
{
    struct folder *f = *state;
    struct journal_files look;
    char record[512];
    put(f, 1000, 1, 10, 0);
    int fd = file_fd(f, 0);
    assert_int_equal(pread(fd, record, sizeof record, 0), sizeof record);
    assert_int_equal(pwrite(fd, record, sizeof record, 4096), sizeof record);
    close(fd);
    damage(f, 0, 60);
    assert_false(journal_files_look(&look, f->path, MARK, 0)); /* a later commit than the one that is not whole */
    journal_files_close(&look);
    assert_true(journal_files_look(&look, f->path, ~MARK, 0));
    assert_int_equal(journal_files_last(&look), 0);
    journal_files_close(&look);
}

static void blocks_of_dropped_files_are_given_back(void **state)
{
    struct folder *f = *state;
    struct stat stat;
    for (int64_t seq = 1; seq <= 8; seq++)
        put(f, seq, 1, 1 << 20, 0);
    assert_false(journal_files_have_dropped(&f->files, 3));
    assert_true(journal_files_have_dropped(&f->files, 4));
    journal_files_give_back(&f->files, 4);
    int fd = file_fd(f, 0);
    assert_int_equal(fstat(fd, &stat), 0);
    assert_int_equal(stat.st_blocks, 0);
    close(fd);
    reopen(f);
    expect(f, 4, 5, 8, 1 << 20);
    put(f, 9, 1, 1 << 20, 4);
    reopen(f);
    expect(f, 4, 5, 9, 1 << 20);
}

static void rubbish_is_no_commit(void **state)
{
    struct folder *f = *state;
    int fd = file_fd(f, 0);
    char rubbish[4096];
    for (size_t i = 0; i < sizeof rubbish; i++)
        rubbish[i] = (char)(i * 7919 >> 3);
    assert_int_equal(pwrite(fd, rubbish, sizeof rubbish, 0), sizeof rubbish);
    close(fd);
    reopen(f);
    assert_int_equal(journal_files_last(&f->files), 0);
    put(f, 1, 1, 10, 0);
    reopen(f);
    expect(f, 0, 1, 1, 10);
}

static void a_full_disk_takes_nothing(void **state)
{
    struct folder *f = *state;
    put(f, 1, 1, 10, 0);
    unsigned files = f->files.count;
    char path[128];
    snprintf(path, sizeof path, "%s.journal-%u", f->path, files);
    assert_int_equal(mkdir(path, 0700), 0); /* no file can be made there */
    put(f, 2, 1, 4 << 20, 0);
    assert_false(journal_files_have_room(&f->files));
    assert_false(journal_files_next(&f->files, 0));
    assert_int_equal(rmdir(path), 0);
    assert_true(journal_files_next(&f->files, 0));
}

#define FILES_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILES_TEST(commits_come_back),
        FILES_TEST(an_empty_batch_comes_back),
        FILES_TEST(half_a_commit_is_nothing),
        FILES_TEST(what_is_left_of_a_torn_commit_is_not_its_successor),
        FILES_TEST(files_are_used_again_when_all_is_dropped),
        FILES_TEST(a_torn_second_use_leaves_the_first),
        FILES_TEST(a_commit_may_be_longer_than_a_file),
        FILES_TEST(damage_is_not_a_torn_commit),
        FILES_TEST(what_a_client_sends_is_no_record),
        FILES_TEST(blocks_of_dropped_files_are_given_back),
        FILES_TEST(rubbish_is_no_commit),
        FILES_TEST(a_full_disk_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
