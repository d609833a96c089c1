#include "shard/tools/verify.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/media_type.h"
#include "common/mem.h"
#include "common/registry.h"
#include "common/varint.h"
#include "shard/store/entry.h"
#include "shard/store/extent.h"
#include "shard/store/store.h"
#include "shard/store/store_look_checks.h"
#include "shard/store/store_look_rows.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_stream.h"
#include "shard/store/store_look.h"

#define PRINTED_MAX 100
#define PATH_ROOM 4096

/* ---- lines ---- */

/* Names are whatever clients have percent-encoded. */
static void verify_print_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (isprint((unsigned char)name.data[i]) && name.data[i] != '%')
            putchar(name.data[i]);
        else
            printf("%%%02X", (unsigned char)name.data[i]);
}

void verify_problem(struct verify *v, const char *format, ...)
{
    va_list arguments;
    if (v->problems++ >= PRINTED_MAX)
        return;
    printf("%s: ", v->database);
    if (v->name.len) {
        fputs("stream ", stdout);
        verify_print_name(v->name);
        fputs(": ", stdout);
    } else if (v->uid) {
        printf("stream %016" PRIx64 ": ", v->uid);
    }
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static void verify_on_text(void *ctx, const char *text)
{
    verify_problem(ctx, "%s", text);
}

/* ---- a stream ---- */

/* One stream of the database that is looked at. */
struct looking {
    struct verify *v;
    struct store_look *look;
    unsigned shard;
    uint64_t chunks, segments, batches;

    const struct stream_row *row;
    bool json, cut; /* cut: its extents are not in a row, so sums mean nothing */
    uint64_t next;  /* where the next extent is to begin */
    bool any;
    struct verify_sum cold, hot;
};

static void verify_check_segment(void *ctx, const struct segment_row *row)
{
    struct looking *l = ctx;
    const char *why = verify_segment_row(row, l->json);
    l->segments++;
    if (row->object.start != l->next)
        verify_problem(l->v, "a segment begins at %" PRIu64 ", %" PRIu64 " was expected", row->object.start, l->next);
    if (why)
        verify_problem(l->v, "the segment at %" PRIu64 ": %s", row->object.start, why);
    l->cut |= why || row->object.start != l->next;
    l->next = row->end;
    l->cold.bytes += row->bytes;
    l->cold.messages += row->messages;
}

static const char *verify_check_content(struct looking *l, const struct extent *extent)
{
    return verify_extent(extent, l->json, l->row->cold, &l->hot);
}

/* A chunk that refers to bytes which others have too. */
static const char *verify_check_references(struct looking *l, const struct extent *chunk)
{
    struct slice refs = chunk->boundaries;
    struct extent extent = {.start = chunk->start};
    const char *why = NULL;
    uint64_t id;
    bool first;
    for (; refs.len; extent.start += extent.count) {
        if (!varint_take(&refs, &id) || !varint_take(&refs, &extent.count))
            return "its references are damaged";
        if (!store_look_shared(l->look, id, &extent, &first))
            why = "it refers to shared bytes that are not there";
        else if (!why && l->row->state != STREAM_DELETING)
            why = verify_check_content(l, &extent);
    }
    return why                                           ? why
           : extent.start == chunk->start + chunk->count ? NULL
                                                         : "it does not hold as many positions as it says";
}

static bool verify_is_reference(const struct extent *extent)
{
    return extent->count && !extent->data.len;
}

static void verify_check_chunk(void *ctx, const struct extent *extent)
{
    struct looking *l = ctx;
    const char *why = NULL;
    l->chunks++;
    if (verify_is_reference(extent))
        why = l->v->quick ? NULL : verify_check_references(l, extent);
    else if (!l->v->quick && l->row->state != STREAM_DELETING)
        why = verify_check_content(l, extent);
    if (why)
        verify_problem(l->v, "chunk at %" PRIu64 ": %s", extent->start, why);
    l->cut |= why != NULL;
    if (l->row->state == STREAM_DELETING)
        return;
    if (!l->any && extent->start + extent->count > l->row->cold && extent->start > l->row->cold) {
        verify_problem(l->v, "its chunks begin at %" PRIu64 ", %" PRIu64 " was expected", extent->start, l->row->cold);
        l->cut = true;
    }
    if (l->any && extent->start != l->next) {
        verify_problem(l->v, "a chunk begins at %" PRIu64 ", %" PRIu64 " was expected", extent->start, l->next);
        l->cut = true;
    }
    if (extent->start + extent->count <= l->row->cold && !l->row->due)
        verify_problem(l->v, "chunk at %" PRIu64 ": it is in a segment, too, and stays", extent->start);
    l->any = true;
    l->next = extent->start + extent->count;
}

static void verify_check_sums(struct looking *l)
{
    const struct stream_row *row = l->row;
    if (row->bytes != l->cold.bytes + row->hot_bytes)
        verify_problem(l->v, "it counts %" PRIu64 " bytes; its segments have %" PRIu64 ", its chunks %" PRIu64,
                       row->bytes, l->cold.bytes, row->hot_bytes);
    if (!l->v->quick && (row->hot_bytes != l->hot.bytes || row->hot_messages != l->hot.messages))
        verify_problem(
            l->v, "it counts %" PRIu64 " bytes and %" PRIu64 " messages in chunks; there are %" PRIu64 " and %" PRIu64,
            row->hot_bytes, row->hot_messages, l->hot.bytes, l->hot.messages);
}

/* Its segments, then its chunks: all it has from its first position to where it is settled. */
static bool verify_check_bytes(struct looking *l)
{
    const struct stream_row *row = l->row;
    l->next = verify_first(row);
    if (!store_look_segments(l->look, row->uid, verify_check_segment, l))
        return false;
    if (l->next != row->cold) {
        verify_problem(l->v, "its segments end at %" PRIu64 ", %" PRIu64 " was expected", l->next, row->cold);
        l->cut = true;
    }
    l->next = row->cold;
    if (!store_look_chunks(l->look, row->uid, !l->v->quick, verify_check_chunk, l))
        return false;
    if (l->next != row->flushed) {
        verify_problem(l->v, "its chunks end at %" PRIu64 ", %" PRIu64 " was expected", l->next, row->flushed);
        l->cut = true;
    }
    if (!l->cut)
        verify_check_sums(l);
    return true;
}

static void verify_check_stream(void *ctx, const struct stream_row *row)
{
    struct looking *l = ctx;
    struct verify *v = l->v;
    unsigned slot = layout_slot_of_uid(row->uid);
    v->name = row->name;
    v->uid = row->uid;
    if (slot < LAYOUT_SLOTS)
        v->holds[l->shard][slot] = true;
    l->row = row;
    l->json = media_type_is_json(row->content_type);
    l->cut = l->any = false;
    l->cold = l->hot = (struct verify_sum){0};
    const char *why = row->state == STREAM_DELETING ? NULL : verify_row(row);
    if (why)
        verify_problem(v, "%s", why);
    bool read = true;
    if (row->state == STREAM_DELETING) /* what it refers to is counted until it is gone */
        read = v->quick || store_look_chunks(l->look, row->uid, true, verify_check_chunk, l);
    else if (!why)
        read = verify_check_bytes(l);
    v->streams += row->state != STREAM_DELETING;
    if (!read)
        verify_problem(v, "it cannot be read: %s", store_look_error(l->look));
    v->name = (struct slice){0};
    v->uid = 0;
}

/* ---- the log ---- */

/* What the log has said of the stream before, or else its row. */
static struct fresh_stream verify_fresh_of(struct looking *l, const struct journal_entry *entry)
{
    struct fresh_stream fresh;
    struct stream_row row;
    if (store_look_fresh(l->look, entry->uid, &fresh))
        return fresh;
    fresh = (struct fresh_stream){.uid = entry->uid};
    if (store_look_stream_at(l->look, entry->uid, &row) && row.state != STREAM_DELETING) {
        fresh.known = true;
        fresh.tail = row.flushed;
        fresh.json = media_type_is_json(row.content_type);
    } else if (entry->flags & ENTRY_CREATES) {
        fresh.known = true;
        fresh.json = media_type_is_json(entry->content_type);
        if (layout_slot(entry->name) != layout_slot_of_uid(entry->uid))
            verify_problem(l->v, "its number is not of its name's slot");
    }
    return fresh;
}

static void verify_check_entry(struct looking *l, const struct journal_entry *entry)
{
    struct fresh_stream fresh = verify_fresh_of(l, entry);
    const struct extent extent = {
        .start = entry->start, .count = entry->count, .boundaries = entry->boundaries, .data = entry->data};
    struct verify_sum sum = {0};
    const char *why = NULL;
    if (entry->flags & ENTRY_DELETES) {
        fresh.gone = true;
    } else if (fresh.known && entry->start >= fresh.tail) {
        if (entry->start != fresh.tail)
            verify_problem(l->v, "the journal goes on at %" PRIu64 ", %" PRIu64 " was expected", entry->start,
                           fresh.tail);
        if (fresh.closed && entry->count)
            verify_problem(l->v, "the journal has an append at %" PRIu64 " after its end", entry->start);
        why = l->v->quick ? NULL : verify_extent(&extent, fresh.json, 0, &sum);
        fresh.tail = entry->start + entry->count;
        fresh.closed |= (entry->flags & ENTRY_CLOSES) != 0;
    }
    if (why)
        verify_problem(l->v, "the journal's append at %" PRIu64 ": %s", entry->start, why);
    store_look_fresh_put(l->look, &fresh);
}

static void verify_check_batch(void *ctx, int64_t seq, struct slice heads, struct slice data)
{
    struct looking *l = ctx;
    struct journal_entry entry = {0};
    bool good = true;
    l->batches++;
    while (good && heads.len) {
        entry =
            (struct journal_entry){.boundaries = entry.boundaries, .data = entry.data}; /* these stay with ENTRY_SAME */
        good = entry_take(&heads, &data, &entry);
        if (!good)
            break;
        l->v->uid = entry.uid;
        verify_check_entry(l, &entry);
    }
    l->v->uid = 0;
    if (!good || data.len)
        verify_problem(l->v, "batch %" PRId64 " of the journal is damaged", seq);
}

/* ---- a database ---- */

/* False: no more can be said of it. */
static bool verify_check_database(struct looking *l)
{
    struct verify *v = l->v;
    const char *why = store_look_schema(l->look);
    if (why) {
        verify_problem(v, "%s", why);
        return false;
    }
    bool read = store_look_integrity(l->look, v->quick, verify_on_text, v) &&
                store_look_streams(l->look, verify_check_stream, l) &&
                store_look_journal(l->look, verify_check_batch, l) &&
                store_look_tables(l->look, !v->quick, verify_on_text, v);
    v->name = (struct slice){0};
    v->uid = 0;
    if (!read)
        verify_problem(v, "it cannot be read: %s", store_look_error(l->look));
    return read;
}

static void verify_shard(struct verify *v, unsigned shard)
{
    char path[PATH_ROOM];
    struct store_look *look;
    store_path(path, sizeof path, v->cfg.server_data_dir, shard);
    snprintf(v->database, sizeof v->database, "shard-%u.db", shard);
    if (access(path, F_OK) != 0) {
        if (shard < v->layout.shards && !v->moving)
            verify_problem(v, "it is missing");
        return;
    }
    struct looking looking = {.v = v, .shard = shard};
    uint64_t streams = v->streams;
    v->databases++;
    if (!store_look_open(&look, path)) {
        verify_problem(v, "it cannot be opened: %s", store_look_error(look));
        store_look_close(look);
        return;
    }
    looking.look = look;
    store_look_begin(look);
    bool good = verify_check_database(&looking);
    v->streams += store_look_born(look);
    store_look_end(look);
    if (good) {
        v->looks[shard] = look;
        verify_files(v, shard);
    } else {
        store_look_close(look);
    }
    v->segments += looking.segments;
    printf("shard-%u.db: %" PRIu64 " streams, %" PRIu64 " segments, %" PRIu64 " chunks, %" PRIu64
           " batches in the journal\n",
           shard, v->streams - streams, looking.segments, looking.chunks, looking.batches);
}

/* ---- the layout ---- */

/* A move copies a slot, then says whose it is, then deletes it where it was. */
static void verify_owners(struct verify *v)
{
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        unsigned owner = v->layout.owner[slot];
        for (unsigned shard = 0; shard < LAYOUT_SHARDS_MAX; shard++) {
            if (shard == owner || !v->holds[shard][slot] || (v->moving && v->holds[owner][slot]))
                continue;
            snprintf(v->database, sizeof v->database, "shard-%u.db", shard);
            verify_problem(v, "it has streams of slot %u, which is shard %u's by the layout", slot, owner);
        }
    }
}

