/* Three places where a file may be:
 *
 *     segment.store   new files go to   a file is looked for in
 *     directory       the folder        the folder; with s3.bucket set also the cache and the bucket
 *     s3              the bucket        the folder, the cache, the bucket
 *
 * So segment.store may be changed at any time. A file in the bucket is read after a fetch into the cache (fetch.c).
 *
 * Failure modes: A folder or bucket that is not this server's (owner.h): a file that is not there is not missing, and
 * nothing is put or removed. The folder is gone: ESTALE instead of ENOENT. */
#include "shard/segments/objects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/mem.h"
#include "shard/segments/object_folder.h"
#include "shard/segments/object_s3.h"
#include "shard/store/store_segment.h"

static const char *objects_cache_of(const struct objects *objects, char out[OBJECT_ROOT_MAX])
{
    return config_cache(objects->cfg, out, OBJECT_ROOT_MAX);
}

void objects_init(struct objects *objects, const struct config *cfg, struct event_base *base, struct worker *worker)
{
    *objects = (struct objects){
        .cfg = cfg,
        .base = base,
        .worker = worker,
        .http_client = {.base = base, .connections = (long)cfg->s3_connections},
        .puts_away = cfg->segment_store == SEGMENT_STORE_S3,
        .away = *cfg->s3_bucket != 0,
    };
    list_init(&objects->requests);
    list_init(&objects->awaiting_owner);
}

void objects_know(struct objects *objects)
{
    objects->owner.alone = !objects->away;
    owner_open(&objects->owner, objects->cfg->server_data_dir, false);
}

void objects_own(struct objects *objects, struct store *store)
{
    struct owner *owner = &objects->owner;
    owner->alone = !objects->away;
    owner->count = store_segments_any(store, owner->samples, OWNER_SAMPLES);
    owner_open(owner, objects->cfg->server_data_dir, true);
    object_folder_claim(objects);
    objects->marks_stores = true;
    if (objects->away)
        s3_own(objects);
}

void objects_clear(struct objects *objects)
{
    s3_clear(objects);
}

void objects_put(struct objects *objects, const struct object *object, struct slice file, objects_done *done, void *ctx)
{
    char root[OBJECT_ROOT_MAX], name[OBJECT_NAME_MAX];
    object_name(name, object);
    if (objects->puts_away)
        s3_put(objects, name, file, done, ctx);
    else
        files_put(objects->worker, object_folder_path(objects, root), &objects->owner, object, file, done, ctx);
}

static void objects_removed_here(void *ctx, const char *failure)
{
    (void)ctx;
    (void)failure; /* a copy that stays in the cache is trimmed some day; its name is never used again */
}

/* A removal from all places, in the order cache, folder, bucket. done() follows the last one; a failure of the folder
 * ends the removal, and the row stays for another attempt. */
struct removal {
    struct objects *objects;
    struct object object;
    objects_done *done;
    void *ctx;
};

static void objects_removed_from_folder(void *ctx, const char *failure)
{
    struct removal *removal = ctx;
    char name[OBJECT_NAME_MAX];
    object_name(name, &removal->object);
    if (failure)
        removal->done(removal->ctx, failure);
    else
        s3_remove(removal->objects, name, removal->done, removal->ctx);
    free(removal);
}

void objects_remove(struct objects *objects, const struct object *object, objects_done *done, void *ctx)
{
    char root[OBJECT_ROOT_MAX];
    if (!objects->away) {
        files_remove(objects->worker, object_folder_path(objects, root), &objects->owner, object, done, ctx);
        return;
    }
    struct removal *removal = xcalloc(1, sizeof *removal);
    *removal = (struct removal){objects, *object, done, ctx};
    files_remove(objects->worker, objects_cache_of(objects, root), NULL, object, objects_removed_here, NULL);
    files_remove(objects->worker, object_folder_path(objects, root), &objects->owner, object,
                 objects_removed_from_folder, removal);
}

int objects_open(struct objects *objects, const struct object *object, bool *cached)
{
    static const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    char root[OBJECT_ROOT_MAX];
    int fd = object_path_open(object_folder_path(objects, root), object);
    *cached = false;
    if (fd >= 0 && objects->doubted)
        (void)!object_folder_is_ours(objects);
    if (fd >= 0 || (errno != ENOENT && errno != ENOTDIR))
        return fd;
    if (!objects->away) {
        int error = errno;
        errno = object_folder_is_ours(objects) ? error : ESTALE;
        return -1;
    }
    fd = object_path_open(objects_cache_of(objects, root), object);
    if (fd >= 0) {
        *cached = true;
        (void)!futimens(fd, now); /* trimming goes by this, and file systems mounted noatime do not set it */
    } else if (errno == ENOTDIR || errno == EINVAL) {
        errno = ENOENT; /* something else is in its place, as putting it there will find out */
    }
    return fd;
}

void objects_uncache(const struct objects *objects, const struct object *object)
{
    char root[OBJECT_ROOT_MAX];
    object_path_unlink(objects_cache_of(objects, root), object);
}

void objects_fetch(struct objects *objects, const struct segment_row *row, objects_fetched *done, void *ctx)
{
    char root[OBJECT_ROOT_MAX];
    s3_fetch(objects, row, objects_cache_of(objects, root), done, ctx);
}
