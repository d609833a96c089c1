/* A shard's database in a temporary folder, for tests of the store. */
#ifndef TESTS_UNIT_SHARD_STORE_DATABASE_H
#define TESTS_UNIT_SHARD_STORE_DATABASE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "shard/store/store.h"

struct database {
    char dir[64];
    struct store *store;
};

static inline int database_setup(void **state)
{
    struct database *d = xcalloc(1, sizeof *d);
    strcpy(d->dir, "/tmp/streamd-unit-XXXXXX");
    if (!mkdtemp(d->dir))
        return -1;
    d->store = store_open(d->dir, 0, 1 << 20);
    *state = d;
    return 0;
}

static inline int database_teardown(void **state)
{
    struct database *d = *state;
    char command[128];
    store_close(d->store);
    snprintf(command, sizeof command, "rm -r %s", d->dir);
    free(d);
    return system(command);
}

/* As after a crash, but that what was not committed is rolled back by closing. */
static inline void database_reopen(struct database *d)
{
    store_close(d->store);
    d->store = store_open(d->dir, 0, 1 << 20);
}

#define DATABASE_TEST(name) cmocka_unit_test_setup_teardown(name, database_setup, database_teardown)

#endif
