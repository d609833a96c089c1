#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shard/segments/object_files.h"
#include "shard/segments/owner.h"
#include "shard/store/store_segment.h"

/* A folder with `data`, and a store `segments` that is not there yet. */
struct world {
    char root[64], data[80], folder[80];
    char why[OWNER_WHY_MAX];
    struct owner owner;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->root, "/tmp/streamd-owner-XXXXXX");
    assert_non_null(mkdtemp(w->root));
    snprintf(w->data, sizeof w->data, "%s/data", w->root);
    snprintf(w->folder, sizeof w->folder, "%s/segments", w->root);
    assert_int_equal(mkdir(w->data, 0700), 0);
    w->owner.alone = true;
    owner_open(&w->owner, w->data, true);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", w->root);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void one_for_all(void **state)
{
    struct world *w = *state;
    struct owner again = {.alone = true}, other = {.alone = true};
    owner_open(&again, w->data, true);
    assert_string_equal(again.text, w->owner.text);
    assert_int_equal(strlen(again.text), 41);
    assert_int_equal(mkdir(w->folder, 0700), 0);
    owner_open(&other, w->folder, false);
    assert_string_equal(other.text, "");
    assert_false(owner_take(w->folder, SLICE("streamd 12\n")));
    assert_false(owner_take(w->folder, SLICE("<html>")));
    assert_true(owner_take(w->folder, slice_str(w->owner.text)));
    owner_open(&other, w->folder, false);
    assert_string_equal(other.text, w->owner.text);
}

static void a_new_folder_is_marked_when_it_is_used(void **state)
{
    struct world *w = *state;
    assert_true(owner_has(&w->owner, w->folder, false, w->why));
    assert_int_not_equal(access(w->folder, F_OK), 0);
    assert_true(owner_has(&w->owner, w->folder, true, w->why));
    assert_true(owner_has(&w->owner, w->folder, false, w->why));
    char path[200];
    snprintf(path, sizeof path, "%s/" OWNER_NAME, w->folder);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    for (int mark = 0; mark < 2; mark++) {
        assert_false(owner_has(&w->owner, w->folder, mark, w->why));
        assert_non_null(strstr(w->why, "has no file owner"));
    }
    assert_int_not_equal(access(path, F_OK), 0);
}

static void another_folder_and_another_server(void **state)
{
    struct world *w = *state;
    char other[100];
    assert_true(owner_has(&w->owner, w->folder, true, w->why));
    snprintf(other, sizeof other, "%s/other", w->root);
    assert_false(owner_has(&w->owner, other, true, w->why));
    assert_non_null(strstr(w->why, w->folder)); /* where they were */
    assert_int_equal(mkdir(other, 0700), 0);
    put(other, OWNER_NAME, "streamd 00000000000000000000000000000000\n");
    assert_false(owner_has(&w->owner, other, true, w->why));
    assert_non_null(strstr(w->why, "another server"));
    put(other, OWNER_NAME, w->owner.text); /* it was moved */
    assert_true(owner_has(&w->owner, other, false, w->why));
}

static void one_that_was_used_before(void **state)
{
    struct world *w = *state;
    char name[OBJECT_NAME_MAX], slot[100];
    w->owner.samples[0].object = (struct object){1, 2, 3};
    w->owner.samples[1].object = (struct object){1, 4, 5};
    w->owner.count = 2;
    for (int mark = 0; mark < 2; mark++) {
        assert_false(owner_has(&w->owner, w->folder, mark, w->why));
        assert_non_null(strstr(w->why, "none of the segments"));
    }
    w->owner.alone = false; /* they may be in a bucket */
    assert_true(owner_has(&w->owner, w->folder, false, w->why));
    w->owner.alone = true;
    object_name(name, &w->owner.samples[1].object);
    assert_int_equal(mkdir(w->folder, 0700), 0);
    snprintf(slot, sizeof slot, "%s/%.3s", w->folder, name);
    assert_int_equal(mkdir(slot, 0700), 0);
    put(w->folder, name, "x");
    assert_true(owner_knows(&w->owner, w->folder));
    assert_true(owner_has(&w->owner, w->folder, true, w->why));
}

/* A file that is not in the folder may be in a bucket that is not named any more. */
static void a_bucket_that_is_not_named(void **state)
{
    struct world *w = *state;
    char where[OWNER_WHERE_MAX];
    assert_false(owner_marked(&w->owner, OWNER_BUCKET, where));
    assert_true(owner_note(&w->owner, OWNER_BUCKET, "there"));
    assert_true(owner_marked(&w->owner, OWNER_BUCKET, where));
    assert_string_equal(where, "there");
    assert_false(owner_has(&w->owner, w->folder, false, w->why));
    assert_non_null(strstr(w->why, "s3.bucket"));
    assert_true(owner_has(&w->owner, w->folder, true, w->why)); /* new ones can be put there */
    w->owner.alone = false;
    assert_true(owner_has(&w->owner, w->folder, false, w->why));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_for_all),
        TEST(a_new_folder_is_marked_when_it_is_used),
        TEST(another_folder_and_another_server),
        TEST(one_that_was_used_before),
        TEST(a_bucket_that_is_not_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
