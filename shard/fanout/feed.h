/* Fan-out, the source's side. A stream that others are subscribed to has a feed for each shard that has estuaries of
 * its. What is appended goes to these shards in the turn after its commit, once a shard whatever the number of
 * subscribers; the stream itself is the queue of what a shard has not taken yet, so the duty to deliver is as durable
 * as the append. A shard says how far it has taken a source (TAKEN), and remembers that better than we do: after a
 * death on either side we go on from wherever it says. */
#ifndef SHARD_FANOUT_FEED_H
#define SHARD_FANOUT_FEED_H

#include "common/layout.h"
#include "common/wire.h"
#include "shard/store/store.h"

struct asker;
struct feeds;
struct shard;
struct stream;
struct streams;

struct feed {
    struct stream *stream;
    struct feed_row row;
    uint64_t sent;     /* put on its way: [row.acked, sent) is under way */
    uint64_t run;      /* grows when it starts over */
    struct feed *next; /* of the stream */
    struct feed *ready_prev, *ready_next;
    bool ready;       /* listed with its shard: there is more to send */
    uint64_t doubt;   /* not 0: its shard was asked under this number whether anybody is subscribed, and nobody has been
                       * since */
    uint64_t sent_ms; /* when something was last put on its way */
    uint64_t followed, followed_us; /* a position that is to be taken, and since when (monotonic); 0: none */
    bool starved;                   /* what is to be sent next is in a segment that has to be fetched first */
};

/* One shard that is fed. */
struct feed_peer {
    struct feed *first, *last; /* ready */
    struct buf frames;         /* of this turn, or of earlier ones that the bus did not take */
    uint64_t under_way;        /* bytes */
    bool stored;               /* the store may have feeds that are behind and not in memory, */
    uint64_t cursor;           /* after this source */
    bool stalled;              /* it was sent something again and has not said a word since */
    bool down;                 /* it is away: what waits for it need not stay in memory */
    uint64_t first_run;        /* of the runs that it may still answer */
    uint64_t behind_since_ms;  /* 0: it was not, when that was last measured */
    uint64_t progress_ms;      /* when it last took something, or had nothing to take */
    uint64_t sent_ms;          /* when something was last put on its way */
    /* The circuit: answers that were not waited out in a row, and until when none waits. */
    uint64_t failures, open_until_ms;
};

/* An append whose answer waits for the subscribers. */
struct fanout_wait;

struct feeds {
    struct feed_peer peers[LAYOUT_SHARDS_MAX];
    struct fanout_wait *first, *last; /* in the order of their deadlines */
    uint64_t last_run;
    bool starved; /* a feed may be */
};

/* What a DELIVER counts for in the window, on both sides. */
static inline uint64_t delivery_weight(const struct wire_deliver *m)
{
    return m->data.len + m->boundaries.len + 64;
}

/* now_ms: Unix time, so that its runs are newer than a predecessor's. All other times of feeds are in ticks. */
void feeds_init(struct feeds *feeds, uint64_t now_ms);

/* The feeds of a stream that the store says has some. */
void feeds_load(struct streams *streams, struct stream *stream);
void feeds_forget(struct streams *streams, struct stream *stream);

/* How far every shard has taken it, UINT64_MAX if there is none. */
uint64_t feeds_taken(const struct stream *stream) MUSTUSE;

/* Every shard has taken all there is. */
bool feeds_level(const struct stream *stream) MUSTUSE;

/* Nothing is going on with its feeds that the store does not know of. */
bool feeds_idle(const struct streams *streams, const struct stream *stream) MUSTUSE;

/* Something was appended: on its way to the shards that are fed. */
void feeds_appended(struct shard *shard, struct stream *stream, const struct journal_entry *entry);

/* Settling has come this far: what the store knows of the feeds follows. */
void feeds_flushed(struct streams *streams, struct stream *stream);

/* The answer to an append to a stream that has feeds: it is sent now or later. */
void feeds_answer(struct shard *shard, struct asker asker, struct stream *stream, const struct wire_appended *answer);

/* In the transaction that ends the stream. */
void feeds_ended(struct shard *shard, struct stream *stream);

/* After recovery: whatever was behind goes on. */
void feeds_recover(struct shard *shard);

void feeds_shard_up(struct shard *shard, unsigned index);
void feeds_shard_down(struct shard *shard, unsigned index);

/* The steps of a turn: what is behind is read and sent; and, after the commit, what was put leaves. */
void feeds_turn(struct shard *shard);
void feeds_flush(struct shard *shard);

/* By the tick. */
void feeds_tick(struct shard *shard);
void feeds_upkeep(struct shard *shard);
void feeds_clear(struct shard *shard);

#endif
