/* A restore, one file after the other:
 *
 *     backup/index -> the backup's manifest -> each file, piece by piece, checksummed, into DATA_DIR/restore
 *     -> every database is opened once: its streams get another life, and it keeps the backup's files
 *     -> all files are renamed into DATA_DIR
 *     -> DATA_DIR/restore is removed: now the server may start
 *
 * Failure modes: a kill anywhere leaves the folder `restore`, and the supervisor starts nothing while it is there;
 * another restore begins anew. An object that is missing or damaged ends the process for good and names it. Restoring
 * only reads from the bucket; the restored databases keep every object until they have made backups of their own
 * (store_backup_hold), because the server that made this backup may have gone on. */
#include "shard/backup/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "common/clock.h"
#include "common/document.h"
#include "common/fault.h"
#include "common/layout.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/owned.h"
#include "common/role.h"
#include "shard/backup/backup.h"
#include "shard/backup/restore_lives.h"
#include "shard/segments/object_s3.h"
#include "shard/store/store.h"
#include "shard/store/store_backup.h"

#define FILES_MAX (LAYOUT_SHARDS_MAX + 2)
#define NUMBER_MAX 9007199254740991.0 /* a JSON number is exact up to here */

struct restore {
    struct role role;
    const struct config *cfg;
    struct worker worker;
    struct objects objects;
    const char *from;
    char owner[OWNER_TEXT_MAX]; /* of the bucket, or "" */
    char *folder;               /* server.data_dir/restore */
    uint64_t id;
    struct backup_file files[FILES_MAX];
    unsigned count, file;
    uint64_t piece, written; /* of that file */
    int fd;
    XXH3_state_t *hash;
};

/* ---- folders ---- */

static void restore_sync_folder(const char *path)
{
    if (!file_sync_folder(path))
        fatal("%s: fsync", path);
}

static bool restore_is_ours(const char *name)
{
    unsigned shard;
    char rest[8];
    return strcmp(name, "layout") == 0 || strcmp(name, "registry.db") == 0 ||
           (sscanf(name, "shard-%u%7s", &shard, rest) == 2 && shard < LAYOUT_SHARDS_MAX && strcmp(rest, ".db") == 0);
}

/* Whether the file belongs to a shard's database, as its journal does. */
static bool restore_is_of_database(const char *name)
{
    unsigned shard;
    char rest[4];
    return sscanf(name, "shard-%u%3s", &shard, rest) == 2 && strcmp(rest, ".db") == 0;
}

/* Removes what another attempt or another server has left: all files of `restore`, and in the data folder those that a
 * backup has, and what belongs to databases. */
static void restore_empty(const char *path, bool all)
{
    DIR *dir = opendir(path);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir))
        if (entry->d_name[0] != '.' &&
            (all || restore_is_ours(entry->d_name) || restore_is_of_database(entry->d_name) ||
             strcmp(entry->d_name, OWNER_NAME) == 0))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}

/* The folder is durable before anything in the data folder is removed: from then on the supervisor starts no server
 * (data_dir_half_restored). */
static void restore_prepare(struct restore *r)
{
    const char *data_dir = r->cfg->server_data_dir;
    size_t room = strlen(data_dir) + sizeof "/restore";
    r->folder = xmalloc(room);
    snprintf(r->folder, room, "%s/restore", data_dir);
    if (owned_mkdir(AT_FDCWD, r->folder) != 0 && errno != EEXIST)
        fatal("cannot make %s", r->folder);
    restore_sync_folder(data_dir);
    restore_empty(data_dir, false);
    restore_empty(r->folder, true);
}

static void restore_path_of(const char *folder, const char *name, char out[OBJECT_ROOT_MAX])
{
    snprintf(out, OBJECT_ROOT_MAX, "%s/%s", folder, name);
}

/* ---- when all files are there ---- */

static void restore_note(const struct restore *r, struct store *store, const char *name, uint64_t pieces)
{
    struct backup_file_row row = {.id = r->id, .pieces = pieces};
    snprintf(row.name, sizeof row.name, "%s", name);
    store_backup_put(store, &row);
}

/* Opening a database checks that it is streamd's and of a version that this program reads. Each keeps what the backup
 * refers to, and the first one has the rows of its files. */
static void restore_check_databases(struct restore *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        unsigned shard;
        if (sscanf(r->files[i].name, "shard-%u", &shard) != 1)
            continue;
        struct store *store = store_open(r->folder, shard, r->cfg->shard_page_cache);
        restore_lives(store, r->cfg, &r->role, clock_unix_ms());
        store_begin(store);
        store_backup_hold(store, r->id);
        for (unsigned k = 0; shard == 0 && k < r->count; k++)
            restore_note(r, store, r->files[k].name, r->files[k].pieces);
        if (shard == 0)
            restore_note(r, store, "manifest", 0);
        store_commit(store);
        store_close(store);
        role_report(&r->role);
    }
}

/* Renames may be lost in a crash until the data folder is synced, so the folder `restore` goes only after that. A
 * restore that is cut short here begins anew, and first removes what this one has moved. */