static bool verify_layout(struct verify *v)
{
    uint16_t target[LAYOUT_SLOTS];
    const char *why = "it is missing";
    snprintf(v->database, sizeof v->database, "layout");
    if (layout_load(v->cfg.server_data_dir, &v->layout, &why) != LAYOUT_LOADED) {
        verify_problem(v, "%s", why);
        return false;
    }
    layout_plan(&v->layout, v->layout.shards, target);
    v->moving = memcmp(target, v->layout.owner, sizeof target) != 0;
    printf("layout: %u shards%s\n", v->layout.shards,
           v->moving ? "; streams are being moved, or will be at the next start" : "");
    return true;
}

/* ---- the registry ---- */

struct projects {
    struct verify *v;
    struct registry *registry;
    uint64_t count;
};

static void verify_check_project(void *ctx, struct slice name)
{
    struct projects *projects = ctx;
    struct project project;
    if (registry_get(projects->registry, name, &project) == REGISTRY_FAILED)
        verify_problem(projects->v, "project %.*s cannot be read", (int)name.len, name.data);
    project_clear(&project);
    projects->count++;
}

static void verify_registry(struct verify *v)
{
    char path[PATH_ROOM];
    const char *why;
    struct store_look *look;
    struct projects projects = {.v = v};
    snprintf(path, sizeof path, "%s/registry.db", v->cfg.server_data_dir);
    snprintf(v->database, sizeof v->database, "registry.db");
    if (access(path, F_OK) != 0)
        return;
    v->databases++;
    uint64_t before = v->problems;
    if (!store_look_open(&look, path) || !store_look_integrity(look, v->quick, verify_on_text, v))
        verify_problem(v, "it cannot be read: %s", store_look_error(look));
    store_look_close(look);
    if (v->problems == before) {
        projects.registry = registry_open(v->cfg.server_data_dir, &why);
        if (!projects.registry)
            verify_problem(v, "%s", why);
        else if (registry_names(projects.registry, verify_check_project, &projects) != REGISTRY_OK)
            verify_problem(v, "its projects cannot be read");
        if (projects.registry)
            registry_close(projects.registry);
    }
    printf("registry.db: %" PRIu64 " projects\n", projects.count);
}

