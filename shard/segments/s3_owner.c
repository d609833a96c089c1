/* Whose the bucket is, is found out once, when that matters first:
 *
 *     GET owner --- our text ----------------------------------------> ours
 *         |    `--- another text ------------------------------------> refused
 *         | missing
 *         +-- it was marked elsewhere before ------------------------> refused
 *         +-- the database knows no segments, or the folder has them -> PUT owner --> ours
 *         `-- GET of segments that the database knows: one is there --> PUT owner --> ours
 *                                                      none is there -> refused
 *
 * Happy path: server.data_dir/owner.bucket says that this place is marked, and nothing is asked.
 *
 * Failure modes: The store does not answer: what waits fails, and the next request asks again. The bucket is refused:
 * the same, but DISTRUST_MS apart, because a request would only find the same. A process that only reads there (a
 * restore, `streamd verify`) marks nothing. */
#include "shard/segments/s3_owner.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "shard/segments/object_folder.h"
#include "shard/segments/s3_request.h"

#define DISTRUST_MS 1000 /* a bucket that was refused is not asked again for so long */

static bool s3_owner_is_ours(const struct objects *objects)
{
    return !*objects->owner.text || objects->trusted;
}

static void s3_owner_place_of(const struct objects *objects, char where[OWNER_WHERE_MAX])
{
    const struct config *cfg = objects->cfg;
    snprintf(where, OWNER_WHERE_MAX, "%s, bucket %s, prefix \"%s\"", cfg->s3_endpoint, cfg->s3_bucket, cfg->s3_prefix);
}

/* All that waited goes on, or fails. A request that comes to wait meanwhile waits for the next answer. */
static void s3_owner_judge(struct objects *objects, const char *failure)
{
    struct list judged, *link;
    list_init(&judged);
    list_append(&judged, &objects->awaiting_owner);
    objects->asks_owner = false;
    objects->trusted = !failure;
    while ((link = list_pop(&judged))) {
        struct s3_request *r = LIST_OWNER(link, struct s3_request, link);
        list_add_first(&objects->requests, &r->link);
        if (failure)
            s3_request_end(r, failure, ERR_SEGMENT_UNAVAILABLE);
        else if (r->missing)
            s3_request_end(r, "status 404 NoSuchKey", ERR_SEGMENT_MISSING);
        else
            s3_request_send(r);
    }
}

static void s3_owner_believe(struct objects *objects)
{
    if (objects->refused)
        log_info("the bucket %s is this server's again", objects->cfg->s3_bucket);
    objects->refused = false;
    s3_owner_judge(objects, NULL);
}

static void s3_owner_disbelieve(struct objects *objects, const char *what, const char *more)
{
    char where[OWNER_WHERE_MAX], why[OWNER_WHY_MAX];
    s3_owner_place_of(objects, where);
    snprintf(why, sizeof why, "s3.bucket or s3.prefix: %s %s%s", where, what, more);
    if (!objects->refused)
        log_error("%s", why);
    objects->refused = objects->unreachable = true;
    s3_owner_judge(objects, why);
}

static void s3_owner_note_and_believe(struct objects *objects)
{
    char where[OWNER_WHERE_MAX];
    s3_owner_place_of(objects, where);
    if (objects->marks_stores && !owner_note(&objects->owner, OWNER_BUCKET, where))
        log_warn("server.data_dir/owner.bucket cannot be written; the bucket is asked again at the next start");
    s3_owner_believe(objects);
}

static void s3_owner_on_marked(void *ctx, const char *failure)
{
    if (failure)
        s3_owner_judge(ctx, failure);
    else
        s3_owner_note_and_believe(ctx);
}

/* The bucket is new, or has segments that the database knows. A process that only reads there does not mark it. */
static void s3_owner_mark(struct objects *objects)
{
    if (!objects->marks_stores || !objects->puts_away) {
        s3_owner_believe(objects);
        return;
    }
    struct s3_request *r = s3_request_new(objects, OWNER_NAME, S3_PUT, objects);
    r->file = slice_str(objects->owner.text);
    r->done = s3_owner_on_marked;
    s3_request_send(r);
}

