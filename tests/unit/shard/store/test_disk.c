/* The ballast is there before it is needed: whatever was written since, somebody else may fill the disk now. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/config.h"
#include "shard/store/disk.h"
#include "shard/store/extent.h"
#include "shard/store/store_chunk.h"
#include "shard/store/store_disk.h"
#include "tests/unit/shard/store/database.h"

#define BALLAST ((uint64_t)4 << 20)
#define STEP ((size_t)256 << 10)

static void the_ballast_follows_what_is_written(void **state)
{
    struct database *d = *state;
    struct config cfg = {.shard_disk_ballast = BALLAST, .shard_flush_bytes = 1 << 20};
    struct disk disk;
    cfg.server_data_dir = d->dir;
    disk_init(&disk, d->store, &cfg, NULL, 1);
    if (disk.full || store_room(d->store) < BALLAST)
        skip(); /* this disk is full, or gives nothing in advance */
    char *data = xcalloc(1, STEP);
    for (uint64_t i = 0; i < 64; i++) {
        store_begin(d->store);
        store_chunk_insert(d->store, 1, &(struct extent){.start = i, .count = 1, .data = slice_of(data, STEP)});
        store_commit(d->store);
        disk_committed(&disk);
        assert_true(store_room(d->store) >= BALLAST / 2);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATABASE_TEST(the_ballast_follows_what_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
