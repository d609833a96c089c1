/* A move, step by step:
 *
 *     save the layout as one that is moving
 *     every database: delete slots that the layout gives to others; flush the journal; expand shared bytes
 *     for each pair (from, to):
 *         copy its slots into `to`    one durable transaction a slot
 *         save the layout             atomic: the switch
 *         delete its slots in `from`
 *     rebuild all feeds from the subscription sources
 *     save the new shard count, and that nothing is moving; remove the files of shards that are gone
 *
 * A kill before the switch leaves copies that nobody owns, a kill after it leaves originals that nobody owns: the first
 * step of the next run deletes either. The next start runs it whatever its shard count, the old one included: a copy
 * may have put a subscription source of `to` back, which only rebuilt feeds know. Feeds are rebuilt because a
 * subscription source, which has the position that was taken, moves with its estuary, while a feed is of a pair of
 * shards. */
#include "shard/tools/move.h"

#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/role.h"
#include "shard/streams/streams.h"
#include "shard/tiering/flush.h"
#include "shard/store/journal_file.h"
#include "shard/store/store.h"
#include "shard/store/store_fanout.h"
#include "shard/store/store_slot.h"
#include "shard/store/store_stream.h"
#include "shard/streams/recover.h"
#include "shard/streams/pending.h"
#include "shard/tools/move_names.h"

struct move {
    struct role role;
    const struct config *cfg;
    struct layout layout;
    uint16_t target[LAYOUT_SLOTS];
};

static void move_alive(void *ctx)
{
    role_report(ctx);
}

static void move_save(struct move *move)
{
    if (!layout_save(move->cfg->server_data_dir, &move->layout))
        fatal("%s/layout: cannot be written", move->cfg->server_data_dir);
}

/* Shared bytes stay in the shard where they are, so streams that leave get bytes of their own. */
static void move_expand(struct move *move, struct store *store, unsigned slot)
{
    while (store_slot_expand(store, slot)) {
        store_commit(store);
        role_report(&move->role);
    }
}

/* Deletes what a shard's file has of slots that it does not own, and flushes its journal: slots are moved as chunks. */
static void move_tidy(struct move *move, unsigned shard)
{
    bool keep[LAYOUT_SLOTS];
    struct streams streams;
    struct store *store = store_open(move->cfg->server_data_dir, shard, move->cfg->shard_page_cache);
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++)
        keep[slot] = move->layout.owner[slot] == shard;
    store_slots_clean(store, keep);
    streams_init(&streams, store, move->cfg);
    streams_recover(&streams, clock_unix_ms());
    flush_everything(store, &streams, move_alive, &move->role);
    streams_clear(&streams);
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++)
        if (keep[slot] && move->target[slot] != shard)
            move_expand(move, store, slot);
    store_close(store);
    role_report(&move->role);
}

static bool move_exists(struct move *move, unsigned shard)
{
    char path[4096];
    store_path(path, sizeof path, move->cfg->server_data_dir, shard);
    return access(path, F_OK) == 0;
}

/* The slots that `from` gives up and that hold something; the empty ones change hands here and now. */
static size_t move_leaving(struct move *move, unsigned from, unsigned *slots)
{
    size_t count = 0;
    struct store *store = NULL;
    if (move_exists(move, from))
        store = store_open(move->cfg->server_data_dir, from, move->cfg->shard_page_cache);
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        if (move->layout.owner[slot] != from || move->target[slot] == from)
            continue;
        if (store && store_slot_used(store, slot))
            slots[count++] = slot;
        else
            move->layout.owner[slot] = move->target[slot];
    }
    if (store)
        store_close(store);
    return count;
}

/* One batch: the slots that go from one shard to another, at most `max` of them. */
static size_t move_batch(struct move *move, unsigned from, unsigned to, const unsigned *slots, size_t count)
{
    char path[4096];
    size_t moved = 0;
    bool keep[LAYOUT_SLOTS];
    store_path(path, sizeof path, move->cfg->server_data_dir, from);
    struct store *store = store_open(move->cfg->server_data_dir, to, move->cfg->shard_page_cache);
    for (size_t i = 0; i < count; i++) {
        if (move->target[slots[i]] != to)
            continue;
        store_slot_copy(store, path, slots[i]);
        fault_point("move.copied");
        move->layout.owner[slots[i]] = (uint16_t)to;
        moved++;
        role_report(&move->role);
    }
    store_close(store);
    if (!moved)
        return 0;
    move_save(move);
    fault_point("move.switched");
    store = store_open(move->cfg->server_data_dir, from, move->cfg->shard_page_cache);
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++)
        keep[slot] = move->layout.owner[slot] == from;
    store_slots_clean(store, keep);
    store_close(store);
    fault_point("move.cleaned");
    role_report(&move->role);
    return moved;
}

