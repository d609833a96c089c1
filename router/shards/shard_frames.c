/* The functions that take a frame are made from the directions in wire.def:
 *
 *     ANSWER_TO_ROUTER(STREAM, stream)    get --> shard_frames_answered(): ends the request with the frame's id
 *     SHARD_TO_ROUTER(EVENT, event)       get --> shard_frames_on_event(), which stands below
 *
 * A message that is added to the list without its function does not compile.
 *
 * Failure modes: An unknown type, or a body that does not parse: false, and the caller drops the link as if the shard
 * had died. An id that nobody waits for: the client went away, and the answer is dropped with its descriptor. */
#include "router/shards/shard_frames.h"

#include <unistd.h>

#include "common/detail.h"
#include "router/shards/shard_request.h"
#include "router/shards/shards.h"

typedef bool shard_frames_taker(struct shards *shards, unsigned shard, struct slice body);

/* ---- answers ---- */

static enum error shard_frames_error_of(uint8_t error)
{
    return error < ERR_COUNT ? (enum error)error : ERR_INTERNAL;
}

/* The shard's own words on an error. An estuary's answer has a text for each source; the first stands for all. */
static struct slice shard_frames_text_of(const struct answer *a)
{
    switch (a->type) {
    case WIRE_STREAM:
        return a->stream->text;
    case WIRE_APPENDED:
        return a->appended->text;
    case WIRE_BATCHED:
        return a->batched->text;
    case WIRE_ESTUARY_STATE: {
        struct slice texts = a->estuary_state->texts;
        return slice_of(texts.data, texts.len ? strnlen(texts.data, texts.len) : 0);
    }
    default:
        return (struct slice){0};
    }
}

static void shard_frames_copy_text(struct detail *detail, struct slice text)
{
    size_t len = text.len < sizeof detail->text ? text.len : sizeof detail->text - 1;
    if (len)
        memcpy(detail->text, text.data, len);
    detail->text[len] = '\0';
}

/* The descriptor comes with the frame, and is taken off the link also if nobody waits for the answer. */
static void shard_frames_take_file(struct shards *shards, unsigned shard, struct answer *a, struct answer_file *file)
{
    const struct wire_stream *m = answer_stream(a);
    if (!m || !(m->flags & WIRE_STREAM_FILE))
        return;
    *file =
        (struct answer_file){.fd = link_take_fd(&shards->peers[shard].link), .at = m->file_at, .len = m->file_bytes};
    if (file->fd >= 0)
        a->file = file;
    else
        a->error = ERR_OVERLOADED; /* no descriptor was free */
}

static void shard_frames_answered(struct shards *shards, unsigned shard, uint64_t id, struct answer *a)
{
    struct answer_file file = {.fd = -1};
    struct detail detail;
    shard_frames_copy_text(&detail, shard_frames_text_of(a));
    a->text = detail.text;
    shard_frames_take_file(shards, shard, a, &file);
    struct shard_request *q = shard_request_find(shards, shard, id);
    if (q)
        shard_request_finish(shards, q, a);
    if (file.fd >= 0)
        close(file.fd);
}

/* ---- all else ---- */

static void shard_frames_on_parked(struct shards *shards, unsigned shard, const struct wire_parked *m)
{
    struct shard_request *q = shard_request_find(shards, shard, m->id);
    if (q)
        shard_request_park(shards, q);
}

static void shard_frames_on_timed(struct shards *shards, unsigned shard, const struct wire_timed *m)
{
    struct shard_request *q = shard_request_find(shards, shard, m->id);
    if (!q)
        return;
    q->taken_us = m->taken_us;
    q->done_us = m->done_us;
}

static void shard_frames_on_event(struct shards *shards, unsigned shard, const struct wire_event *m)
{
    (void)shard;
    shards->events->event(shards->router, m);
}

static void shard_frames_on_usage(struct shards *shards, unsigned shard, const struct wire_usage *m)
{
    shards->events->usage(shards->router, shard, m);
}

/* ---- one function a message ---- */

#define ANSWER_TO_ROUTER(NAME, name)                                                                                   \
    static bool shard_frames_take_##name(struct shards *shards, unsigned shard, struct slice body)                     \
    {                                                                                                                  \
        struct wire_##name m;                                                                                          \
        bool good = wire_get_##name(body, &m);                                                                         \
        if (good)                                                                                                      \
            shard_frames_answered(                                                                                     \
                shards, shard, m.id,                                                                                   \
                &(struct answer){.type = WIRE_##NAME, .error = shard_frames_error_of(m.error), .name = &m});           \
        return good;                                                                                                   \
    }
#define SHARD_TO_ROUTER(NAME, name)                                                                                    \
    static bool shard_frames_take_##name(struct shards *shards, unsigned shard, struct slice body)                     \
    {                                                                                                                  \
        struct wire_##name m;                                                                                          \
        bool good = wire_get_##name(body, &m);                                                                         \
        if (good)                                                                                                      \
            shard_frames_on_##name(shards, shard, &m);                                                                 \
        return good;                                                                                                   \
    }
#define ROUTER_TO_SHARD(NAME, name)
#define SHARD_TO_SHARD(NAME, name)
#define ROUTER_TO_ROUTER(NAME, name)
#define INSIDE(NAME, name)
#define MESSAGE(NAME, name, direction, answer, room, fields) direction(NAME, name)
#include "common/wire.def"
#undef ANSWER_TO_ROUTER
#undef SHARD_TO_ROUTER

static shard_frames_taker *const shard_frames_takers[WIRE_TYPE_COUNT] = {
#define ANSWER_TO_ROUTER(NAME, name) [WIRE_##NAME] = shard_frames_take_##name,
#define SHARD_TO_ROUTER(NAME, name) [WIRE_##NAME] = shard_frames_take_##name,
#include "common/wire.def"
};

bool shard_frames_take(struct shards *shards, unsigned shard, enum wire_type type, struct slice body)
{
    return shard_frames_takers[type] && shard_frames_takers[type](shards, shard, body);
}
