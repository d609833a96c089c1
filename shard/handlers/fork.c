/* Making a fork, in its own shard. The protocol between both shards, and what happens when one dies, is in fork.h.
 *
 *     CREATE --> PIN ----PINNED---+--> the source resolved everything --> create, answer
 *                 |               |
 *                 |               +--> the sub-offset points into bytes of another stream (the holder):
 *                 |                    BOUNDARY ----BOUNDED----> create, answer
 *                 +--no answer in router.shard_wait--> 503; the pin, if it was made, is probed and dropped
 *
 * Meanwhile the name may have been taken, or the disk may have become full, so both are looked at again at the end. A
 * fork that is refused then drops its pin at once (UNPIN) instead of waiting to be probed. */
#include "shard/handlers/fork.h"

#include <assert.h>
#include <stdlib.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/random.h"
#include "shard/handlers/create.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/streams/reply.h"
#include "shard/store/disk.h"
#include "shard/store/store.h"

#define FORKS_MAKING_MAX 1024

/* A fork that waits for an answer about its source. */
struct fork_making {
    struct ask ask;
    struct asker asker;
    uint64_t pin;
    struct buf request; /* the CREATE frame */
    struct buf pinned;  /* the PINNED frame, while the stream that holds the source's bytes is asked */
};

static struct wire_create fork_request_of(const struct fork_making *making)
{
    struct wire_create m;
    struct slice frame = buf_slice(&making->request), body;
    if (!wire_take(&frame, WIRE_CREATE, &body) || !wire_get_create(body, &m))
        fatalx("a request kept for a fork does not read back");
    return m;
}

static struct wire_pinned fork_pinned_of(const struct fork_making *making)
{
    struct wire_pinned m;
    struct slice frame = buf_slice(&making->pinned), body;
    if (!wire_take(&frame, WIRE_PINNED, &body) || !wire_get_pinned(body, &m))
        fatalx("an answer kept for a fork does not read back");
    return m;
}

static struct fork_making *fork_of(struct ask *ask)
{
    return LIST_OWNER(ask, struct fork_making, ask);
}

static void fork_free(struct fork_making *making)
{
    buf_clear(&making->request);
    buf_clear(&making->pinned);
    free(making);
}

/* ---- what is asked ---- */

static void fork_put_pin(struct buf *out, const struct fork_making *making)
{
    struct wire_create m = fork_request_of(making);
    struct wire_pin pin = {
        .id = making->ask.id,
        .pin = making->pin,
        .source = m.fork_source,
        .fork = m.name,
        .content_type = m.content_type,
        .has_position = (m.flags & WIRE_CREATE_FORK_POSITION) != 0,
        .life = m.fork_life,
        .position = m.fork_position,
        .sub = m.fork_sub,
    };
    wire_put_pin(out, &pin);
}

static void fork_put_boundary(struct buf *out, const struct fork_making *making)
{
    struct wire_pinned m = fork_pinned_of(making);
    struct wire_boundary boundary = {
        .id = making->ask.id,
        .uid = m.holder,
        .position = m.position - fork_request_of(making).fork_sub,
    };
    wire_put_boundary(out, &boundary);
}

static void fork_put(const struct ask *ask, struct buf *out)
{
    const struct fork_making *making = LIST_OWNER(ask, const struct fork_making, ask);
    if (buf_len(&making->pinned))
        fork_put_boundary(out, making);
    else
        fork_put_pin(out, making);
}

static void fork_expired(void *ctx, struct ask *ask)
{
    reply_error(ctx, fork_of(ask)->asker, ERR_SHARD_UNAVAILABLE);
    fork_free(fork_of(ask));
}

static void fork_drop(struct ask *ask)
{
    fork_free(fork_of(ask));
}

const struct ask_kind fork_questions = {
    .most = FORKS_MAKING_MAX,
    .put = fork_put,
    .expired = fork_expired,
    .drop = fork_drop,
};

/* ---- making ---- */