static void move_remove_files(struct move *move, unsigned shard)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[4096], file[4112];
    store_path(path, sizeof path, move->cfg->server_data_dir, shard);
    journal_files_remove(path);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(file, sizeof file, "%s%s", path, suffixes[i]);
        unlink(file);
    }
}

/* ---- feeds: each subscription source says what its source's shard has to know ---- */

struct source_list {
    struct move *move;
    unsigned owner; /* of the sources that are wanted */
    struct buf rows;
};

static void move_note_source(void *ctx, const struct feed_row *row)
{
    struct source_list *list = ctx;
    if (list->move->target[layout_slot_of_uid(row->source_uid) % LAYOUT_SLOTS] == list->owner)
        buf_add(&list->rows, row, sizeof *row);
}

/* All feeds are behind at first: their shards are sent everything from the position that the subscription source has,
 * and drop what they have. A source that is gone gets a feed that says so, or its estuaries would wait forever. */
static void move_put_feeds(struct store *store, struct source_list *list, unsigned shard)
{
    struct feed_row row;
    struct stream_row stream;
    store_begin(store);
    for (; buf_len(&list->rows); buf_consume(&list->rows, sizeof row)) {
        memcpy(&row, buf_slice(&list->rows).data, sizeof row);
        bool there = store_stream_by_uid(store, row.source_uid, &stream) && stream.state != STREAM_DELETING;
        row.shard = shard;
        row.state = there ? FEED_BEHIND : FEED_CLOSED;
        store_feed_put(store, &row);
    }
    store_commit(store);
}

static void move_feed_owner(struct move *move, unsigned owner, unsigned shards)
{
    struct store *store = store_open(move->cfg->server_data_dir, owner, move->cfg->shard_page_cache);
    store_feeds_clear(store);
    store_commit(store);
    for (unsigned shard = 0; shard < shards; shard++) {
        struct source_list list = {.move = move, .owner = owner};
        struct store *other = store;
        if (shard != owner)
            other = store_open(move->cfg->server_data_dir, shard, move->cfg->shard_page_cache);
        store_source_feeds(other, move_note_source, &list);
        if (shard != owner)
            store_close(other);
        move_put_feeds(store, &list, shard);
        buf_clear(&list.rows);
        role_report(&move->role);
    }
    store_close(store);
}

static void move_slots(struct move *move, unsigned count)
{
    unsigned slots[LAYOUT_SLOTS];
    size_t moved = 0;
    log_info("moving streams from %u shards to %u", move->layout.shards, count);
    move->layout.moving = true;
    move_save(move);
    for (unsigned shard = 0; shard < LAYOUT_SHARDS_MAX; shard++)
        if (move_exists(move, shard))
            move_tidy(move, shard);
    for (unsigned from = 0; from < LAYOUT_SHARDS_MAX; from++) {
        size_t left = move_leaving(move, from, slots);
        for (unsigned to = 0; left && to < count; to++)
            moved += move_batch(move, from, to, slots, left);
    }
    for (unsigned owner = 0; owner < count; owner++)
        move_feed_owner(move, owner, count);
    move->layout.shards = count;
    move->layout.moving = false;
    move_save(move);
    for (unsigned shard = count; shard < LAYOUT_SHARDS_MAX; shard++)
        move_remove_files(move, shard);
    log_info("%zu slots with streams have moved", moved);
}

static void move_start(void *ctx, struct event_base *base, const struct config *cfg, unsigned index)
{
    struct move *move = ctx;
    const char *why = "it is missing";
    unsigned count = (unsigned)cfg->shard_count;
    (void)base;
    (void)index;
    move->cfg = cfg;
    if (layout_load(cfg->server_data_dir, &move->layout, &why) != LAYOUT_LOADED)
        fatal_never_restart("%s/layout: %s", cfg->server_data_dir, why);
    layout_plan(&move->layout, count, move->target);
    if (layout_must_move(&move->layout, count))
        move_slots(move, count);
    if (!move->layout.groups)
        move_names(&move->role, cfg, &move->layout);
    layout_clear(&move->layout);
    role_done(&move->role);
}

/* All of a move happens in move_start(): there is no turn, and a stop need not be obeyed, since a kill is survived. */
static void move_nothing(void *ctx)
{
    (void)ctx;
}

int move_main(int argc, char **argv)
{
    static struct move move;
    move.role = (struct role){
        .kind = ROLE_SHARD, .ctx = &move, .start = move_start, .stop = move_nothing, .turn = move_nothing};
    return role_run(&move.role, argc, argv);
}
