/* A stream that was restored at tail 40, and the server it is of had come to 55:
 *
 *     lost server   0 ......... 40 xxxxxx 55        life 1764000000123
 *     restored      0 ......... 40 ............>    life 1764000000123 up to 40, then 1764000555000
 *
 * So the old offset of 40 goes on, and that of 50 is another life's: 410. Tails are in rows only when the journal is
 * flushed, so that comes first. Rows are changed a slice at a time: a visit must not use the store. */
#include "shard/backup/restore_lives.h"

#include <stdlib.h>

#include "common/layout.h"
#include "common/lives.h"
#include "common/mem.h"
#include "common/role.h"
#include "shard/store/store.h"
#include "shard/store/store_stream.h"
#include "shard/store/store_uid.h"
#include "shard/streams/recover.h"
#include "shard/streams/streams.h"
#include "shard/tiering/flush.h"

#define SLICE_ROWS 1000u

struct restore_slice {
    struct {
        uint64_t uid;
        struct buf lives;
    } rows[SLICE_ROWS];
    size_t count;
    struct buf next; /* the name to go on from */
    bool more;
    uint64_t now_ms;
    struct store *store;
};

static void restore_lives_alive(void *ctx)
{
    role_report(ctx);
}

static void restore_lives_flush(struct store *store, const struct config *cfg, struct role *role, uint64_t now_ms)
{
    struct streams streams;
    streams_init(&streams, store, cfg);
    streams_recover(&streams, now_ms);
    flush_everything(store, &streams, restore_lives_alive, role);
    streams_clear(&streams);
}

/* The new life is that of a stream of the same slot, which there will not be: its number counts as given. */
static void restore_lives_of(struct store *store, const struct stream_row *row, uint64_t now_ms, struct buf *out)
{
    char room[LIVES_ONE];
    struct slice lives = stream_row_lives(row, room);
    uint64_t serial = layout_serial_at(now_ms), least = layout_serial_of_life(lives_newest(lives).life) + 1;
    uint64_t uid = store_next_uid(store, layout_slot_of_uid(row->uid), least > serial ? least : serial);
    lives_add_before(out, lives, row->flushed);
    lives_add(out, row->flushed, layout_life_of_uid(uid));
}

static bool restore_lives_visit(void *ctx, const struct stream_row *row)
{
    struct restore_slice *slice = ctx;
    if (slice->count == SLICE_ROWS) {
        slice->more = true;
        buf_reset(&slice->next);
        buf_add_slice(&slice->next, row->name);
        return false;
    }
    if (row->state != STREAM_LIVE || row->closed)
        return true;
    slice->rows[slice->count].uid = row->uid;
    restore_lives_of(slice->store, row, slice->now_ms, &slice->rows[slice->count++].lives);
    return true;
}

static void restore_lives_write(struct store *store, struct restore_slice *slice)
{
    store_begin(store);
    for (size_t i = 0; i < slice->count; i++) {
        store_stream_set_lives(
            store, &(struct stream_row){.uid = slice->rows[i].uid, .lives = buf_slice(&slice->rows[i].lives)});
        buf_reset(&slice->rows[i].lives);
    }
    store_commit(store);
    slice->count = 0;
}

void restore_lives(struct store *store, const struct config *cfg, struct role *role, uint64_t now_ms)
{
    struct restore_slice *slice = xcalloc(1, sizeof *slice);
    restore_lives_flush(store, cfg, role, now_ms);
    slice->now_ms = now_ms;
    slice->store = store;
    do {
        slice->more = false;
        store_streams_from(store, buf_slice(&slice->next), restore_lives_visit, slice);
        restore_lives_write(store, slice);
        role_report(role);
    } while (slice->more);
    for (size_t i = 0; i < SLICE_ROWS; i++)
        buf_clear(&slice->rows[i].lives);
    buf_clear(&slice->next);
    free(slice);
}
