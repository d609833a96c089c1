/* Requests to a bucket that may not be this server's:
 *
 *     PUT, DELETE    wait until the bucket is known to be ours (s3_owner.c)
 *     GET            goes out at once; if it finds nothing, it waits too, because only our bucket can miss an object */
#include "shard/segments/object_s3.h"

#include <stdio.h>

#include "shard/segments/s3_owner.h"
#include "shard/segments/s3_request.h"

void s3_own(struct objects *objects)
{
    s3_owner_find(objects);
}

void s3_put(struct objects *objects, const char *name, struct slice bytes, objects_done *done, void *ctx)
{
    struct s3_request *r = s3_request_new(objects, name, S3_PUT, ctx);
    r->doubt = s3_owner_doubt;
    r->file = bytes;
    r->done = done;
    s3_owner_send(r);
}

void s3_remove(struct objects *objects, const char *name, objects_done *done, void *ctx)
{
    struct s3_request *r = s3_request_new(objects, name, S3_REMOVE, ctx);
    r->doubt = s3_owner_doubt;
    r->done = done;
    s3_owner_send(r);
}

void s3_get(struct objects *objects, const char *name, uint64_t most, s3_got *got, void *ctx)
{
    struct s3_request *r = s3_request_new(objects, name, S3_GET, ctx);
    r->doubt = s3_owner_doubt;
    r->size = most;
    r->got = got;
    s3_request_send(r);
}

void s3_fetch(struct objects *objects, const struct segment_row *row, const char *cache, objects_fetched *done,
              void *ctx)
{
    char name[OBJECT_NAME_MAX];
    object_name(name, &row->object);
    struct s3_request *r = s3_request_new(objects, name, S3_FETCH, ctx);
    r->doubt = s3_owner_doubt;
    r->object = row->object;
    r->size = row->size;
    r->checksum = row->checksum;
    r->fetched = done;
    snprintf(r->cache, sizeof r->cache, "%s", cache);
    s3_request_send(r);
}

static void object_s3_end_all(struct list *requests)
{
    while (!list_empty(requests))
        s3_request_end(LIST_OWNER(requests->next, struct s3_request, link), "the shard stops", ERR_SEGMENT_UNAVAILABLE);
}

/* Ending one that asks for the owner ends those that wait for it. */
void s3_clear(struct objects *objects)
{
    objects->stopping = true;
    http_client_clear(&objects->http_client);
    object_s3_end_all(&objects->requests);
    object_s3_end_all(&objects->awaiting_owner);
}
