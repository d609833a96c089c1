/* The links to the shards and what is asked of them. A request is a frame with an id that comes back in its answer.
 * When a shard dies, what can be repeated without harm, or had not left yet, is sent to its successor; the rest is told
 * that its outcome is unknown. Requests for a shard that is away wait, up to router.shard_wait. */
#ifndef ROUTER_SHARDS_SHARDS_H
#define ROUTER_SHARDS_SHARDS_H

#include "common/deadline.h"
#include "common/errors.h"
#include "common/layout.h"
#include "common/link.h"

struct request;
struct router;
struct shard_request;

/* Bytes that came as a piece of a file. Who takes the descriptor over leaves -1. */
struct answer_file {
    int fd;
    uint64_t at;
    size_t len;
};

/* stream, appended, estuary, listed or shown is what the shard said, whether it is an error or not; all are NULL if no
 * shard could be asked. They and their slices are borrowed for the call. */
struct answer {
    enum error error;
    const char *text; /* what is known of an error; NULL or "": no more than its code says */
    const struct wire_stream *stream;
    struct answer_file *file; /* of the stream's bytes, or NULL */
    const struct wire_appended *appended;
    const struct wire_estuary_state *estuary;
    const struct wire_listed *listed;
    const struct wire_shown *shown;
};

typedef void shard_answered(struct shard_request *q, const struct answer *answer);

struct shard_request_list {
    struct shard_request *first, *last;
};

struct shard_request {
    uint64_t id;                /* goes into the frame; unique for ever */
    struct buf frame;           /* the caller puts one frame here */
    shard_answered *answered;   /* called once, unless it was abandoned; it is forgotten afterwards */
    void *owner;                /* whatever `answered` needs */
    struct request *request;    /* the client's, if it is for one; NULL if that is gone. Not looked into here */
    shard_answered *handler;    /* of ask.c: what `answered` passes the answer to */
    bool always;                /* `answered` is called even if it was abandoned: something counts these */
    bool repeatable;            /* doing it twice is like doing it once */
    bool repeated;              /* its shard died with it, and it was sent again */
    bool is_read;               /* its answer may be large: few at a time */
    bool parked;                /* its shard waits for a segment, and others may go before it */
    bool timed;                 /* the shard is to say when it took it, and when it made the answer */
    uint64_t taken_us, done_us; /* monotonic; 0: it has not said so */
    bool patient;               /* goes first and waits for its shard for ever */

    /* shards.c's own */
    unsigned shard;
    uint64_t end; /* of its frame in all that was put to the link */
    struct shard_request *prev, *next;
    struct shard_request_list *list;
    struct deadline wait;
};

struct shard_peer {
    struct link link;
    struct shard_request_list sent;  /* in the order of the link */
    struct shard_request_list queue; /* waits for the link */
    struct shard_request_list reads; /* wait for the link or for reads before them */
    size_t reads_out;                /* reads in sent */
    size_t held;                     /* bytes of all frames of these lists */
    uint64_t put;                    /* bytes put to the link since it was opened */
};

struct shards {
    struct router *router;
    struct layout layout;
    struct shard_peer *peers;     /* LAYOUT_SHARDS_MAX */
    unsigned count;               /* one past the highest that was ever up */
    struct shard_request **slots; /* by the low half of an id */
    uint32_t slot_count;
    struct shard_request *unused; /* by next */
};

/* Ends the process if the data folder's layout cannot be read. */
void shards_init(struct shards *shards, struct router *router);

unsigned shards_of(const struct shards *shards, struct slice name);

/* A request to the shard, to be filled in and sent. */
struct shard_request *shard_request_new(struct shards *shards, unsigned shard, shard_answered *answered,
                                        void *owner) MUSTUSE;

/* False: too much is waiting for that shard, and the request is forgotten, unanswered. */
bool shard_request_send(struct shards *shards, struct shard_request *q) MUSTUSE;

/* The shard may have seen some of it. */
bool shard_request_has_left(const struct shards *shards, const struct shard_request *q) MUSTUSE;

/* Whoever it was for is gone. What has not left yet is forgotten. */
void shard_request_abandon(struct shards *shards, struct shard_request *q);

/* A frame without an answer; nothing happens if the shard is away, which has then forgotten all watches. */
void shards_unwatch(struct shards *shards, unsigned shard, struct slice name, uint64_t watch);

/* The same for what it shall tell us; a shard that is away is told when it is there again (quota.h). */
void shards_tell(struct shards *shards, unsigned shard, const struct wire_watch_usage *m);

/* A socket to a shard, perhaps in place of an earlier one. */
void shards_peer(struct shards *shards, unsigned shard, int fd);

/* The steps of a turn: what the shards have sent is handled; what was put to them leaves. */
void shards_receive(struct shards *shards);
void shards_flush(struct shards *shards);

/* q->wait has passed. */
void shard_request_expired(struct shards *shards, struct deadline *wait);

#endif