static struct s3_request *s3_request_new_get(struct objects *objects, const char *name, uint64_t most, s3_got *got,
                                             void *ctx)
{
    struct s3_request *r = s3_request_new(objects, name, S3_GET, ctx);
    r->size = most;
    r->got = got;
    return r;
}

static void s3_owner_on_sample(void *ctx, enum error error, const char *failure, struct slice bytes);

static void s3_owner_find_sample(struct objects *objects)
{
    char name[OBJECT_NAME_MAX];
    const struct owner *owner = &objects->owner;
    if (objects->sample == owner->count) {
        s3_owner_disbelieve(objects, "has none of the segments that the databases know", "");
        return;
    }
    const struct segment_row *row = &owner->samples[objects->sample++];
    object_name(name, &row->object);
    struct s3_request *r = s3_request_new_get(objects, name, row->size, s3_owner_on_sample, objects);
    s3_request_send(r);
}

static void s3_owner_on_sample(void *ctx, enum error error, const char *failure, struct slice bytes)
{
    (void)bytes;
    if (error == ERR_NONE)
        s3_owner_mark(ctx);
    else if (error == ERR_SEGMENT_MISSING)
        s3_owner_find_sample(ctx);
    else
        s3_owner_judge(ctx, failure);
}

static void s3_owner_on_owner(void *ctx, enum error error, const char *failure, struct slice bytes)
{
    struct objects *objects = ctx;
    const struct owner *owner = &objects->owner;
    char where[OWNER_WHERE_MAX], more[OWNER_WHERE_MAX + 32];
    if (error == ERR_NONE && slice_equal(bytes, slice_str(owner->text))) {
        s3_owner_note_and_believe(objects);
    } else if (error == ERR_NONE) {
        s3_owner_disbelieve(objects, "has the object " OWNER_NAME " of another server", "");
    } else if (error != ERR_SEGMENT_MISSING) {
        s3_owner_judge(objects, failure);
    } else if (owner_marked(owner, OWNER_BUCKET, where)) {
        snprintf(more, sizeof more, " (they were in %s)", where);
        s3_owner_disbelieve(objects, "has no object " OWNER_NAME ": the segments are elsewhere", more);
    } else if (!owner->count || object_folder_has_samples(objects)) {
        s3_owner_mark(objects);
    } else {
        objects->sample = 0;
        s3_owner_find_sample(objects);
    }
}

static void s3_owner_ask(struct objects *objects)
{
    if (objects->asks_owner)
        return;
    objects->asks_owner = true;
    struct s3_request *r = s3_request_new_get(objects, OWNER_NAME, OWNER_TEXT_MAX, s3_owner_on_owner, objects);
    if (objects->refused)
        s3_request_send_after(r, DISTRUST_MS);
    else
        s3_request_send(r);
}

/* A bucket that is where it was is not asked: an object that it does not have was there once, and is missing. */
void s3_owner_find(struct objects *objects)
{
    char where[OWNER_WHERE_MAX], noted[OWNER_WHERE_MAX];
    s3_owner_place_of(objects, where);
    objects->trusted |= owner_marked(&objects->owner, OWNER_BUCKET, noted) && strcmp(where, noted) == 0;
    if (!objects->trusted)
        s3_owner_ask(objects);
}

static void s3_owner_await(struct s3_request *r)
{
    list_remove(&r->link);
    list_add_first(&r->objects->awaiting_owner, &r->link);
    s3_owner_ask(r->objects);
}

void s3_owner_send(struct s3_request *r)
{
    if (s3_owner_is_ours(r->objects))
        s3_request_send(r);
    else
        s3_owner_await(r);
}

bool s3_owner_doubt(struct s3_request *r)
{
    if (s3_owner_is_ours(r->objects) || r->objects->stopping)
        return false;
    r->missing = true;
    s3_owner_await(r);
    return true;
}
