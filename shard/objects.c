#include "shard/objects.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "shard/object_s3.h"

static const char *root_of(const struct objects *objects, char out[OBJECT_ROOT_MAX])
{
    const struct config *cfg = objects->cfg;
    const char *own = objects->away ? cfg->segment_cache_directory : cfg->segment_directory;
    if (*own)
        return own;
    snprintf(out, OBJECT_ROOT_MAX, "%s/%s", cfg->server_data_dir, objects->away ? "cache" : "segments");
    return out;
}

void objects_init(struct objects *objects, const struct config *cfg, struct event_base *base, struct worker *worker)
{
    *objects = (struct objects){
        .cfg = cfg,
        .base = base,
        .worker = worker,
        .web = {.base = base, .connections = (long)cfg->s3_connections},
        .away = strcmp(cfg->segment_store, "s3") == 0,
    };
}

void objects_clear(struct objects *objects)
{
    s3_clear(objects);
}

void objects_put(struct objects *objects, const struct object *object, struct slice file, objects_done *done, void *ctx)
{
    char root[OBJECT_ROOT_MAX];
    if (objects->away)
        s3_put(objects, object, file, done, ctx);
    else
        files_put(objects->worker, root_of(objects, root), object, file, done, ctx);
}

static void forgotten(void *ctx, const char *failure)
{
    (void)ctx;
    (void)failure; /* the cache is looked through in any case */
}

void objects_remove(struct objects *objects, const struct object *object, objects_done *done, void *ctx)
{
    char root[OBJECT_ROOT_MAX];
    bool away = objects->away;
    files_remove(objects->worker, root_of(objects, root), object, away ? forgotten : done, ctx);
    if (away)
        s3_remove(objects, object, done, ctx);
}

int objects_open(const struct objects *objects, const struct object *object)
{
    static const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    char root[OBJECT_ROOT_MAX];
    int fd = files_open(root_of(objects, root), object);
    if (fd >= 0 && objects->away)
        (void)!futimens(fd, now); /* whatever the file system does about it: it was used */
    return fd;
}

void objects_fetch(struct objects *objects, const struct object *object, uint64_t size, objects_fetched *done,
                   void *ctx)
{
    char root[OBJECT_ROOT_MAX];
    s3_fetch(objects, object, size, root_of(objects, root), done, ctx);
}
