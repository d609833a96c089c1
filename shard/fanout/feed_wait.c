/* An append's answer says how many subscribers have it. Who has few subscribers waits for them:
 *
 *     append --no subscriber--------------------------> answered: NONE
 *            --more than fanout.inline_limit----------> answered: QUEUED
 *            --the circuit to one shard is open-------> answered: CIRCUIT_OPEN
 *            --otherwise--> waits --every shard has acknowledged--> answered: INLINE, all successes
 *                             |---fanout.inline_timeout-----------> answered: INLINE, the rest as failures
 *                             |---the source is deleted-----------> the same
 *
 * None of this changes what is delivered: an answer only reports. A shard that was waited for in vain
 * fanout.failures times in a row opens its circuit for fanout.recovery; its next acknowledgement after that closes it.
 */
#include "shard/fanout/feed_wait.h"

#include <stdlib.h>

#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "shard/peers/peers.h"
#include "shard/shard.h"

struct fanout_wait {
    struct list link;          /* of feeds->waits */
    struct fanout_wait *later; /* of the same stream */
    struct stream *stream;
    struct asker asker;
    struct wire_appended answer;
    uint64_t upto; /* the position all shards have to reach */
    unsigned left; /* shards */
    uint64_t deadline_ms;
};

static void feed_wait_forget(struct fanout_wait *wait)
{
    struct fanout_wait **at = &wait->stream->waits;
    while (*at != wait)
        at = &(*at)->later;
    *at = wait->later;
    list_remove(&wait->link);
    free(wait);
}

static void feed_wait_put(struct shard *shard, struct asker asker, const struct wire_appended *answer)
{
    struct buf *out = asker_out(&shard->peers, asker);
    if (!out)
        return;
    asker_time(out, asker);
    wire_put_appended(out, answer);
}

static void feed_wait_finish(struct shard *shard, struct fanout_wait *wait)
{
    wait->answer.failures = wait->answer.subscribers - wait->answer.successes;
    feed_wait_put(shard, wait->asker, &wait->answer);
    feed_wait_forget(wait);
}

void feed_wait_progress(struct shard *shard, struct stream *stream, uint64_t subscribers, uint64_t from, uint64_t to)
{
    for (struct fanout_wait *wait = stream->waits, *later; wait; wait = later) {
        later = wait->later;
        if (wait->upto <= from || wait->upto > to)
            continue;
        uint64_t most = wait->answer.subscribers - wait->answer.successes;
        wait->answer.successes += subscribers < most ? subscribers : most;
        if (--wait->left)
            continue;
        wait->answer.successes = wait->answer.subscribers; /* some have come or gone meanwhile */
        feed_wait_finish(shard, wait);
    }
}

static bool feed_wait_circuits_closed(const struct shard *shard, const struct stream *stream)
{
    for (const struct feed *feed = stream->feeds; feed; feed = feed->next)
        if (shard->streams.feeds.peers[feed->row.shard].circuit.open_until_ms > shard->ticks_ms)
            return false;
    return true;
}

static void feed_wait_begin(struct shard *shard, struct asker asker, struct stream *stream,
                            const struct wire_appended *answer)
{
    struct fanout_wait *wait = xcalloc(1, sizeof *wait), **at = &stream->waits;
    *wait = (struct fanout_wait){
        .stream = stream,
        .asker = asker,
        .answer = *answer,
        .upto = answer->tail,
        .deadline_ms = shard->ticks_ms + shard->cfg->fanout_inline_timeout,
    };
    for (const struct feed *feed = stream->feeds; feed; feed = feed->next)
        wait->left++;
    list_add_last(&shard->streams.feeds.waits, &wait->link); /* all wait equally long: the order is that of deadlines */
    while (*at)
        at = &(*at)->later;
    *at = wait;
}

uint64_t feed_wait_subscribers(const struct stream *stream)
{
    uint64_t subscribers = 0;
    for (const struct feed *feed = stream->feeds; feed; feed = feed->next)
        subscribers += feed->row.subscribers;
    return subscribers;
}

void feed_wait_answer(struct shard *shard, struct asker asker, struct stream *stream, const struct wire_appended *m)
{
    struct wire_appended answer = *m;
    answer.subscribers = feed_wait_subscribers(stream);
    if (!answer.subscribers) {
        answer.fanout = WIRE_FANOUT_NONE; /* they are about to be subscribed, or have just gone */
    } else if (answer.subscribers > shard->cfg->fanout_inline_limit) {
        answer.fanout = WIRE_FANOUT_QUEUED;
    } else if (!feed_wait_circuits_closed(shard, stream)) {
        answer.fanout = WIRE_FANOUT_CIRCUIT_OPEN;
    } else {
        answer.fanout = WIRE_FANOUT_INLINE;
        feed_wait_begin(shard, asker, stream, &answer);
        return;
    }
    feed_wait_put(shard, asker, &answer);
}

/* ---- the circuit breaker ---- */

/* Every shard that has not acknowledged what the answer waited for has failed once more. */
static void feed_wait_blame(struct shard *shard, const struct fanout_wait *wait)
{
    for (const struct feed *feed = wait->stream->feeds; feed; feed = feed->next) {
        struct feed_peer *peer = &shard->streams.feeds.peers[feed->row.shard];
        if (feed->row.acked >= wait->upto)
            continue;
        bool was_open = peer->circuit.open_until_ms != 0;
        if (++peer->circuit.failures < shard->cfg->fanout_failures && !was_open)
            continue;
        if (!was_open)
            log_warn("fan-out: shard %u is slow; appends no longer wait for it", feed->row.shard);
        peer->circuit.open_until_ms = shard->ticks_ms + shard->cfg->fanout_recovery;
    }
}

void feed_wait_reset_circuit(struct shard *shard, unsigned index)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[index];
    if (peer->circuit.open_until_ms > shard->ticks_ms)
        return;
    if (peer->circuit.open_until_ms)
        log_info("fan-out: appends wait for shard %u again", index);
    peer->circuit.failures = peer->circuit.open_until_ms = 0;
}

/* ---- the end of waiting ---- */

void feed_wait_end(struct shard *shard, struct stream *stream)
{
    while (stream->waits)
        feed_wait_finish(shard, stream->waits);
}

bool feed_wait_any(const struct shard *shard)
{
    return !list_empty(&shard->streams.feeds.waits);
}

static struct fanout_wait *feed_wait_first(const struct shard *shard)
{
    return LIST_OWNER(shard->streams.feeds.waits.next, struct fanout_wait, link);
}

void feed_wait_tick(struct shard *shard)
{
    while (feed_wait_any(shard) && feed_wait_first(shard)->deadline_ms <= shard->ticks_ms) {
        feed_wait_blame(shard, feed_wait_first(shard));
        feed_wait_finish(shard, feed_wait_first(shard));
    }
}

void feed_wait_clear(struct shard *shard)
{
    while (feed_wait_any(shard))
        feed_wait_forget(feed_wait_first(shard));
}
