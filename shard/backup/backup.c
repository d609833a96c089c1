/* A backup of one shard, as a state machine; arrows from above are messages of the supervisor (common/backup.h):
 *
 *          BEGIN          (near the end)       HOLD                     GO_ON
 *     NONE ----> COPIES ----> IS_NEAR ---------> FINISHES --> HOLDS ----------> MEASURES
 *                     says NEAR, copies on                    says HELD            |  worker: sizes, checksums
 *                                                                                  v
 *     NONE <---- SEALS <------- WAITS <-------------------- PUTS <----------- PUTS_NEXT
 *         SEALED  (shard 0)  SEAL   says PUT, with its files      piece by piece    rows of the files are durable
 *
 * Happy path: the database is copied a few pages a turn while the shard works. When little is left in every shard, all
 * finish within one hold of a few milliseconds, so the copies are of one moment. Then each puts its pieces, and shard 0
 * puts the manifest and the index: from then on the backup counts.
 *
 * Failure modes: any failure ends this backup (backup_fail), and the supervisor tells all shards, which drop
 * their copies; the rows say which objects there may be, and upkeep removes them. A shard that holds too long gives up
 * by itself. If it is not known whether the index was put, the backup is treated as one that may count: it goes when it
 * is old.
 *
 * Objects of backup 7 in the bucket:
 *
 *     backup/index            [7,6,5]: the backups that count, the newest first
 *     backup/7/manifest       {"version":..,"streamd":..,"id":7,"files":[{"name","bytes","pieces","checksum"},..]}
 *     backup/7/shard-0.db.0   pieces of at most BACKUP_PIECE raw bytes, each compressed by itself; then .1, .2, ...
 *     backup/7/layout.0, backup/7/registry.db.0     by shard 0 */
#include "shard/backup/backup.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "common/document.h"
#include "common/fault.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/owned.h"
#include "common/registry.h"
#include "common/version.h"
#include "shard/segments/object_s3.h"
#include "shard/shard.h"
#include "shard/store/commit.h"
#include "shard/store/store.h"
#include "shard/store/store_backup.h"
#include "shard/store/store_copy.h"
#include "shard/store/store_disk.h"

#define TURN_PAGES 64
#define NEAR_PAGES 256 /* so many are copied while all hold still */
#define HOLD_MAX_MS 2000
#define LEVEL 3 /* of zstd */
#define READ_SIZE ((size_t)1 << 20)
#define WHOLE UINT64_MAX /* no piece */

/* ---- names ---- */

void backup_object_name(char *out, size_t size, uint64_t id, const char *name, uint64_t piece)
{
    if (piece == WHOLE)
        snprintf(out, size, "backup/%" PRIu64 "/%s", id, name);
    else
        snprintf(out, size, "backup/%" PRIu64 "/%s.%" PRIu64, id, name, piece);
}

/* Copies are in a folder of their own. The layout is read in place: it does not change while shards run. */
static void backup_path_of(const struct shard *shard, const char *name, char out[OBJECT_ROOT_MAX])
{
    const char *folder = strcmp(name, "layout") == 0 ? "" : "backup/";
    snprintf(out, OBJECT_ROOT_MAX, "%s/%s%s", shard->cfg->server_data_dir, folder, name);
}

/* ---- beginning and ending ---- */

static void backup_say(struct shard *shard, enum backup_step step, struct slice text)
{
    role_backup(shard->role, step, text);
}

static void backup_add_file(struct backup *b, const char *name)
{
    snprintf(b->files[b->count++].name, BACKUP_NAME_MAX, "%s", name);
}

static void backup_remove_copies(struct shard *shard)
{
    char path[OBJECT_ROOT_MAX], name[BACKUP_NAME_MAX];
    snprintf(name, sizeof name, "shard-%u.db", shard->peers.index);
    backup_path_of(shard, name, path);
    unlink(path);
    if (shard->peers.index == 0) {
        backup_path_of(shard, "registry.db", path);
        unlink(path);
    }
}