/* ---- all of it ---- */

static int verify_fail(const char *why)
{
    fprintf(stderr, "streamd: verify: %s\n", why);
    return 1;
}

static bool verify_read_config(struct config *cfg)
{
    struct buf text = {0};
    ssize_t n;
    while ((n = read(STDIN_FILENO, buf_reserve(&text, 4096), 4096)) > 0)
        buf_grow(&text, (size_t)n);
    config_init(cfg);
    bool good = n == 0 && config_read_text(cfg, "configuration", buf_slice(&text), stderr) == 0;
    buf_clear(&text);
    return good;
}

static void verify_half_restored(struct verify *v)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/restore", v->cfg.server_data_dir);
    snprintf(v->database, sizeof v->database, "restore");
    if (access(path, F_OK) == 0)
        verify_problem(v, "a restore has begun and not ended");
}

static void verify_all(struct verify *v)
{
    verify_half_restored(v);
    verify_registry(v);
    bool laid_out = verify_layout(v);
    verify_files_begin(v);
    for (unsigned shard = 0; shard < LAYOUT_SHARDS_MAX; shard++)
        verify_shard(v, shard);
    verify_files_end(v);
    if (laid_out)
        verify_owners(v);
    if (laid_out && !v->moving)
        verify_cross_checks(v);
    for (unsigned shard = 0; shard < LAYOUT_SHARDS_MAX; shard++)
        if (v->looks[shard])
            store_look_close(v->looks[shard]);
}

