/* A stream's uid carries its slot, and uids are in segments, forks and feeds: a stream cannot change its slot. So a
 * stream that an earlier version put into the slot of its whole name stays there, and the layout lists its name:
 *
 *     every database: names with '{', of rows and of streams that are only in the journal
 *         the uid's slot is that of the group too    nothing to do
 *         it is another one                          its hash goes into the list
 *     save the layout with the list                  atomic: from now on groups count
 *
 * Nothing else is written. A kill before the layout is saved leaves the old rule, and the next start begins again;
 * every process reads the rule from the layout, so all have the same. A full disk may keep the old layout: streamd
 * serves by the old rule then. */
#include "shard/tools/move_names.h"

#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/role.h"
#include "shard/store/store.h"
#include "shard/store/store_slot.h"
#include "shard/streams/recover.h"
#include "shard/streams/streams.h"

static void move_names_note(void *ctx, uint64_t uid, struct slice name)
{
    struct buf *hashes = ctx;
    uint64_t hash = layout_hash(name);
    if (layout_slot_of_uid(uid) != layout_slot_of_group(name))
        buf_add(hashes, &hash, sizeof hash);
}

/* Streams that are only in the journal are in memory after a recovery, which writes nothing. */
static void move_names_of(const struct config *cfg, unsigned shard, struct buf *hashes)
{
    struct streams streams;
    struct store *store = store_open(cfg->server_data_dir, shard, cfg->shard_page_cache);
    streams_init(&streams, store, cfg);
    streams_recover(&streams, clock_unix_ms());
    store_slot_grouped(store, move_names_note, hashes);
    for (struct stream *stream = streams_newest(&streams); stream; stream = streams_older(&streams, stream))
        if (stream->unflushed && layout_group(stream->row.name).len)
            move_names_note(hashes, stream->row.uid, stream->row.name);
    streams_clear(&streams);
    store_close(store);
}

void move_names(struct role *role, const struct config *cfg, struct layout *layout)
{
    char path[4096];
    struct buf hashes = {0};
    for (unsigned shard = 0; shard < layout->shards; shard++) {
        store_path(path, sizeof path, cfg->server_data_dir, shard);
        if (access(path, F_OK) == 0)
            move_names_of(cfg, shard, &hashes);
        role_report(role);
    }
    size_t count = buf_len(&hashes) / sizeof(uint64_t);
    layout_keep(layout, (const uint64_t *)(const void *)buf_slice(&hashes).data, count);
    buf_clear(&hashes);
    if (!layout_save(cfg->server_data_dir, layout))
        log_warn_errno("%s/layout cannot be written: {group} in the name of a stream does not count yet",
                       cfg->server_data_dir);
    else
        log_info("{group} in the name of a stream counts from now on, except in %zu names of streams that are there",
                 count);
}