static void backup_end(struct shard *shard)
{
    struct backup *b = &shard->backup;
    if (b->copy)
        store_copy_abandon(b->copy);
    b->copy = NULL;
    b->state = BACKUP_NONE;
    /* While the worker or a request borrows the bytes, backup_goes_on() frees them, when it has come back. */
    if (!b->working)
        buf_clear(&b->bytes);
    backup_remove_copies(shard);
}

static void backup_fail(struct shard *shard, const char *why)
{
    backup_end(shard);
    backup_say(shard, BACKUP_FAILED, slice_str(why));
}

void backup_init(struct shard *shard)
{
    shard->backup = (struct backup){.shard = shard};
    backup_remove_copies(shard); /* a predecessor's */
}

void backup_clear(struct shard *shard)
{
    backup_end(shard);
}

/* ---- copying ---- */

/* The copy is as large as the database, and shard.disk_reserve has to stay free beside it. */
static bool backup_room_for(struct shard *shard)
{
    struct statvfs disk;
    uint64_t wanted = store_size(shard->store) + shard->cfg->shard_disk_reserve;
    return statvfs(shard->cfg->server_data_dir, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize >= wanted;
}

/* The copy is in the data folder, so that it is on the file system whose room was looked at, and a successor of this
 * process finds it there and removes it. */
static const char *backup_begin_copy(struct shard *shard)
{
    struct backup *b = &shard->backup;
    char path[OBJECT_ROOT_MAX];
    const char *why = NULL;
    snprintf(path, sizeof path, "%s/backup", shard->cfg->server_data_dir);
    if (owned_mkdir(AT_FDCWD, path) != 0 && errno != EEXIST)
        return "server.data_dir/backup cannot be made";
    backup_path_of(shard, b->files[0].name, path);
    b->copy = store_copy_begin(shard->store, path, &why);
    return b->copy ? NULL : why;
}

/* From this row on files that become orphans are kept: this backup may refer to them. */
static void backup_note(struct shard *shard, const char *name, uint64_t pieces)
{
    struct backup_file_row row = {.id = shard->backup.id, .pieces = pieces};
    snprintf(row.name, sizeof row.name, "%s", name);
    store_backup_put(shard->store, &row);
}

static void backup_begin(struct shard *shard, struct slice text)
{
    struct backup *b = &shard->backup;
    char digits[24], newer[64];
    if (b->working || b->state != BACKUP_NONE) {
        backup_say(shard, BACKUP_FAILED, SLICE("the last one is not over yet"));
        return;
    }
    snprintf(digits, sizeof digits, "%.*s", (int)text.len, text.data);
    *b = (struct backup){.shard = shard, .id = strtoull(digits, NULL, 10), .removing = b->removing};
    snprintf(b->files[b->count++].name, BACKUP_NAME_MAX, "shard-%u.db", shard->peers.index);
    const char *why = NULL;
    snprintf(newer, sizeof newer, BACKUP_NEWER "%" PRIu64, store_backup_last(shard->store));
    if (!shard->objects.puts_away)
        why = "segment.store is not s3";
    else if (b->id <= store_backup_last(shard->store))
        why = newer;
    else if (shard->disk.full || !backup_room_for(shard))
        why = "there is not enough room on the disk for a copy";
    if (why) {
        backup_fail(shard, why);
        return;
    }
    backup_note(shard, "", 0);
    b->state = BACKUP_COPIES;
    shard->turn_again = true;
}

static void backup_copy_some(struct shard *shard)
{
    struct backup *b = &shard->backup;
    const char *why = b->copy ? NULL : backup_begin_copy(shard);
    int64_t left = why ? -1 : store_copy_step(b->copy, TURN_PAGES, NEAR_PAGES);
    if (left < 0) {
        backup_fail(shard, why ? why : "the copy cannot be written");
    } else if (left > NEAR_PAGES) {
        shard->turn_again = true;
    } else if (b->state == BACKUP_COPIES) {
        b->state = BACKUP_IS_NEAR;
        backup_say(shard, BACKUP_NEAR, SLICE(""));
    }
}

/* The other shards go on when all have said this: what is in the copies must be durable before anything later is. */
static void backup_say_held(struct shard *shard)
{
    struct backup *b = &shard->backup;
    if (b->held || !commits_are_durable(store_commits(shard->store), b->commit))
        return;
    b->held = true;
    backup_say(shard, BACKUP_HELD, SLICE(""));
}

static void backup_finish_copy(struct shard *shard)
{
    struct backup *b = &shard->backup;
    bool good = store_copy_finish(b->copy);
    b->copy = NULL;
    fault_point("backup.copied");
    if (!good) {
        backup_fail(shard, "the copy cannot be written");
        return;
    }
    b->state = BACKUP_HOLDS;
    b->hold_until_ms = shard->ticks_ms + HOLD_MAX_MS;
    b->commit = store_visible(shard->store);
    backup_say_held(shard);
}

bool backup_holds(struct shard *shard)
{
    struct backup *b = &shard->backup;
    if (b->state != BACKUP_HOLDS || shard->stopping)
        return false;
    backup_say_held(shard);
    if (shard->ticks_ms < b->hold_until_ms)
        return true;
    backup_fail(shard, "the other shards were not ready in time");
    return false;
}

/* ---- in the worker ---- */

/* In the worker: the whole file is read once, for its checksum, before its pieces are. */
static bool backup_measure_file(const struct shard *shard, struct backup_file *file)
{
    char path[OBJECT_ROOT_MAX];
    struct stat stat;
    backup_path_of(shard, file->name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && fstat(fd, &stat) == 0;
    XXH3_state_t *hash = XXH3_createState();
    char *room = xmalloc(READ_SIZE);
    XXH3_64bits_reset(hash);
    file->bytes = good ? (uint64_t)stat.st_size : 0;
    for (uint64_t at = 0; good && at < file->bytes;) {
        size_t len = file->bytes - at < READ_SIZE ? (size_t)(file->bytes - at) : READ_SIZE;
        good = file_read_at(fd, room, len, at);
        XXH3_64bits_update(hash, room, len);
        at += len;
    }
    file->checksum = XXH3_64bits_digest(hash);
    file->pieces = (file->bytes + BACKUP_PIECE - 1) / BACKUP_PIECE;
    XXH3_freeState(hash);
    free(room);
    if (fd >= 0)
        close(fd);
    return good;
}

static void backup_measure(struct work *work)
{
    struct backup *b = (struct backup *)work;
    char path[OBJECT_ROOT_MAX];
    if (b->shard->peers.index == 0) {
        backup_path_of(b->shard, "registry.db", path);
        if (!registry_copy(b->shard->cfg->server_data_dir, path))
            snprintf(b->failure, sizeof b->failure, "registry.db cannot be copied");
        if (access(path, F_OK) == 0)
            backup_add_file(b, "registry.db");
        backup_add_file(b, "layout");
    }
    for (unsigned i = 0; i < b->count && !*b->failure; i++)
        if (!backup_measure_file(b->shard, &b->files[i]))
            snprintf(b->failure, sizeof b->failure, "%s cannot be read", b->files[i].name);
}

/* One piece is in memory at a time, raw and compressed, whatever the size of the database. Pieces are compressed one by
 * one, so that a restore needs no more memory either. */
static void backup_make_piece(struct work *work)
{
    struct backup *b = (struct backup *)work;
    const struct backup_file *file = &b->files[b->file];
    uint64_t at = b->piece * BACKUP_PIECE, left = file->bytes - at;
    size_t len = left < BACKUP_PIECE ? (size_t)left : BACKUP_PIECE, stored = 0;
    char path[OBJECT_ROOT_MAX], *raw = xmalloc(len);
    backup_path_of(b->shard, file->name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && file_read_at(fd, raw, len, at);
    if (good) {
        buf_reset(&b->bytes);
        size_t room = ZSTD_compressBound(len);
        stored = ZSTD_compress(buf_reserve(&b->bytes, room), room, raw, len, LEVEL);
        good = !ZSTD_isError(stored);
    }
    if (good)
        buf_grow(&b->bytes, stored);
    else
        snprintf(b->failure, sizeof b->failure, "%s cannot be read", file->name);
    free(raw);
    if (fd >= 0)
        close(fd);
}

/* ---- putting away ---- */

static void backup_ask_worker(struct shard *shard, void (*run)(struct work *), void (*done)(struct work *, void *))
{
    struct backup *b = &shard->backup;
    b->work = (struct work){.run = run, .done = done};
    b->working = true;
    worker_put(&shard->worker, &b->work);
}

/* A request to the worker or the store is done. False: the backup was given up meanwhile. */
static bool backup_goes_on(struct backup *b, enum backup_state expected)
{
    b->working = false;
    if (b->state == expected && !b->shard->stopping)
        return true;
    buf_clear(&b->bytes);
    return false;
}

static void backup_put_next(struct shard *shard);

static void backup_on_piece_put(void *ctx, const char *failure)
{
    struct backup *b = ctx;
    if (!backup_goes_on(b, BACKUP_PUTS))
        return;
    fault_point("backup.piece");
    if (failure) {
        backup_fail(b->shard, failure);
        return;
    }
    if (++b->piece >= b->files[b->file].pieces) {
        b->piece = 0;
        b->file++;
    }
    backup_put_next(b->shard);
}

static void backup_on_piece_made(struct work *work, void *ctx)
{
    struct backup *b = (struct backup *)work;
    char name[OBJECT_NAME_MAX];
    if (!backup_goes_on(b, BACKUP_PUTS) || !ctx)
        return;
    if (*b->failure) {
        backup_fail(b->shard, b->failure);
        return;
    }
    backup_object_name(name, sizeof name, b->id, b->files[b->file].name, b->piece);
    b->working = true;
    s3_put(&b->shard->objects, name, buf_slice(&b->bytes), backup_on_piece_put, b);
}

/* The supervisor passes these texts on to shard 0 as they are: together they are the manifest's list. */
static void backup_tell_files(struct shard *shard)
{
    const struct backup *b = &shard->backup;
    char text[BACKUP_FILES_MAX * 160];
    size_t len = 0;
    for (unsigned i = 0; i < b->count; i++)
        len += (size_t)snprintf(
            text + len, sizeof text - len,
            "%s{\"name\":\"%s\",\"bytes\":%" PRIu64 ",\"pieces\":%" PRIu64 ",\"checksum\":\"%016" PRIx64 "\"}",
            i ? "," : "", b->files[i].name, b->files[i].bytes, b->files[i].pieces, b->files[i].checksum);
    backup_say(shard, BACKUP_PUT, slice_of(text, len));
}

static void backup_put_next(struct shard *shard)
{
    struct backup *b = &shard->backup;
    if (b->file < b->count) {
        b->state = BACKUP_PUTS;
        backup_ask_worker(shard, backup_make_piece, backup_on_piece_made);
        return;
    }
    buf_clear(&b->bytes);
    backup_remove_copies(shard);
    b->state = BACKUP_WAITS;
    backup_tell_files(shard);
}

static void backup_on_measured(struct work *work, void *ctx)
{
    struct backup *b = (struct backup *)work;
    if (!backup_goes_on(b, BACKUP_MEASURES) || !ctx)
        return;
    if (*b->failure) {
        backup_fail(b->shard, b->failure);
        return;
    }
    if (b->shard->disk.stuck) {
        backup_fail(b->shard, "the disk has no room to note it");
        return;
    }
    for (unsigned i = 0; i < b->count; i++)
        backup_note(b->shard, b->files[i].name, b->files[i].pieces);
    if (b->shard->peers.index == 0)
        backup_note(b->shard, "manifest", 0);
    b->commit = store_visible(b->shard->store);
    b->state = BACKUP_PUTS_NEXT;
}

void backup_turn(struct shard *shard)
{
    if (shard->disk.full && shard->backup.copy)
        backup_fail(shard, "there is not enough room on the disk for a copy");
    switch (shard->backup.state) {
    case BACKUP_COPIES:
    case BACKUP_IS_NEAR: /* the database grows while other shards copy */
        backup_copy_some(shard);
        break;
    case BACKUP_FINISHES:
        backup_finish_copy(shard);
        break;
    case BACKUP_PUTS_NEXT: /* a file is put after its row: else nobody would know that it has to be removed */
        if (commits_are_durable(store_commits(shard->store), shard->backup.commit))
            backup_put_next(shard);
        break;
    default:
        break;
    }
}

/* ---- sealing: the first shard ---- */

/* The backup counts. SEALED carries the oldest number of the index: every shard drops what is older. */
static void backup_on_index_put(void *ctx, const char *failure)
{
    struct backup *b = ctx;
    char text[24];
    if (!backup_goes_on(b, BACKUP_SEALS))
        return;
    fault_point("backup.sealed");
    if (failure) {
        backup_fail(b->shard, failure);
        return;
    }
    cJSON *index = document_parse(buf_slice(&b->bytes));
    int len = snprintf(text, sizeof text, "%.0f",
                       cJSON_GetNumberValue(cJSON_GetArrayItem(index, cJSON_GetArraySize(index) - 1)));
    cJSON_Delete(index);
    backup_say(b->shard, BACKUP_SEALED, slice_of(text, (size_t)len));
}

static void backup_put_list(struct backup *b, const char *name, cJSON *list, objects_done *done)
{
    char *text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    buf_reset(&b->bytes);
    buf_add(&b->bytes, text, strlen(text));
    cJSON_free(text);
    b->working = true;
    s3_put(&b->shard->objects, name, buf_slice(&b->bytes), done, b);
}

/* The newest first, and as many as are to be kept. A bucket without an index has no backup yet; an index that cannot be
 * read is not replaced, or backups that count would be forgotten. */
static void backup_on_index_got(void *ctx, enum error error, const char *failure, struct slice bytes)
{
    struct backup *b = ctx;
    if (!backup_goes_on(b, BACKUP_SEALS))
        return;
    cJSON *index = error == ERR_NONE              ? document_parse(bytes)
                   : error == ERR_SEGMENT_MISSING ? cJSON_CreateArray()
                                                  : NULL;
    if (!cJSON_IsArray(index)) {
        cJSON_Delete(index);
        backup_fail(b->shard, failure ? failure : "backup/index is damaged");
        return;
    }
    cJSON_InsertItemInArray(index, 0, cJSON_CreateNumber((double)b->id));
    while (cJSON_GetArraySize(index) > (int)b->shard->cfg->backup_keep)
        cJSON_DeleteItemFromArray(index, cJSON_GetArraySize(index) - 1);
    backup_put_list(b, "backup/index", index, backup_on_index_put);
}

static void backup_on_manifest_put(void *ctx, const char *failure)
{
    struct backup *b = ctx;
    if (!backup_goes_on(b, BACKUP_SEALS))
        return;
    fault_point("backup.manifest");
    if (failure) {
        backup_fail(b->shard, failure);
        return;
    }
    b->working = true;
    s3_get(&b->shard->objects, "backup/index", BACKUP_LIST_MAX, backup_on_index_got, b);
}

/* Shard 0, when the pieces of all shards are there: the manifest first, then the index, which makes the backup count.
 */
static void backup_seal(struct shard *shard, struct slice files)
{
    struct backup *b = &shard->backup;
    char name[OBJECT_NAME_MAX];
    struct buf array = {0};
    buf_add_slice(&array, SLICE("["));
    buf_add_slice(&array, files);
    buf_add_slice(&array, SLICE("]"));
    cJSON *manifest = cJSON_CreateObject();
    cJSON_AddNumberToObject(manifest, "version", BACKUP_VERSION);
    cJSON_AddStringToObject(manifest, "streamd", STREAMD_VERSION);
    cJSON_AddNumberToObject(manifest, "id", (double)b->id);
    cJSON_AddItemToObject(manifest, "files", document_parse(buf_slice(&array)));
    buf_clear(&array);
    b->state = BACKUP_SEALS;
    backup_object_name(name, sizeof name, b->id, "manifest", WHOLE);
    backup_put_list(b, name, manifest, backup_on_manifest_put);
}

/* ---- messages of the supervisor ---- */

/* The backups in this range do not count. On a full disk the next backup says so again, of all that are older. */
static void backup_note_gone(struct shard *shard, uint64_t from, uint64_t to)
{
    if (shard->disk.stuck)
        return;
    store_backups_gone(shard->store, from, to);
}

static void backup_sealed(struct shard *shard, struct slice oldest)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%.*s", (int)oldest.len, oldest.data);
    backup_note_gone(shard, 0, strtoull(digits, NULL, 10));
    backup_end(shard);
}

/* With may_count the backup may have been sealed. Its objects then stay until later backups have replaced it. */
static void backup_given_up(struct shard *shard, bool may_count)
{
    const struct backup *b = &shard->backup;
    if (b->id && !may_count)
        backup_note_gone(shard, b->id, b->id + 1);
    backup_end(shard);
}

void backup_step(struct shard *shard, enum backup_step step, struct slice text)
{
    struct backup *b = &shard->backup;
    if (step == BACKUP_BEGIN) {
        backup_begin(shard, text);
    } else if (step == BACKUP_HOLD && b->state == BACKUP_IS_NEAR) {
        b->state = BACKUP_FINISHES;
    } else if (step == BACKUP_GO_ON && b->state == BACKUP_HOLDS) {
        b->state = BACKUP_MEASURES;
        backup_ask_worker(shard, backup_measure, backup_on_measured);
    } else if (step == BACKUP_SEAL && b->state == BACKUP_WAITS && shard->peers.index == 0) {
        backup_seal(shard, text);
    } else if (step == BACKUP_SEALED) {
        backup_sealed(shard, text);
    } else if (step == BACKUP_FAILED) {
        backup_given_up(shard, text.len > 0);
    }
    shard->turn_again = true;
}

/* ---- removing backups that no longer count ---- */

struct backup_removal {
    struct shard *shard;
    struct backup_file_row row;
    uint64_t next; /* of its pieces */
};

static void backup_remove_next(struct backup_removal *removal);

static void backup_on_removed(void *ctx, const char *failure)
{
    struct backup_removal *removal = ctx;
    struct shard *shard = removal->shard;
    if (!failure && ++removal->next < removal->row.pieces) {
        backup_remove_next(removal);
        return;
    }
    shard->backup.removing = false;
    if (!failure) {
        store_backup_delete(shard->store, &removal->row);
        backup_upkeep(shard);
        shard->turn_again = true;
    } else if (!shard->stopping) {
        log_warn("a file of an old backup cannot be removed: %s; will retry", failure);
    }
    free(removal);
}

static void backup_remove_next(struct backup_removal *removal)
{
    char name[OBJECT_NAME_MAX];
    const struct backup_file_row *row = &removal->row;
    backup_object_name(name, sizeof name, row->id, row->name, row->pieces ? removal->next : WHOLE);
    s3_remove(&removal->shard->objects, name, backup_on_removed, removal);
}

/* One file at a time. A row without a name is the backup itself, which has no file. A row goes after its objects, so a
 * crash repeats a removal; removing an object that is gone does no harm. */
void backup_upkeep(struct shard *shard)
{
    struct backup_file_row row;
    while (!shard->backup.removing && store_backup_gone(shard->store, &row)) {
        if (!*row.name) {
            store_backup_delete(shard->store, &row);
            continue;
        }
        struct backup_removal *removal = xcalloc(1, sizeof *removal);
        *removal = (struct backup_removal){.shard = shard, .row = row};
        shard->backup.removing = true;
        backup_remove_next(removal);
    }
}
