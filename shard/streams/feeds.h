/* The feeds of the streams in memory: which shards have estuaries of a stream, and how far each has received it. What
 * is sent, and what comes back, is shard/fanout/feed.c; here is only what is known. */
#ifndef SHARD_STREAMS_FEEDS_H
#define SHARD_STREAMS_FEEDS_H

#include "common/buf.h"
#include "common/layout.h"
#include "common/list.h"
#include "shard/peers/release.h"
#include "shard/store/store_fanout.h"

struct fanout_wait; /* an append whose answer waits for the subscribers: shard/fanout/feed_wait.c */
struct stream;
struct streams;

/* One source, for one shard that has estuaries of it. All times are in ticks unless they are named _us (monotonic). */
struct feed {
    struct stream *stream;
    struct feed *next;   /* of the stream */
    struct feed_row row; /* what is known for sure, and on disk now and then: row.acked was received and committed */
    struct list ready;   /* on its peer's list while there is more to send */

    /* What is under way: [row.acked, sent.upto). */
    struct {
        uint64_t upto;
        uint64_t attempt; /* grows when the feed starts over: answers to earlier attempts are recognised by it */
        uint64_t ms;      /* when something was last put on its way */
    } sent;

    uint64_t probe; /* the number under which its shard was asked whether anybody is subscribed, and nobody has been
                     * since; 0: it was not asked */

    /* One position at a time is followed until it is received, for the metric of the delay. */
    struct {
        uint64_t position; /* 0: none */
        uint64_t since_us;
    } lag;

    /* Why it is not ready although there is more to send. */
    struct {
        bool until_tick;    /* the next bytes cannot be read now: the tick tries again */
        bool until_segment; /* a segment is being fetched: its arrival makes the feed ready at once */
    } blocked;
};

/* One shard that is fed, this one included. */
struct feed_peer {
    struct list ready; /* its feeds with more to send */
    bool down;         /* the shard is away: what waits for it need not stay in memory */

    /* Frames for the bus: of this turn, or of earlier ones that may not leave or were not taken. */
    struct {
        struct buf frames;
        struct release release; /* which of them may leave, */
        uint64_t gone;          /* counted from these bytes on, which have left */
    } out;

    /* Flow control: so much is sent at once, and what was lost is sent again. */
    struct {
        uint64_t bytes;           /* sent and not acknowledged; at most fanout.window and one frame */
        uint64_t first_attempt;   /* answers to earlier attempts do not count: their bytes were written off */
        uint64_t sent_ms;         /* when something was last put on its way */
        uint64_t progress_ms;     /* when the shard last acknowledged something, or had nothing to */
        uint64_t behind_since_ms; /* 0: it was not behind when that was last measured */
        bool stalled;             /* it was sent something again and has not answered since */
    } window;

    /* Feeds that are behind and not in memory, in the store. */
    struct {
        bool more;
        uint64_t cursor; /* there may be more after this source */
    } stored;

    /* The circuit breaker: while it is open no append waits for this shard. */
    struct {
        uint64_t failures;      /* answers in a row that waited for it in vain */
        uint64_t open_until_ms; /* 0: closed */
    } circuit;
};

struct feeds {
    struct feed_peer peers[LAYOUT_SHARDS_MAX];
    struct list waits;     /* struct fanout_wait, by deadline */
    uint64_t last_attempt; /* also the last number of a probe */
    bool blocked;          /* a feed may be, until the tick */
};

/* now_ms: Unix time, so that its attempts are newer than a predecessor's. */
void feeds_init(struct feeds *feeds, uint64_t now_ms);

/* The feeds of a stream that the store says has some. */
void feeds_load(struct streams *streams, struct stream *stream);
void feeds_forget(struct stream *stream);

/* The position that every shard has received, UINT64_MAX if there is no feed. */
uint64_t feeds_acked(const struct stream *stream) MUSTUSE;

/* Every shard has received all there is. */
bool feeds_level(const struct stream *stream) MUSTUSE;

/* Nothing is going on with its feeds that the store does not know of. */
bool feeds_idle(const struct streams *streams, const struct stream *stream) MUSTUSE;

/* The flush has come this far: what the store knows of the feeds follows. */
void feeds_flushed(struct streams *streams, struct stream *stream);

/* The stream's feed to a shard, or NULL. */
struct feed *feed_find(const struct stream *stream, unsigned shard);

/* A new feed, which is to send what follows row->acked. Its row is the caller's to store. */
struct feed *feed_add(struct streams *streams, struct stream *stream, const struct feed_row *row);
void feed_forget(struct feed *feed);

/* Sends again from the last acknowledged position. */
void feed_start_over(struct feeds *feeds, struct feed *feed);

/* There is more to send, or nothing for now. */
void feed_make_ready(struct feeds *feeds, struct feed *feed);
void feed_unready(struct feed *feed);

/* Writes to the store whether something flushed was not received; always: even if the store knows. */
void feed_store_state(struct store *store, struct feed *feed, bool always);

#endif
