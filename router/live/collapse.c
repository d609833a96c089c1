#include "router/live/collapse.h"

#include <stdlib.h>

#include "common/hash.h"
#include "common/mem.h"
#include "common/random.h"
#include "router/conn/answer.h"
#include "router/live/read_answer.h"
#include "router/observe/timing.h"
#include "router/router.h"

#define AT_ONCE 4                     /* of one key with the shard: a few readers never wait for each other */
#define BODY_SHARED ((size_t)1 << 10) /* a shorter one is copied behind each head */

struct waiter {
    struct request *request;
    struct shared_read *shared;
    struct waiter *prev, *next;
};

/* One READ, and those it is for. */
struct shared_read {
    struct collapse *collapse;
    struct shared_read *bucket_next;
    struct shared_read *ahead;   /* one of the same key, which has left: this one waits for its answer */
    struct shared_read *behind;  /* the one that waits for this one's */
    struct shard_request *asked; /* NULL: it waits for the one ahead */
    struct waiter *first, *last;
    uint64_t hash;
    struct wire_read read; /* what is asked for; its name is `name` */

    /* An answer longer than a page is joined from pages that follow each other. */
    struct block *page;   /* the one that came, if it is a file; for the time of the call */
    struct output body;   /* their bytes */
    uint64_t start, next; /* they are [start, next) */
    uint64_t uid;         /* of this stream */
    bool cold;            /* all of them */
    bool alone;           /* joining has failed: one page is the answer */
    char name[];
};

void collapse_init(struct collapse *collapse, struct router *router)
{
    collapse->router = router;
    collapse->bucket_count = 256;
    collapse->buckets = xcalloc(collapse->bucket_count, sizeof *collapse->buckets);
    collapse->seed = random_secret();
}

/* ---- the table ---- */

static uint64_t collapse_hash_of(const struct collapse *collapse, const struct wire_read *read)
{
    const uint64_t numbers[] = {read->position, read->flags, read->max_messages};
    uint64_t hash = hash_add(HASH_SEED ^ collapse->seed, read->name);
    return hash_add(hash, slice_of((const char *)numbers, sizeof numbers));
}

static bool collapse_same(const struct wire_read *a, const struct wire_read *b)
{
    return a->position == b->position && a->flags == b->flags && a->max_messages == b->max_messages &&
           a->max_bytes == b->max_bytes && slice_equal(a->name, b->name);
}

static struct shared_read **collapse_bucket_of(const struct collapse *collapse, uint64_t hash)
{
    return &collapse->buckets[hash & (collapse->bucket_count - 1)];
}

/* Those of a key. The newest comes first in its bucket: it is the one that may still be joined. */
struct found {
    struct shared_read *newest, *oldest;
    unsigned count;
};

static struct found collapse_find(const struct collapse *collapse, const struct wire_read *read, uint64_t hash)
{
    struct found found = {0};
    for (struct shared_read *s = *collapse_bucket_of(collapse, hash); s; s = s->bucket_next) {
        if (s->hash != hash || !collapse_same(&s->read, read))
            continue;
        if (!found.newest)
            found.newest = s;
        found.oldest = s;
        found.count++;
    }
    return found;
}

static void collapse_put(struct collapse *collapse, struct shared_read *s)
{
    struct shared_read **bucket = collapse_bucket_of(collapse, s->hash);
    s->bucket_next = *bucket;
    *bucket = s;
}

/* From the chain's end, so that those of a key stay in their order. */
static void collapse_put_chain(struct collapse *collapse, struct shared_read *s)
{
    if (!s)
        return;
    collapse_put_chain(collapse, s->bucket_next);
    collapse_put(collapse, s);
}

static void collapse_grow(struct collapse *collapse)
{
    struct shared_read **old = collapse->buckets;
    size_t count = collapse->bucket_count;
    collapse->bucket_count *= 2;
    collapse->buckets = xcalloc(collapse->bucket_count, sizeof *collapse->buckets);
    for (size_t i = 0; i < count; i++)
        collapse_put_chain(collapse, old[i]);
    free(old);
}

