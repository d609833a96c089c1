/* Slots, the plan of a move, and the layout file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/layout.h"

/* These may never change: streams would be looked for in the wrong shard. */
static void test_slots_are_golden(void **state)
{
    static const struct {
        const char *name;
        unsigned slot;
    } golden[] = {
        {"", 294},
        {"a", 603},
        {"b", 720},
        {"demo/chat", 201},
        {"demo/chat2", 348},
        {"p/stream-000001", 247},
        {"p/stream-000002", 449},
        {"pr\xc3\xb6jekt/\xe6\xb5\x81", 165},
    };
    struct layout layout;
    (void)state;
    layout_init(&layout, 1);
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++)
        assert_int_equal(layout_slot(&layout, slice_str(golden[i].name)), golden[i].slot);
}

/* Nor these: a name and one that has the same slot. "": it has a slot of its own. */
static void test_groups(void **state)
{
    static const char *const golden[][2] = {
        {"demo/{chat}", "demo/chat"},
        {"demo/{chat}/messages", "demo/chat"},
        {"demo/index of {chat}", "demo/chat"},
        {"demo/{chat}{chat2}", "demo/chat"},
        {"demo/x}{chat}", "demo/chat"},
        {"demo/{{chat}}", "demo/{chat"},
        {"demo/{a/b}/c", "demo/a/b"},
        {"demo/{\xc3\xb6}1", "demo/\xc3\xb6"},
        {"other/{chat}", "other/chat"},
        {"demo/{}", ""},
        {"demo/{}{chat}", ""},
        {"demo/{chat", ""},
        {"demo/chat}", ""},
        {"demo/}chat{", ""},
    };
    struct layout layout;
    (void)state;
    layout_init(&layout, 1);
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        struct slice name = slice_str(golden[i][0]), same = slice_str(golden[i][1]);
        assert_int_equal(layout_slot(&layout, name), layout_slot_of_whole(same.len ? same : name));
        assert_int_equal(layout_group(name).len != 0, same.len != 0);
        layout.groups = false;
        assert_int_equal(layout_slot(&layout, name), layout_slot_of_whole(name));
        layout.groups = true;
    }
    assert_int_equal(layout_slot(&layout, SLICE("demo/{chat}")), 201);
}

static void test_kept_names_keep_their_slots(void **state)
{
    struct layout layout;
    const struct slice kept = SLICE("p/{a}1"), other = SLICE("p/{a}2");
    const uint64_t hashes[] = {layout_hash(SLICE("p/{z}")), layout_hash(kept), 7, layout_hash(kept), UINT64_MAX};
    (void)state;
    layout_init(&layout, 1);
    layout_keep(&layout, hashes, 5);
    assert_int_equal(layout.kept_count, 4);
    assert_int_equal(layout_slot(&layout, kept), layout_slot_of_whole(kept));
    assert_int_not_equal(layout_slot(&layout, kept), layout_slot_of_group(kept));
    assert_int_equal(layout_slot(&layout, other), layout_slot_of_group(other));
    layout_clear(&layout);
}

static void test_slots_are_spread(void **state)
{
    unsigned count[LAYOUT_SLOTS] = {0};
    char name[32];
    (void)state;
    for (unsigned i = 0; i < LAYOUT_SLOTS * 100; i++) {
        snprintf(name, sizeof name, "bench/s%u", i);
        count[layout_slot_of_whole(slice_str(name))]++;
    }
    for (unsigned i = 0; i < LAYOUT_SLOTS; i++)
        assert_in_range(count[i], 50, 160);
}

static void assert_even(const uint16_t *owner, unsigned shards)
{
    unsigned has[LAYOUT_SHARDS_MAX] = {0};
    for (unsigned i = 0; i < LAYOUT_SLOTS; i++) {
        assert_true(owner[i] < shards);
        has[owner[i]]++;
    }
    for (unsigned i = 0; i < shards; i++)
        assert_in_range(has[i], LAYOUT_SLOTS / shards, (LAYOUT_SLOTS + shards - 1) / shards);
}

/* Fewer moves are impossible: what a shard holds above its share, and all that a removed one holds. */
static unsigned least_moves(const struct layout *layout, unsigned shards)
{
    unsigned has[LAYOUT_SHARDS_MAX] = {0}, moves = 0, large = LAYOUT_SLOTS % shards, base = LAYOUT_SLOTS / shards;
    for (unsigned i = 0; i < LAYOUT_SLOTS; i++)
        has[layout->owner[i]]++;
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++) {
        unsigned share = i < shards ? base : 0;
        if (i < shards && has[i] > base && large > 0) {
            share++;
            large--;
        }
        moves += has[i] > share ? has[i] - share : 0;
    }
    return moves;
}

static void check_plan(const struct layout *layout, unsigned shards)
{
    struct layout moved = {.shards = shards};
    uint16_t again[LAYOUT_SLOTS];
    unsigned moves = 0;
    layout_plan(layout, shards, moved.owner);
    assert_even(moved.owner, shards);
    for (unsigned i = 0; i < LAYOUT_SLOTS; i++)
        moves += moved.owner[i] != layout->owner[i];
    assert_int_equal(moves, least_moves(layout, shards));
    layout_plan(&moved, shards, again);
    assert_memory_equal(moved.owner, again, sizeof again);
}

static void test_plans(void **state)
{
    struct layout layout;
    (void)state;
    for (unsigned from = 1; from <= LAYOUT_SHARDS_MAX; from += 5)
        for (unsigned to = 1; to <= LAYOUT_SHARDS_MAX; to += 3) {
            layout_init(&layout, from);
            assert_even(layout.owner, from);
            check_plan(&layout, to);
        }
}

