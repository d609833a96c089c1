/* Everything acknowledged before a request came must be in its answer. So a request may only share a READ that has not
 * left the router when it comes: what the shard finds later is new enough for it.
 *
 *     requests of one question, as they come:   a    b    c    d    e f g h ...
 *
 *     READs that have left:                    [a]  [b]  [c]  [d]                 AT_ONCE of them
 *     the newest, which has not:                                   [e f g h ...]  starts when [a] is answered
 *
 * Happy path: the first AT_ONCE requests do not wait for each other. Those who come after them gather in one READ,
 * which waits for the oldest one's answer, and then leaves for all of them. So however many ask, a shard has few READs
 * of one question at a time, and each page is in memory once.
 *
 * An answer is joined from several pages, up to limits.read_answer: many clients take one answer for all there is. Each
 * page is a READ of its own, so that a long answer does not hold up the shard's appends. A request that comes while a
 * later page's READ has not left may share that answer too: pages before the tail do not change.
 *
 * Failure modes:
 *   - A later page fails, or another stream has the name by then: the pages are dropped, and the first one is read
 * again and answered alone. So the error comes where its bytes would be.
 *   - Much memory is filled by answers: no more pages are joined, past half of router.answer_memory. Past all of it the
 *     requests are refused.
 *   - The shard cannot be asked (it is away, its queue is full): the READ that waits behind is refused along, since it
 *     would fail alike.
 *   - The last request of a READ is gone: the READ is abandoned, and the one behind it starts. */
#include "router/live/collapse.h"

#include <stdlib.h>

#include "common/mem.h"
#include "router/conn/answer.h"
#include "router/live/read_answer.h"
#include "router/observe/timing.h"
#include "router/router.h"

#define AT_ONCE 4                     /* READs of one question with the shard */
#define BODY_SHARED ((size_t)1 << 10) /* a shorter one is copied behind each head */

/* A question, and all READs that ask it. */
struct question {
    struct collapse *collapse;
    struct table_node node;
    struct list reads;     /* of struct shared_read, the newest first: only that one may still be joined */
    unsigned count;        /* of them */
    unsigned users;        /* the same, and those that are being answered: they end while new ones may come */
    struct wire_read read; /* its name is in the key */
    size_t key_len;
    char key[];
};

/* One READ, and the requests that it is for. */
struct shared_read {
    struct question *question;
    struct list link;
    struct shared_read *ahead;   /* one of the same question, which has left: this one waits for its answer */
    struct shared_read *behind;  /* the one that waits for this one's */
    struct shard_request *asked; /* NULL: it waits for the one ahead */
    struct list waiters;         /* of struct waiter, in the order in which they came */

    /* An answer longer than a page is joined from pages that follow each other. */
    struct block *page;   /* the one that came, if it is a file; for the time of the call */
    struct output body;   /* their bytes */
    uint64_t start, next; /* they are [start, next) */
    uint64_t uid;         /* of this stream */
    bool cold;            /* all of them */
    bool alone;           /* joining has failed: one page is the answer */
};

/* A request's job. */
struct waiter {
    struct list link;
    struct request *request;
    struct read_asked asked;
    struct shared_read *shared;
};

static struct router *collapse_router(const struct shared_read *s)
{
    return s->question->collapse->router;
}

/* ---- questions ---- */

static struct question *collapse_question(const struct table_node *node)
{
    return TABLE_OWNER(node, struct question, node);
}

static struct slice collapse_key(const struct table_node *node)
{
    const struct question *question = collapse_question(node);
    return slice_of(question->key, question->key_len);
}

void collapse_init(struct collapse *collapse, struct router *router)
{
    *collapse = (struct collapse){.router = router};
    table_init(&collapse->questions, collapse_key);
}

/* Everything that two READs differ in but their ids: numbers first, then the name, which has no fixed length. */
static struct slice collapse_key_of(struct buf *key, const struct wire_read *read)
{
    const uint64_t numbers[] = {read->life,      read->position,        read->from,
                                read->amount,    read->flags,           read->max_messages,
                                read->max_bytes, read->condition.flags, read->condition.life};
    buf_reset(key);
    buf_add(key, (const char *)numbers, sizeof numbers);
    buf_add_slice(key, read->name);
    return buf_slice(key);
}

