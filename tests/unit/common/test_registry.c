/* Changes of the registry are transactions: writers beside each other lose nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>

#include "common/registry.h"

#define WRITERS 4
#define CHANGES 15 /* PROJECT_ORIGINS_MAX is 64 */

struct folder {
    char path[64];
};

static int make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    snprintf(folder->path, sizeof folder->path, "/tmp/test_registry.XXXXXX");
    *state = folder;
    return mkdtemp(folder->path) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"registry.db", "registry.db-wal", "registry.db-shm"};
    struct folder *folder = *state;
    char path[128];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder->path, names[i]);
        unlink(path);
    }
    rmdir(folder->path);
    free(folder);
    return 0;
}

static struct registry *open_in(const struct folder *folder)
{
    const char *why;
    struct registry *registry = registry_open(folder->path, &why);
    assert_non_null(registry);
    return registry;
}

static bool add_secret(void *ctx, struct project *project, bool there)
{
    (void)ctx;
    assert_false(there);
    texts_add(&project->secrets, SLICE("0123456789abcdef0123456789abcdef"));
    return true;
}

static bool add_origin(void *origin, struct project *project, bool there)
{
    texts_add(&project->origins, slice_str(origin));
    return there;
}

static bool refuse(void *ctx, struct project *project, bool there)
{
    project->is_public = true;
    *(bool *)ctx = there;
    return false;
}

static void write_some(const struct folder *folder, unsigned writer)
{
    const char *why;
    char origin[64];
    struct registry *registry = registry_open(folder->path, &why);
    if (!registry)
        _exit(1);
    for (unsigned i = 0; i < CHANGES; i++) {
        snprintf(origin, sizeof origin, "https://%u.%u.example", writer, i);
        if (registry_update(registry, SLICE("p"), add_origin, origin) != REGISTRY_OK)
            _exit(1);
    }
    registry_close(registry);
    _exit(0);
}

static void writers_lose_nothing(void **state)
{
    struct project project;
    struct registry *registry = open_in(*state);
    assert_int_equal(registry_update(registry, SLICE("p"), add_secret, NULL), REGISTRY_OK);
    registry_close(registry);
    for (unsigned i = 0; i < WRITERS; i++)
        if (fork() == 0)
            write_some(*state, i);
    for (unsigned i = 0; i < WRITERS; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    registry = open_in(*state);
    assert_int_equal(registry_get(registry, SLICE("p"), &project), REGISTRY_OK);
    assert_int_equal(project.origins.count, WRITERS * CHANGES);
    project_clear(&project);
    registry_close(registry);
}

static void a_refused_change_changes_nothing(void **state)
{
    struct project project;
    bool there = true;
    struct registry *registry = open_in(*state);
    assert_int_equal(registry_update(registry, SLICE("p"), refuse, &there), REGISTRY_REFUSED);
    assert_false(there);
    assert_int_equal(registry_get(registry, SLICE("p"), &project), REGISTRY_ABSENT);
    assert_int_equal(registry_update(registry, SLICE("p"), add_secret, NULL), REGISTRY_OK);
    uint32_t version = registry_version(registry);
    assert_int_equal(registry_update(registry, SLICE("p"), refuse, &there), REGISTRY_REFUSED);
    assert_true(there);
    assert_int_equal(registry_version(registry), version);
    assert_int_equal(registry_get(registry, SLICE("p"), &project), REGISTRY_OK);
    assert_false(project.is_public);
    project_clear(&project);
    registry_close(registry);
}

static void a_writer_that_stays_makes_it_busy(void **state)
{
    struct folder *folder = *state;
    char path[128];
    sqlite3 *other;
    bool there;
    struct project project;
    struct registry *registry = open_in(folder);
    snprintf(path, sizeof path, "%s/registry.db", folder->path);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    registry_wait(registry, 1);
    assert_int_equal(registry_update(registry, SLICE("p"), refuse, &there), REGISTRY_BUSY);
    assert_int_equal(registry_delete(registry, SLICE("p")), REGISTRY_BUSY);
    struct registry *reader = open_in(folder); /* opening and reading wait for no writer */
    assert_int_equal(registry_get(reader, SLICE("p"), &project), REGISTRY_ABSENT);
    registry_close(reader);
    sqlite3_close(other);
    assert_int_equal(registry_update(registry, SLICE("p"), add_secret, NULL), REGISTRY_OK);
    registry_close(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writers_lose_nothing, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_refused_change_changes_nothing, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_writer_that_stays_makes_it_busy, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
