/* The journal gives back what was committed, in order, and drops from the left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/store/commit.h"
#include "shard/store/journal.h"
#include "shard/store/store_wal.h"
#include "tests/unit/shard/store/database.h"

static struct journal_entry text(uint64_t uid, uint64_t start, const char *data, uint64_t time_ms)
{
    return (struct journal_entry){
        .uid = uid, .start = start, .count = strlen(data), .time_ms = time_ms, .data = slice_str(data)};
}

/* What a recovery has told, as text: "uid@start=data;". */
static void note(void *ctx, const struct journal_entry *entry)
{
    struct buf *told = ctx;
    char head[64];
    int len =
        snprintf(head, sizeof head, "%llu@%llu=", (unsigned long long)entry->uid, (unsigned long long)entry->start);
    buf_add(told, head, (size_t)len);
    buf_add_slice(told, entry->data);
    buf_add_text(told, ";");
    assert_int_equal(entry->batch->time_ms, entry->time_ms);
    /* where it says that its bytes lie they are */
    assert_memory_equal(buf_slice(&entry->batch->data).data + entry->at + entry->boundaries.len, entry->data.data,
                        entry->data.len);
}

static void expect(struct database *d, const char *told)
{
    struct buf all = {0};
    journal_recover(d->store, note, &all);
    assert_int_equal(buf_len(&all), strlen(told));
    if (*told)
        assert_memory_equal(buf_slice(&all).data, told, strlen(told));
    buf_clear(&all);
}

/* Into a file: there is nothing else to commit. */
static void append(struct database *d, struct journal_entry entry)
{
    journal_append(d->store, &entry);
}

/* Into a row: there is a transaction, too. */
static void append_row(struct database *d, struct journal_entry entry)
{
    store_begin(d->store);
    journal_append(d->store, &entry);
}

static void committed_entries_come_back_in_order(void **state)
{
    struct database *d = *state;
    assert_int_equal(journal_last(d->store), 0);
    append(d, text(1, 0, "one", 5));
    append(d, text(2, 0, "zwei", 5));
    append(d, text(1, 3, "uno", 5));
    assert_true(store_commit(d->store));
    assert_int_equal(journal_last(d->store), 1);
    append(d, text(1, 6, "later", 6));
    assert_true(store_commit(d->store));
    assert_int_equal(journal_last(d->store), 2);
    database_reopen(d);
    assert_int_equal(journal_last(d->store), 2);
    expect(d, "1@0=one;2@0=zwei;1@3=uno;1@6=later;");
}

static void entries_of_another_time_are_another_batch(void **state)
{
    struct database *d = *state;
    append(d, text(1, 0, "a", 5));
    append(d, text(1, 1, "b", 6));
    assert_true(store_commit(d->store));
    assert_int_equal(journal_last(d->store), 2);
    expect(d, "1@0=a;1@1=b;");
}

/* Two streams get the same bytes: they are stored once, and each entry has them. */
static void shared_bytes_are_stored_once(void **state)
{
    struct database *d = *state;
    struct journal_entry first = text(1, 0, "shared", 5), second = text(2, 0, "shared", 5);
    first.flags = ENTRY_SHARED;
    second.flags = ENTRY_SHARED | ENTRY_SAME;
    store_begin(d->store);
    journal_append(d->store, &first);
    journal_append(d->store, &second);
    assert_ptr_equal(first.batch, second.batch);
    assert_int_equal(first.at, second.at);
    assert_int_equal(buf_len(&first.batch->data), 6);
    assert_true(store_commit(d->store));
    expect(d, "1@0=shared;2@0=shared;");
}

/* In a batch of its own there is no entry before it. */
static void the_first_entry_of_a_batch_brings_its_bytes(void **state)
{
    struct database *d = *state;
    struct journal_entry entry = text(2, 0, "shared", 6);
    entry.flags = ENTRY_SHARED | ENTRY_SAME;
    append(d, text(1, 0, "shared", 5));
    store_begin(d->store);
    journal_append(d->store, &entry);
    assert_int_equal(entry.flags, ENTRY_SHARED);
    assert_true(store_commit(d->store));
    expect(d, "1@0=shared;2@0=shared;");
}

