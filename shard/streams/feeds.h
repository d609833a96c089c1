/* The feeds of the streams in memory: which shards have estuaries of a stream, and how far each has taken it. Sending
 * is shard/fanout/feed.h; here is only what is known. */
#ifndef SHARD_STREAMS_FEEDS_H
#define SHARD_STREAMS_FEEDS_H

#include "common/buf.h"
#include "common/layout.h"
#include "shard/peers/release.h"
#include "shard/store/store_fanout.h"

struct fanout_wait; /* an append whose answer waits for the subscribers: shard/fanout/feed.c */
struct stream;
struct streams;

struct feed {
    struct stream *stream;
    struct feed_row row;
    uint64_t sent;     /* put on its way: [row.acked, sent) is under way */
    uint64_t attempt;  /* grows when it starts over */
    struct feed *next; /* of the stream */
    struct feed *ready_prev, *ready_next;
    bool ready;       /* listed with its shard: there is more to send */
    uint64_t doubt;   /* not 0: its shard was asked under this number whether anybody is subscribed, and nobody has been
                       * since */
    uint64_t sent_ms; /* when something was last put on its way */
    uint64_t followed, followed_us; /* a position that is to be taken, and since when (monotonic); 0: none */
    bool starved;                   /* what is to be sent next cannot be read now: the tick tries again */
    bool awaits;                    /* a segment, whose arrival makes it ready at once */
};

/* One shard that is fed. */
struct feed_peer {
    struct feed *first, *last; /* ready */
    struct buf frames;         /* for the bus: of this turn, or of earlier ones that may not leave or were not taken */
    struct release release;    /* which of them may leave, */
    uint64_t frames_gone;      /* counted from these bytes on, which have left */
    uint64_t under_way;        /* bytes */
    bool stored;               /* the store may have feeds that are behind and not in memory, */
    uint64_t cursor;           /* after this source */
    bool stalled;              /* it was sent something again and has not said a word since */
    bool down;                 /* it is away: what waits for it need not stay in memory */
    uint64_t first_attempt;    /* of the runs that it may still answer */
    uint64_t behind_since_ms;  /* 0: it was not, when that was last measured */
    uint64_t progress_ms;      /* when it last took something, or had nothing to take */
    uint64_t sent_ms;          /* when something was last put on its way */
    /* The circuit: answers that were not waited out in a row, and until when none waits. */
    uint64_t failures, open_until_ms;
};

struct feeds {
    struct feed_peer peers[LAYOUT_SHARDS_MAX];
    struct fanout_wait *first, *last; /* in the order of their deadlines */
    uint64_t last_attempt;
    bool starved; /* a feed may be */
};

/* now_ms: Unix time, so that its runs are newer than a predecessor's. All other times of feeds are in ticks. */
void feeds_init(struct feeds *feeds, uint64_t now_ms);

/* The feeds of a stream that the store says has some. */
void feeds_load(struct streams *streams, struct stream *stream);
void feeds_forget(struct streams *streams, struct stream *stream);

/* How far every shard has taken it, UINT64_MAX if there is none. */
uint64_t feeds_acked(const struct stream *stream) MUSTUSE;

/* Every shard has taken all there is. */
bool feeds_level(const struct stream *stream) MUSTUSE;

/* Nothing is going on with its feeds that the store does not know of. */
bool feeds_idle(const struct streams *streams, const struct stream *stream) MUSTUSE;

/* Flushing has come this far: what the store knows of the feeds follows. */
void feeds_flushed(struct streams *streams, struct stream *stream);

/* The stream's feed to a shard, or NULL. */
struct feed *feed_find(const struct stream *stream, unsigned shard);

/* A new feed, which is to send what follows row->acked. Its row is the caller's to store. */
struct feed *feed_add(struct streams *streams, struct stream *stream, const struct feed_row *row);
void feed_forget(struct feeds *feeds, struct feed *feed);

/* Sends again from the last position that was taken for sure. */
void feed_start_over(struct feeds *feeds, struct feed *feed);

/* There is more to send, or nothing for now. */
void feed_make_ready(struct feeds *feeds, struct feed *feed);
void feed_unready(struct feeds *feeds, struct feed *feed);

/* Tells the store whether something flushed was not taken; always: even if it knows. */
void feed_store_state(struct store *store, struct feed *feed, bool always);

#endif