/* A move that was cut anywhere goes on to where it was going. */
static void test_a_cut_move_goes_on(void **state)
{
    static const unsigned counts[][2] = {{4, 6}, {6, 4}, {3, 7}, {7, 3}, {1, 256}, {256, 5}};
    uint16_t target[LAYOUT_SLOTS], rest[LAYOUT_SLOTS];
    struct layout layout;
    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        layout_init(&layout, counts[c][0]);
        layout_plan(&layout, counts[c][1], target);
        for (unsigned i = 0; i < LAYOUT_SLOTS; i++) {
            layout.owner[i] = target[i];
            layout_plan(&layout, counts[c][1], rest);
            assert_memory_equal(rest, target, sizeof rest);
        }
    }
}

/* Not with the shard count that it came from either. */
static void test_a_cut_move_is_not_served(void **state)
{
    struct layout layout;
    (void)state;
    layout_init(&layout, 3);
    assert_false(layout_must_move(&layout, 3));
    assert_true(layout_must_move(&layout, 2));
    layout.moving = true;
    assert_true(layout_must_move(&layout, 3));
}

struct folder {
    char path[32], file[48];
};

static void folder_make(struct folder *f)
{
    snprintf(f->path, sizeof f->path, "/tmp/test_layout.XXXXXX");
    assert_non_null(mkdtemp(f->path));
    snprintf(f->file, sizeof f->file, "%s/layout", f->path);
}

static void folder_remove(const struct folder *f)
{
    unlink(f->file);
    assert_int_equal(rmdir(f->path), 0);
}

static void test_file_reads_back(void **state)
{
    struct folder f;
    struct layout layout, loaded;
    const char *why;
    (void)state;
    folder_make(&f);
    assert_int_equal(layout_load(f.path, &loaded, &why), LAYOUT_ABSENT);
    layout_init(&layout, LAYOUT_SHARDS_MAX);
    layout.shards = 3;
    for (size_t i = 0; i < 4; i++) {
        const uint64_t hashes[] = {0x123456789abcdef, UINT64_MAX, 0};
        layout_keep(&layout, hashes, i);
        layout.moving = i & 1;
        layout.groups = i > 0; /* a file of version 1 is read and written, too */
        assert_true(layout_save(f.path, &layout));
        assert_int_equal(layout_load(f.path, &loaded, &why), LAYOUT_LOADED);
        assert_int_equal(loaded.shards, layout.shards);
        assert_int_equal(loaded.moving, layout.moving);
        assert_memory_equal(loaded.owner, layout.owner, sizeof layout.owner);
        assert_int_equal(loaded.groups, layout.groups);
        assert_int_equal(loaded.kept_count, i);
        assert_memory_equal(loaded.kept ? loaded.kept : hashes, i ? layout.kept : hashes, i * sizeof *hashes);
        layout_clear(&loaded);
        layout_clear(&layout);
        layout_init(&layout, 7);
    }
    folder_remove(&f);
}

/* The folder may be another user's, and this one root. */
static void test_no_link_is_followed(void **state)
{
    struct folder f, other;
    struct layout layout;
    char link[sizeof f.path + 16];
    struct stat kept;
    (void)state;
    folder_make(&f);
    folder_make(&other);
    layout_init(&layout, 1);
    assert_true(layout_save(other.path, &layout));
    assert_int_equal(stat(other.file, &kept), 0);
    off_t size = kept.st_size;
    snprintf(link, sizeof link, "%s/layout.tmp", f.path);
    assert_int_equal(symlink(other.file, link), 0);
    layout.shards = 200;
    assert_false(layout_save(f.path, &layout));
    assert_int_equal(errno, ELOOP);
    assert_int_equal(stat(other.file, &kept), 0);
    assert_int_equal(kept.st_size, size);
    assert_int_equal(unlink(link), 0);
    folder_remove(&f);
    folder_remove(&other);
}

static void write_file(const struct folder *f, const char *data, size_t len)
{
    int fd = open(f->file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

static void test_damage_is_found(void **state)
{
    struct folder f;
    struct layout layout;
    const char *why = NULL;
    char text[8192];
    (void)state;
    folder_make(&f);
    const uint64_t hashes[] = {1, 0x123456789abcdef};
    layout_init(&layout, 4);
    layout_keep(&layout, hashes, 2);
    assert_true(layout_save(f.path, &layout));
    layout_clear(&layout);
    int fd = open(f.file, O_RDONLY);
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(len > 2048);
    for (ssize_t i = 0; i < len; i++) {
        text[i] ^= 1;
        write_file(&f, text, (size_t)len);
        assert_int_equal(layout_load(f.path, &layout, &why), LAYOUT_DAMAGED);
        assert_non_null(why);
        text[i] ^= 1;
        write_file(&f, text, (size_t)i);
        assert_int_equal(layout_load(f.path, &layout, &why), LAYOUT_DAMAGED);
    }
    text[len] = '\n';
    write_file(&f, text, (size_t)len + 1);
    assert_int_equal(layout_load(f.path, &layout, &why), LAYOUT_DAMAGED);
    write_file(&f, text, (size_t)len);
    assert_int_equal(layout_load(f.path, &layout, &why), LAYOUT_LOADED);
    layout_clear(&layout);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_are_golden),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_kept_names_keep_their_slots),
        cmocka_unit_test(test_slots_are_spread),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_a_cut_move_goes_on),
        cmocka_unit_test(test_a_cut_move_is_not_served),
        cmocka_unit_test(test_file_reads_back),
        cmocka_unit_test(test_damage_is_found),
        cmocka_unit_test(test_no_link_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