static struct shared_read *collapse_shared_new(struct collapse *collapse, const struct wire_read *read, uint64_t hash)
{
    struct shared_read *s = xmalloc(sizeof *s + read->name.len);
    *s = (struct shared_read){.collapse = collapse, .hash = hash, .read = *read};
    memcpy(s->name, read->name.data, read->name.len);
    s->read.name.data = s->name;
    if (++collapse->count > collapse->bucket_count)
        collapse_grow(collapse);
    collapse_put(collapse, s);
    return s;
}

/* Nobody is found waiting for it any more. Returns the one that was behind it. */
static struct shared_read *collapse_take_out(struct shared_read *s)
{
    struct shared_read **at = collapse_bucket_of(s->collapse, s->hash), *behind = s->behind;
    while (*at != s)
        at = &(*at)->bucket_next;
    *at = s->bucket_next;
    s->collapse->count--;
    if (s->ahead)
        s->ahead->behind = NULL;
    if (behind)
        behind->ahead = NULL;
    return behind;
}

/* ---- those who wait ---- */

static void collapse_drop(struct request *req);

static const struct job_ops collapse_ops = {.drop = collapse_drop};

static void collapse_join(struct shared_read *s, struct request *req)
{
    struct waiter *w = xmalloc(sizeof *w);
    *w = (struct waiter){.request = req, .shared = s, .prev = s->last};
    *(s->last ? &s->last->next : &s->first) = w;
    s->last = w;
    request_begin_job(req, &collapse_ops, w);
}

static void collapse_leave(struct waiter *w)
{
    struct shared_read *s = w->shared;
    *(w->prev ? &w->prev->next : &s->first) = w->next;
    *(w->next ? &w->next->prev : &s->last) = w->prev;
    request_end_job(w->request);
    free(w);
}

static void collapse_shared_free(struct shared_read *s)
{
    output_clear(&s->body, &s->collapse->router->outputs);
    free(s);
}

/* ---- the answer ---- */

static void collapse_add_page(struct shared_read *s, const struct answer *answer)
{
    const struct wire_stream *stream = answer->stream;
    bool first = !s->body.bytes;
    read_answer_add(s->collapse->router, &s->body, stream, s->page);
    s->start = first ? stream->start : s->start;
    s->cold = (first || s->cold) && (stream->flags & WIRE_STREAM_COLD);
    s->next = stream->next;
    s->uid = stream->uid;
}

/* A page in memory is copied once for many of them; for one it is copied behind the head. */
static bool collapse_is_pieces(const struct shared_read *s, const struct answer *answer)
{
    return s->body.bytes || s->page || (s->first != s->last && answer->stream->data.len >= BODY_SHARED);
}

/* Describes all pages together. */
static struct wire_stream collapse_whole(struct shared_read *s, const struct answer *answer)
{
    struct wire_stream stream = *answer->stream;
    if (!collapse_is_pieces(s, answer))
        return stream;
    collapse_add_page(s, answer);
    read_answer_whole(s->collapse->router, &s->body, &stream);
    stream.start = s->start;
    if (!s->cold)
        stream.flags &= (uint8_t)~WIRE_STREAM_COLD;
    return stream;
}

/* Ends it; it is in no table any more. */
static void collapse_answer_all(struct shared_read *s, const struct answer *answer)
{
    struct wire_stream stream = {0};
    if (answer->error == ERR_NONE)
        stream = collapse_whole(s, answer);
    while (s->first) {
        struct request *req = s->first->request;
        collapse_leave(s->first);
        if (answer->error != ERR_NONE)
            answer_refusal(req, answer);
        else
            read_answer_page(req, &stream, &s->body);
    }
    collapse_shared_free(s);
}

/* ---- the READ ---- */

static void collapse_start(struct shared_read *s);

static void collapse_end(struct shared_read *s, const struct answer *answer)
{
    struct shared_read *behind = collapse_take_out(s);
    collapse_answer_all(s, answer);
    if (behind && answer->stream) {
        collapse_start(behind);
    } else if (behind) { /* the shard could not be asked: nor can it for these, who have come meanwhile */
        (void)collapse_take_out(behind);
        collapse_answer_all(behind, answer);
    }
}

/* The stream goes on, and another page fits. Joined answers fill at most half of the memory for answers: past that all
 * readers get single pages. A read with a limit gets one page. */