/* The question of this READ, made if no other request asks it now. */
static struct question *collapse_ask(struct collapse *collapse, const struct wire_read *read)
{
    struct slice key = collapse_key_of(&collapse->key, read);
    struct table_node *node = table_find(&collapse->questions, key);
    if (node)
        return collapse_question(node);
    struct question *question = xmalloc(sizeof *question + key.len);
    *question = (struct question){.collapse = collapse, .read = *read, .key_len = key.len};
    memcpy(question->key, key.data, key.len);
    question->read.name.data = question->key + key.len - read->name.len;
    list_init(&question->reads);
    table_add(&collapse->questions, &question->node);
    return question;
}

static struct shared_read *collapse_shared(struct list *link)
{
    return LIST_OWNER(link, struct shared_read, link);
}

/* The newest of a question's READs, if it has not left the router. */
static struct shared_read *collapse_joinable(const struct question *question)
{
    if (list_empty(&question->reads))
        return NULL;
    struct shared_read *s = collapse_shared(question->reads.next);
    return s->asked && shard_request_has_left(&question->collapse->router->shards, s->asked) ? NULL : s;
}

static struct shared_read *collapse_shared_new(struct question *question)
{
    struct shared_read *s = xcalloc(1, sizeof *s);
    s->question = question;
    list_init(&s->waiters);
    list_add_first(&question->reads, &s->link);
    question->count++;
    question->users++;
    return s;
}

/* From now on no request finds it. Returns the one that was behind it. */
static struct shared_read *collapse_take_out(struct shared_read *s)
{
    struct shared_read *behind = s->behind;
    list_remove(&s->link);
    s->question->count--;
    if (s->ahead)
        s->ahead->behind = NULL;
    if (behind)
        behind->ahead = NULL;
    return behind;
}

static void collapse_shared_free(struct shared_read *s)
{
    struct question *question = s->question;
    output_clear(&s->body, &collapse_router(s)->outputs);
    free(s);
    if (--question->users)
        return;
    table_remove(&question->collapse->questions, &question->node);
    free(question);
}

/* ---- those who wait ---- */

static void collapse_drop(struct request *req);

static const struct job_ops collapse_ops = {.drop = collapse_drop};

static void collapse_join(struct shared_read *s, struct request *req, struct read_asked asked)
{
    struct waiter *w = xmalloc(sizeof *w);
    *w = (struct waiter){.request = req, .asked = asked, .shared = s};
    list_add_last(&s->waiters, &w->link);
    request_begin_job(req, &collapse_ops, w);
}

static void collapse_leave(struct waiter *w)
{
    list_remove(&w->link);
    request_end_job(w->request);
    read_asked_clear(&w->asked);
    free(w);
}

/* ---- the answer ---- */

static void collapse_add_page(struct shared_read *s, const struct answer *answer)
{
    const struct wire_stream *stream = answer_stream(answer);
    bool first = !s->body.bytes;
    read_answer_add(collapse_router(s), &s->body, stream, s->page);
    s->start = first ? stream->start : s->start;
    s->cold = (first || s->cold) && (stream->flags & WIRE_STREAM_COLD);
    s->next = stream->next;
    s->uid = stream->uid;
}

/* A page in memory is copied once for many of them; for one it is copied behind the head. */
static bool collapse_is_pieces(const struct shared_read *s, const struct answer *answer)
{
    return s->body.bytes || s->page ||
           (s->waiters.next != s->waiters.prev && answer_stream(answer)->data.len >= BODY_SHARED);
}

/* Describes all pages together. */
static struct wire_stream collapse_whole(struct shared_read *s, const struct answer *answer)
{
    struct wire_stream stream = *answer_stream(answer);
    if (!collapse_is_pieces(s, answer))
        return stream;
    collapse_add_page(s, answer);
    read_answer_whole(collapse_router(s), &s->body, &stream);
    stream.start = s->start;
    if (!s->cold)
        stream.flags &= ~WIRE_STREAM_COLD;
    return stream;
}

/* Ends a READ that no request finds any longer. */
static void collapse_answer_all(struct shared_read *s, const struct answer *answer)
{
    struct wire_stream stream = {0};
    if (answer->error == ERR_NONE)
        stream = collapse_whole(s, answer);
    while (!list_empty(&s->waiters)) {
        struct waiter *w = LIST_OWNER(s->waiters.next, struct waiter, link);
        struct request *req = w->request;
        struct read_asked asked = w->asked;
        w->asked.none_match = NULL; /* it is still needed */
        collapse_leave(w);
        if (answer->error != ERR_NONE)
            answer_refusal(req, answer);
        else
            read_answer_page(req, &asked, &stream, &s->body);
        read_asked_clear(&asked);
    }
    collapse_shared_free(s);
}