static void restore_move_files(struct restore *r)
{
    char from[OBJECT_ROOT_MAX], to[OBJECT_ROOT_MAX];
    restore_empty(r->cfg->server_data_dir, false);
    for (unsigned i = 0; i < r->count; i++) {
        restore_path_of(r->folder, r->files[i].name, from);
        restore_path_of(r->cfg->server_data_dir, r->files[i].name, to);
        if (rename(from, to) != 0)
            fatal("%s: rename", from);
        fault_point("restore.moved");
    }
    if (*r->owner && !owner_take(r->cfg->server_data_dir, slice_str(r->owner)))
        fatal("%s/" OWNER_NAME " cannot be made as it is in the bucket", r->cfg->server_data_dir);
    restore_sync_folder(r->cfg->server_data_dir);
    restore_empty(r->folder, true); /* -wal and -shm, which SQLite has left */
    if (rmdir(r->folder) != 0)
        fatal("%s: rmdir", r->folder);
    restore_sync_folder(r->cfg->server_data_dir);
}

static void restore_conclude(struct restore *r)
{
    uint64_t bytes = 0;
    restore_check_databases(r);
    fault_point("restore.checked");
    restore_move_files(r);
    for (unsigned i = 0; i < r->count; i++)
        bytes += r->files[i].bytes;
    log_info("backup %" PRIu64 " is restored: %u files, %" PRIu64 " bytes", r->id, r->count, bytes);
    role_done(&r->role);
}

/* ---- one file after the other ---- */

static void restore_fetch_next(struct restore *r);

/* The checksum is over the raw bytes, and is compared when the file is whole. */
static void restore_write_all(struct restore *r, const char *bytes, size_t len)
{
    XXH3_64bits_update(r->hash, bytes, len);
    r->written += len;
    while (len) {
        ssize_t n = write(r->fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            fatal("%s/%s: write", r->folder, r->files[r->file].name);
        bytes += n;
        len -= (size_t)n;
    }
}

static void restore_end_file(struct restore *r)
{
    const struct backup_file *file = &r->files[r->file];
    if (r->written != file->bytes || XXH3_64bits_digest(r->hash) != file->checksum)
        fatal_never_restart("backup %" PRIu64 ": %s is damaged", r->id, file->name);
    /* Before the renames: a file in the data folder is whole, even after a crash. */
    if (fsync(r->fd) != 0)
        fatal("%s/%s: fsync", r->folder, file->name);
    close(r->fd);
    fault_point("restore.fetched");
    r->file++;
    r->piece = 0;
}

static void restore_on_piece(void *ctx, enum error error, const char *failure, struct slice bytes)
{
    struct restore *r = ctx;
    const struct backup_file *file = &r->files[r->file];
    char *raw = xmalloc(BACKUP_PIECE);
    if (error != ERR_NONE)
        fatal_never_restart("backup %" PRIu64 ": piece %" PRIu64 " of %s cannot be had: %s", r->id, r->piece,
                            file->name, failure);
    /* A piece that unpacks to more than its room is damage, too: ZSTD_decompress() refuses it. */
    size_t len = ZSTD_decompress(raw, BACKUP_PIECE, bytes.data, bytes.len);
    if (ZSTD_isError(len))
        fatal_never_restart("backup %" PRIu64 ": piece %" PRIu64 " of %s is damaged", r->id, r->piece, file->name);
    restore_write_all(r, raw, len);
    free(raw);
    if (++r->piece == file->pieces)
        restore_end_file(r);
    restore_fetch_next(r);
}

static void restore_begin_file(struct restore *r)
{
    char path[OBJECT_ROOT_MAX];
    restore_path_of(r->folder, r->files[r->file].name, path);
    r->fd = owned_open(AT_FDCWD, path, O_WRONLY | O_TRUNC);
    if (r->fd < 0)
        fatal("cannot make %s", path);
    r->written = 0;
    XXH3_64bits_reset(r->hash);
}

/* The restored server owns the bucket, as the one that made the backup did. A bucket that was used before there were
 * owners has no such object. */
static void restore_on_owner(void *ctx, enum error error, const char *failure, struct slice bytes)
{
    struct restore *r = ctx;
    if (error != ERR_NONE && error != ERR_SEGMENT_MISSING)
        fatal_never_restart("the object " OWNER_NAME " of the bucket cannot be had: %s", failure);
    if (error == ERR_NONE)
        snprintf(r->owner, sizeof r->owner, "%.*s", (int)bytes.len, bytes.data);
    restore_conclude(r);
}

/* Pieces come one after the other; the owner of the bucket is asked for at the end. */
static void restore_fetch_next(struct restore *r)
{
    char name[OBJECT_NAME_MAX];
    if (r->file == r->count) {
        s3_get(&r->objects, OWNER_NAME, OWNER_TEXT_MAX, restore_on_owner, r);
        return;
    }
    if (r->piece == 0)
        restore_begin_file(r);
    backup_object_name(name, sizeof name, r->id, r->files[r->file].name, r->piece);
    s3_get(&r->objects, name, ZSTD_compressBound(BACKUP_PIECE), restore_on_piece, r);
}

/* ---- which files ---- */

static bool restore_take_number(const cJSON *object, const char *name, uint64_t *value)
{
    double number = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));
    *value = number >= 0 && number <= NUMBER_MAX ? (uint64_t)number : 0;
    return (double)*value == number;
}