static void a_batch_lives_as_long_as_it_is_referred_to(void **state)
{
    struct database *d = *state;
    struct journal_entry entry = text(1, 0, "kept", 5);
    journal_append(d->store, &entry);
    struct batch *batch = batch_ref(entry.batch);
    assert_true(store_commit(d->store));
    assert_int_equal(buf_len(&batch->heads), 0); /* recovery reads them from the disk */
    assert_memory_equal(buf_slice(&batch->data).data + entry.at, "kept", 4);
    batch_unref(batch);
}

static void batches_are_dropped_from_the_left(void **state)
{
    struct database *d = *state;
    for (uint64_t i = 0; i < 6; i++) {
        append_row(d, text(1, i, "x", 5 + i));
        assert_true(store_commit(d->store));
    }
    store_begin(d->store);
    assert_true(journal_drop(d->store, 4, 2));
    while (journal_drop(d->store, 4, 2))
        ;
    store_commit(d->store);
    expect(d, "1@4=x;1@5=x;");
    store_begin(d->store);
    assert_false(journal_drop(d->store, 6, 100)); /* none is left */
    store_commit(d->store);
    expect(d, "");
}

/* Two lists of batches are read as one. */
static void rows_and_files_are_one_journal(void **state)
{
    struct database *d = *state;
    const bool in_rows[] = {false, true, true, false, true, false, false};
    for (uint64_t i = 0; i < sizeof in_rows / sizeof in_rows[0]; i++) {
        (in_rows[i] ? append_row : append)(d, text(1, i, "x", 5 + i));
        assert_true(store_commit(d->store));
    }
    expect(d, "1@0=x;1@1=x;1@2=x;1@3=x;1@4=x;1@5=x;1@6=x;");
    database_reopen(d);
    expect(d, "1@0=x;1@1=x;1@2=x;1@3=x;1@4=x;1@5=x;1@6=x;");
    store_begin(d->store);
    assert_true(journal_drop(d->store, 3, 1)); /* the first of two rows, and what is before the second */
    store_commit(d->store);
    expect(d, "1@2=x;1@3=x;1@4=x;1@5=x;1@6=x;");
    assert_false(journal_drop(d->store, 4, 1));
    store_commit(d->store);
    database_reopen(d);
    expect(d, "1@4=x;1@5=x;1@6=x;");
    assert_false(journal_drop(d->store, 7, 1));
    store_commit(d->store);
    database_reopen(d);
    expect(d, "");
    assert_int_equal(journal_last(d->store), 7);
}

/* A transaction that drops a batch is not synced, and has no number: recovery would repeat it. */
static void a_flush_waits_for_no_fsync(void **state)
{
    struct database *d = *state;
    append_row(d, text(1, 0, "x", 5));
    store_commit(d->store); /* a write-ahead log that begins anew is synced once by SQLite */
    uint64_t sealed = store_commits(d->store)->sealed;
    (void)store_synced_us(d->store);
    store_begin_unsynced(d->store);
    assert_false(journal_drop(d->store, 1, 1));
    assert_true(store_commit(d->store));
    assert_int_equal(store_synced_us(d->store), 0);
    assert_int_equal(store_commits(d->store)->sealed, sealed);
    append(d, text(1, 1, "y", 6));
    store_commit(d->store);
    expect(d, "1@1=y;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATABASE_TEST(rows_and_files_are_one_journal),
        DATABASE_TEST(a_flush_waits_for_no_fsync),
        DATABASE_TEST(committed_entries_come_back_in_order),
        DATABASE_TEST(entries_of_another_time_are_another_batch),
        DATABASE_TEST(shared_bytes_are_stored_once),
        DATABASE_TEST(the_first_entry_of_a_batch_brings_its_bytes),
        DATABASE_TEST(a_batch_lives_as_long_as_it_is_referred_to),
        DATABASE_TEST(batches_are_dropped_from_the_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