static bool collapse_wants_more(const struct shared_read *s, const struct answer *answer)
{
    const struct router *r = s->collapse->router;
    const struct wire_stream *stream = answer->stream;
    size_t len = s->page ? s->page->len : stream->data.len;
    return stream->next < stream->tail && len && !s->alone && !s->read.max_messages &&
           s->body.bytes + len + s->read.max_bytes <= r->cfg->limits_read_answer &&
           r->outputs.block_bytes <= r->cfg->router_answer_memory / 2;
}

/* True: the next page was asked for. If a later page fails, the first one is asked for again and answered alone, so
 * that the error comes where its bytes would be. */
static bool collapse_goes_on(struct shared_read *s, const struct answer *answer)
{
    bool joined = s->body.bytes != 0;
    bool broken = answer->error != ERR_NONE || (joined && answer->stream->uid != s->uid);
    if (joined && broken) {
        output_clear(&s->body, &s->collapse->router->outputs);
        s->alone = true;
    } else if (!broken && collapse_wants_more(s, answer)) {
        collapse_add_page(s, answer);
    } else {
        return false;
    }
    s->page = NULL;
    collapse_start(s);
    return true;
}

/* NULL: its bytes, if it has any, are in memory. */
static struct block *collapse_take_file(struct output_pool *pool, struct answer_file *file)
{
    if (!file)
        return NULL;
    struct block *page = block_file(pool, file->fd, file->at, file->len);
    file->fd = -1;
    return page;
}

static void collapse_answered(struct shard_request *q, const struct answer *answer)
{
    struct shared_read *s = q->owner;
    struct block *page = collapse_take_file(&s->collapse->router->outputs, answer->file);
    for (const struct waiter *w = s->first; w; w = w->next)
        timing_of_shard(w->request, q);
    s->page = page;
    if (!collapse_goes_on(s, answer))
        collapse_end(s, answer);
    block_unref(page);
}

static void collapse_start(struct shared_read *s)
{
    struct shards *shards = &s->collapse->router->shards;
    if (answer_memory_full(s->collapse->router)) {
        collapse_end(s, &(struct answer){.error = ERR_OVERLOADED});
        return;
    }
    struct shard_request *q = shard_request_new(shards, shards_of(shards, s->read.name), collapse_answered, s);
    struct wire_read read = s->read;
    read.id = q->id;
    if (s->body.bytes) {
        read.flags &= (uint8_t) ~(WIRE_READ_NOW | WIRE_READ_EARLIEST);
        read.position = s->next;
    }
    s->asked = q;
    wire_put_read(&q->frame, &read);
    q->repeatable = true;
    q->is_read = true;
    if (shard_request_send(shards, q))
        return;
    collapse_end(s, &(struct answer){.error = ERR_OVERLOADED});
}

static bool collapse_may_join(const struct collapse *collapse, const struct shared_read *s)
{
    return !s->asked || !shard_request_has_left(&collapse->router->shards, s->asked);
}

void collapse_read(struct collapse *collapse, struct request *req, struct wire_read read)
{
    uint64_t hash = collapse_hash_of(collapse, &read);
    struct found found = collapse_find(collapse, &read, hash);
    if (found.newest && collapse_may_join(collapse, found.newest)) {
        collapse_join(found.newest, req);
        metrics_add(collapse->router->metrics, METRIC_COLLAPSED, 1);
        return;
    }
    struct shared_read *s = collapse_shared_new(collapse, &read, hash);
    collapse_join(s, req);
    if (found.count < AT_ONCE) {
        collapse_start(s);
    } else {
        s->ahead = found.oldest;
        found.oldest->behind = s;
    }
}

/* The client is gone. The last one takes its READ along. */
static void collapse_drop(struct request *req)
{
    struct waiter *w = req->job;
    struct shared_read *s = w->shared;
    collapse_leave(w);
    if (s->first)
        return;
    struct shared_read *behind = collapse_take_out(s);
    if (s->asked)
        shard_request_abandon(&s->collapse->router->shards, s->asked);
    collapse_shared_free(s);
    if (behind)
        collapse_start(behind);
}