/* ---- the READ ---- */

static void collapse_start(struct shared_read *s);

static void collapse_end(struct shared_read *s, const struct answer *answer)
{
    struct shared_read *behind = collapse_take_out(s);
    collapse_answer_all(s, answer);
    if (behind && answer_stream(answer)) {
        collapse_start(behind);
    } else if (behind) { /* the shard could not be asked: nor can it for these, who have come meanwhile */
        (void)collapse_take_out(behind);
        collapse_answer_all(behind, answer);
    }
}

/* The stream goes on, and another page fits, unless the read has an end of its own. Joined answers fill at most half of
 * the memory for answers: past that all readers get single pages. A read with a limit gets one page. */
static bool collapse_wants_more(const struct shared_read *s, const struct answer *answer)
{
    const struct router *r = collapse_router(s);
    const struct wire_stream *stream = answer_stream(answer);
    size_t len = s->page ? s->page->len : stream->data.len;
    return stream->next < stream->tail && len && !s->alone && !s->question->read.max_messages &&
           s->question->read.from != WIRE_FROM_BEFORE &&
           s->body.bytes + len + s->question->read.max_bytes <= r->cfg->limits_read_answer &&
           r->outputs.block_bytes <= r->cfg->router_answer_memory / 2;
}

/* True: the next page was asked for. If a later page fails, the first one is asked for again and answered alone, so
 * that the error comes where its bytes would be. */
static bool collapse_goes_on(struct shared_read *s, const struct answer *answer)
{
    bool joined = s->body.bytes != 0;
    bool broken = answer->error != ERR_NONE;
    if (joined && broken) {
        output_clear(&s->body, &collapse_router(s)->outputs);
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
    struct block *page = collapse_take_file(&collapse_router(s)->outputs, answer->file);
    LIST_EACH(link, &s->waiters)
    {
        timing_of_shard(LIST_OWNER(link, struct waiter, link)->request, q);
    }
    s->page = page;
    if (!collapse_goes_on(s, answer))
        collapse_end(s, answer);
    block_unref(page);
}

static void collapse_start(struct shared_read *s)
{
    struct shards *shards = &collapse_router(s)->shards;
    if (answer_memory_full(collapse_router(s))) {
        collapse_end(s, &(struct answer){.error = ERR_OVERLOADED});
        return;
    }
    struct shard_request *q =
        shard_request_new(shards, shards_of(shards, s->question->read.name), collapse_answered, s);
    struct wire_read read = s->question->read;
    read.id = q->id;
    if (s->body.bytes) {
        read.flags &= (uint8_t) ~(WIRE_READ_NOW | WIRE_READ_EARLIEST);
        read.from = WIRE_FROM_OFFSET;
        read.position = s->next;
        read.uid = s->uid;
    }
    s->asked = q;
    wire_put_read(&q->frame, &read);
    q->repeatable = true;
    q->is_read = true;
    if (shard_request_send(shards, q))
        return;
    collapse_end(s, &(struct answer){.error = ERR_OVERLOADED});
}

void collapse_read(struct collapse *collapse, struct request *req, struct wire_read read, struct read_asked asked)
{
    struct question *question = collapse_ask(collapse, &read);
    struct shared_read *s = collapse_joinable(question);
    if (s) {
        collapse_join(s, req, asked);
        metrics_add(collapse->router->metrics, METRIC_COLLAPSED, 1);
        return;
    }
    struct list *oldest = question->reads.prev;
    bool at_once = question->count < AT_ONCE;
    s = collapse_shared_new(question);
    collapse_join(s, req, asked);
    if (at_once) {
        collapse_start(s);
        return;
    }
    s->ahead = collapse_shared(oldest);
    s->ahead->behind = s;
}

/* The client is gone. The last one takes its READ along. */
static void collapse_drop(struct request *req)
{
    struct waiter *w = req->job;
    struct shared_read *s = w->shared;
    collapse_leave(w);
    if (!list_empty(&s->waiters))
        return;
    struct shared_read *behind = collapse_take_out(s);
    if (s->asked)
        shard_request_abandon(&collapse_router(s)->shards, s->asked);
    collapse_shared_free(s);
    if (behind)
        collapse_start(behind);
}