void fork_begin(struct shard *shard, struct asker asker, const struct wire_create *m)
{
    struct asks *asks = &shard->asks[ASK_FORK];
    if (asks_full(asks)) {
        reply_error(shard, asker, ERR_OVERLOADED);
        return;
    }
    struct fork_making *making = xcalloc(1, sizeof *making);
    making->asker = asker;
    making->pin = random_secret(); /* named here, so a PIN that is asked twice makes one pin */
    wire_put_create(&making->request, m);
    ask_begin(asks, &making->ask, peers_owner_of_name(&shard->peers, m->fork_source),
              shard->ticks_ms + shard->cfg->router_shard_wait);
}

static void fork_drop_pin_of(struct shard *shard, const struct fork_making *making, const struct wire_pinned *m)
{
    struct wire_unpin unpin = {.source_uid = m->uid, .pin = making->pin};
    struct buf *out = peers_out(&shard->peers, peers_owner_of_uid(&shard->peers, m->uid));
    if (out)
        wire_put_unpin(out, &unpin);
}

/* earliest and lives are the source's, of which a refusal of an offset tells the earliest one. */
static void fork_refuse(struct shard *shard, const struct fork_making *making, const struct wire_pinned *m,
                        unsigned error)
{
    const struct wire_stream answer = {
        .id = making->asker.id,
        .error = (uint8_t)(error < ERR_COUNT ? error : ERR_INTERNAL),
        .earliest = m->earliest,
        .lives = m->lives,
        .text = m->text,
    };
    reply_send(shard, making->asker, &answer);
}

/* All is known that the fork depends on. The answer of the source is of an earlier moment, and that is harmless: the
 * pin keeps its bytes. The name is looked at again, because another PUT may have made a stream of it meanwhile. */
static void fork_conclude(struct shard *shard, struct fork_making *making, const struct wire_pinned *m, unsigned error)
{
    struct wire_create request = fork_request_of(making);
    bool made = false;
    making->asker.id = request.id;
    if (error != ERR_NONE)
        fork_refuse(shard, making, m, error);
    else if (create_answer_existing(shard, making->asker, &request))
        made = false;
    else if (!disk_takes(&shard->disk, request.data.len))
        reply_error(shard, making->asker, ERR_INSUFFICIENT_STORAGE);
    else
        made = create_stream(shard, making->asker, &request, m, making->pin);
    fault_point("shard.fork-created");
    if (m->error == ERR_NONE && !made)
        fork_drop_pin_of(shard, making, m);
    ask_end(&shard->asks[ASK_FORK], &making->ask);
    fork_free(making);
}

void on_pinned(struct shard *shard, unsigned from, const struct wire_pinned *m)
{
    struct ask *ask = ask_find(&shard->asks[ASK_FORK], m->id, from);
    if (!ask)
        return; /* the source's shard will ask after the pin */
    fault_point("shard.pinned");
    struct fork_making *making = fork_of(ask);
    if (m->error != ERR_NONE || m->holder == STORE_NONE) {
        fork_conclude(shard, making, m, m->error);
        return;
    }
    wire_put_pinned(&making->pinned, m);
    ask_next(&shard->asks[ASK_FORK], ask, peers_owner_of_uid(&shard->peers, m->holder));
}

void on_bounded(struct shard *shard, unsigned from, const struct wire_bounded *m)
{
    struct ask *ask = ask_find(&shard->asks[ASK_FORK], m->id, from);
    if (!ask)
        return;
    struct wire_pinned pinned = fork_pinned_of(fork_of(ask));
    bool past = m->error == ERR_NONE && pinned.position > m->end;
    fork_conclude(shard, fork_of(ask), &pinned, past ? ERR_INVALID_FORK_SUB_OFFSET : m->error);
}

/* A fork that is still being made is neither there nor not: no answer, and the source's shard asks again. */
void on_probe(struct shard *shard, unsigned from, const struct wire_probe *m)
{
    struct wire_probed answer = {.source_uid = m->source_uid, .pin = m->pin};
    struct buf *out = peers_out(&shard->peers, from);
    struct stream *stream = streams_by_name(&shard->streams, m->fork);
    LIST_EACH(link, &shard->asks[ASK_FORK].pending)
    if (fork_of(LIST_OWNER(link, struct ask, link))->pin == m->pin)
        return;
    answer.exists = stream && stream->row.source_uid == m->source_uid && stream->row.pin == m->pin;
    if (out)
        wire_put_probed(out, &answer);
}
