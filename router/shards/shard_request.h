/* One question to a shard: a frame with an id, which comes back in its answer. */
#ifndef ROUTER_SHARDS_SHARD_REQUEST_H
#define ROUTER_SHARDS_SHARD_REQUEST_H

#include <stddef.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/deadline.h"
#include "common/errors.h"
#include "common/list.h"
#include "common/wire.h"

struct request;
struct shard_peer;
struct shard_request;
struct shards;

/* Bytes that came as a piece of a file. Who takes the descriptor over leaves -1. */
struct answer_file {
    int fd;
    uint64_t at;
    size_t len;
};

/* What became of a question. The messages are those that wire.def sends as ANSWER_TO_ROUTER; they, their slices and the
 * text are borrowed for the call. */
struct answer {
    enum wire_type
        type; /* which of the messages came, whether it is an error or not; WIRE_INVALID: no shard was asked */
    enum error error;
    const char *text;         /* what is known of an error; NULL or "": no more than its code says */
    struct answer_file *file; /* of the bytes of a STREAM, or NULL */
    union {
#define ANSWER_TO_ROUTER(NAME, name) const struct wire_##name *name;
#define SHARD_TO_ROUTER(NAME, name)
#define ROUTER_TO_SHARD(NAME, name)
#define SHARD_TO_SHARD(NAME, name)
#define ROUTER_TO_ROUTER(NAME, name)
#define INSIDE(NAME, name)
#define MESSAGE(NAME, name, direction, answer, room, fields) direction(NAME, name)
#include "common/wire.def"
#undef ANSWER_TO_ROUTER
    };
};

/* answer_stream(), answer_appended(), …: the message, or NULL if it is none of this type. */
#define ANSWER_TO_ROUTER(NAME, name)                                                                                   \
    static inline const struct wire_##name *answer_##name(const struct answer *answer)                                 \
    {                                                                                                                  \
        return answer->type == WIRE_##NAME ? answer->name : NULL;                                                      \
    }
#include "common/wire.def"
#undef MESSAGE
#undef INSIDE
#undef ROUTER_TO_ROUTER
#undef SHARD_TO_SHARD
#undef ROUTER_TO_SHARD
#undef SHARD_TO_ROUTER
#undef ANSWER_TO_ROUTER

typedef void shard_answered(struct shard_request *q, const struct answer *answer);

enum shard_request_place {
    SHARD_REQUEST_APART, /* being made, or being answered */
    SHARD_REQUEST_WAITS, /* for the link, or for reads before it */
    SHARD_REQUEST_SENT
};

struct shard_request {
    uint64_t id;                /* goes into the frame; unique as long as the process lives */
    struct buf frame;           /* the caller puts one frame here */
    shard_answered *answered;   /* called once, unless it was abandoned; it is forgotten afterwards */
    void *owner;                /* whatever `answered` needs */
    struct request *request;    /* the client's, if it is for one; NULL if that is gone. Not looked into here */
    uint64_t number;            /* the handler's own, */
    unsigned flags;             /* for when the answer comes; */
    char *text;                 /* freed with the request */
    shard_answered *handler;    /* of ask.c: what `answered` passes the answer to */
    bool always;                /* `answered` is called even if it was abandoned: something counts these */
    bool repeatable;            /* doing it twice is like doing it once */
    bool repeated;              /* its shard died with it, and it was sent again */
    bool is_read;               /* its answer may be large: few at a time */
    bool parked;                /* its shard waits for a segment, and others may go before it */
    bool timed;                 /* the shard is to say when it took it, and when it made the answer */
    uint64_t taken_us, done_us; /* monotonic; 0: it has not said so */
    bool patient;               /* goes first and waits for its shard without a limit */

    /* shard_request.c's own */
    enum shard_request_place place;
    unsigned shard;
    uint64_t end; /* of its frame in all that was put to the link */
    struct list link;
    struct deadline wait;
};

/* A request to the shard, to be filled in and sent. */
struct shard_request *shard_request_new(struct shards *shards, unsigned shard, shard_answered *answered,
                                        void *owner) MUSTUSE;

/* False: too much is waiting for that shard, and the request is forgotten, unanswered. */
bool shard_request_send(struct shards *shards, struct shard_request *q) MUSTUSE;

/* The shard may have seen some of it. */
bool shard_request_has_left(const struct shards *shards, const struct shard_request *q) MUSTUSE;

/* Whoever it was for is gone. What has not left yet is forgotten. */
void shard_request_abandon(struct shards *shards, struct shard_request *q);

/* q->wait has passed. */
void shard_request_expired(struct shards *shards, struct deadline *wait);

/* ---- for this folder ---- */

/* The one with this id that the shard has; NULL: there is none. */
struct shard_request *shard_request_find(const struct shards *shards, unsigned shard, uint64_t id);

/* It is answered, and forgotten. */
void shard_request_finish(struct shards *shards, struct shard_request *q, const struct answer *answer);

/* Its shard waits for a segment: another read may go. */
void shard_request_park(struct shards *shards, struct shard_request *q);

/* Sends what may go now. */
void shard_requests_pump(struct shard_peer *peer);

/* The link is gone with these bytes of it sent. What is repeatable, or had not left, waits for the next one; the rest
 * goes to `lost`, for shard_requests_fail(). */
void shard_requests_lost(struct shards *shards, struct shard_peer *peer, uint64_t sent, struct list *lost);
void shard_requests_fail(struct shards *shards, struct list *lost, const char *text);

#endif