static void verify_conclude(const struct verify *v)
{
    if (v->problems > PRINTED_MAX)
        printf("and %" PRIu64 " more problems\n", v->problems - PRINTED_MAX);
    if (v->unread)
        printf("%" PRIu64 " segments are in the store only, and were not read; --objects reads them\n", v->unread);
    printf("verified: %" PRIu64 " databases, %" PRIu64 " streams, %" PRIu64 " segments, %" PRIu64 " problems\n",
           v->databases, v->streams, v->segments, v->problems);
}

static bool verify_take_options(struct verify *v, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        bool quick = strcmp(argv[i], "--quick") == 0, objects = strcmp(argv[i], "--objects") == 0;
        if (!quick && !objects)
            return false;
        v->quick |= quick;
        v->objects |= objects;
    }
    return true;
}

static int verify_arguments(struct verify *v, int argc, char **argv)
{
    if (!verify_take_options(v, argc, argv))
        return verify_fail("--quick and --objects are what it knows");
    if (!verify_read_config(&v->cfg))
        return verify_fail("it is run by `streamd verify`");
    if (access(v->cfg.server_data_dir, R_OK | X_OK) != 0)
        return verify_fail(strerror(errno));
    verify_all(v);
    verify_conclude(v);
    return v->problems ? 1 : 0;
}

int verify_main(int argc, char **argv)
{
    struct verify *v = xcalloc(1, sizeof *v);
    log_init("verify", -1);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    int status = verify_arguments(v, argc, argv);
    config_clear(&v->cfg);
    free(v);
    return status;
}