static bool restore_take_file(const cJSON *item, struct backup_file *file)
{
    const char *name = document_text(item, "name");
    const char *checksum = document_text(item, "checksum");
    if (!name || !checksum || !restore_is_ours(name) || strlen(checksum) != 16 ||
        strspn(checksum, "0123456789abcdef") != 16 || !restore_take_number(item, "bytes", &file->bytes) ||
        !restore_take_number(item, "pieces", &file->pieces))
        return false;
    snprintf(file->name, sizeof file->name, "%s", name);
    file->checksum = strtoull(checksum, NULL, 16);
    return file->pieces > 0 && file->pieces == (file->bytes + BACKUP_PIECE - 1) / BACKUP_PIECE;
}

/* A manifest comes from a bucket: names are checked against those that a backup has, numbers against what JSON can say.
 */
static bool restore_take_manifest(struct restore *r, const cJSON *manifest)
{
    const cJSON *item, *files = cJSON_GetObjectItemCaseSensitive(manifest, "files");
    uint64_t version, id;
    if (!restore_take_number(manifest, "version", &version) || !restore_take_number(manifest, "id", &id) || id != r->id)
        return false;
    if (version != BACKUP_VERSION)
        fatal_never_restart("backup %" PRIu64 " was made by another version of streamd", r->id);
    cJSON_ArrayForEach(item, files)
    {
        if (r->count == FILES_MAX || !restore_take_file(item, &r->files[r->count]))
            return false;
        r->count++;
    }
    return r->count > 1; /* a database and the layout, at least */
}

static void restore_on_manifest(void *ctx, enum error error, const char *failure, struct slice bytes)
{
    struct restore *r = ctx;
    if (error != ERR_NONE)
        fatal_never_restart("the manifest of backup %" PRIu64 " cannot be had: %s", r->id, failure);
    cJSON *manifest = document_parse(bytes);
    if (!restore_take_manifest(r, manifest))
        fatal_never_restart("the manifest of backup %" PRIu64 " is damaged", r->id);
    cJSON_Delete(manifest);
    restore_prepare(r);
    restore_fetch_next(r);
}

static void restore_on_index(void *ctx, enum error error, const char *failure, struct slice bytes)
{
    struct restore *r = ctx;
    char name[OBJECT_NAME_MAX], text[24];
    if (error == ERR_SEGMENT_MISSING)
        fatal_never_restart("there is no backup in the bucket %s under %sbackup", r->cfg->s3_bucket, r->cfg->s3_prefix);
    if (error != ERR_NONE)
        fatal_never_restart("the list of backups cannot be had: %s", failure);
    const cJSON *item;
    cJSON *index = document_parse(bytes);
    struct buf known = {0};
    cJSON_ArrayForEach(item, index)
    {
        int len = snprintf(text, sizeof text, "%.0f", cJSON_GetNumberValue(item));
        buf_add_slice(&known, SLICE(" "));
        buf_add(&known, text, (size_t)len);
        if (!r->id && (strcmp(r->from, "latest") == 0 || strcmp(r->from, text) == 0))
            r->id = strtoull(text, NULL, 10);
    }
    if (!r->id)
        fatal_never_restart("there is no backup %s; there are:%.*s", r->from, (int)buf_len(&known),
                            buf_slice(&known).data ? buf_slice(&known).data : " none");
    buf_clear(&known);
    cJSON_Delete(index);
    backup_object_name(name, sizeof name, r->id, "manifest", UINT64_MAX);
    s3_get(&r->objects, name, BACKUP_LIST_MAX, restore_on_manifest, r);
}

/* ---- the role ---- */

static void restore_start(void *ctx, struct event_base *base, const struct config *cfg, unsigned index)
{
    struct restore *r = ctx;
    (void)index;
    r->cfg = cfg;
    r->hash = XXH3_createState();
    worker_init(&r->worker, base);
    objects_init(&r->objects, cfg, base, &r->worker);
    s3_get(&r->objects, "backup/index", BACKUP_LIST_MAX, restore_on_index, r);
}

static void restore_nothing(void *ctx)
{
    (void)ctx;
}

int restore_main(int argc, char **argv)
{
    static struct restore restore;
    restore.from = argv[2];
    restore.role = (struct role){
        .kind = ROLE_SHARD, .ctx = &restore, .start = restore_start, .stop = restore_nothing, .turn = restore_nothing};
    int status = role_run(&restore.role, argc, argv);
    objects_clear(&restore.objects);
    worker_clear(&restore.worker);
    XXH3_freeState(restore.hash);
    free(restore.folder);
    return status;
}
