/* The streams that are watched for live readers: one entry a stream, whatever the number of its readers.
 *
 * Readers that have had everything share one position, the entry's. An event moves all of them and is rendered once. A
 * reader that is behind reads for itself (reader.c) until it has reached the tail.
 *
 * Of a text, event streams get no half characters and no half line ends: the entry keeps the last bytes for the next
 * event. A reader that began inside of these bytes stays apart, and reads the next ones for itself. */
#ifndef ROUTER_LIVE_LIVE_H
#define ROUTER_LIVE_LIVE_H

#include <stdint.h>

#include "common/list.h"
#include "common/table.h"
#include "common/wire.h"
#include "router/conn/answer.h"
#include "router/live/sse.h"
#include "router/shards/shard_request.h"

struct block;
struct request;
struct reader;
struct router;

struct entry {
    struct live *live;
    char *name;
    size_t name_len;
    uint64_t watch; /* its name towards the shard */
    unsigned shard;
    unsigned held; /* being worked on: not to be freed */
    struct table_node node;

    struct list writers;  /* those of live_writer */
    struct list readers;  /* at its position */
    uint64_t position;    /* means nothing without them */
    struct sse_kept kept; /* before the position: what event streams have not had yet */
    uint64_t cursor;      /* the highest that any of them was given */
    size_t users;         /* readers, wherever they are, and writers */
    size_t reads;         /* live reads under way, of readers and its own */
    bool watching;        /* the shard sends events */
    bool doubtful;        /* a read was given up whose answer may still make it watching */
    bool resuming;        /* its own read is under way */

    struct wire_stream facts;                       /* of the last answer; only what holds for the stream itself */
    struct slice content_type, expires_text, lives; /* own what facts point to */
};

/* The entry calls these when it has something for a reader. Each may take the reader off the entry, or end it. */
struct delivery;
struct live_ops {
    void (*answered)(struct reader *reader, const struct answer *answer); /* its own READ */
    void (*deliver)(struct reader *reader, struct delivery *delivery);    /* what came to the entry's position */
    void (*spare)(struct reader *reader);                                 /* the entry reads much: one with too much
                                                                             queued is to go on by itself */
    void (*gone)(struct reader *reader, const struct answer *answer); /* the stream was deleted, or cannot be read */
};

struct live {
    struct router *router;
    const struct live_ops *ops;
    struct table entries; /* by name */
    struct entry **slots; /* by the low half of a watch */
    uint32_t *free_slots;
    size_t slot_count, free_count;
    uint64_t serial; /* the high half of the next watch */
    struct buf text; /* what was kept, and what came next; until the next of these */
};

/* One step's data for all readers at an entry's position. It is rendered when the first of them needs it. */
struct delivery {
    struct entry *entry;
    const struct wire_stream *stream; /* data covers [start, next) */
    const struct wire_stream *text;   /* the same for event streams: live_keep() */
    struct chunk event;               /* a data event and its control event */
    struct block *body;               /* of a long-poll's answer */
};

/* A request that appends for long, and has to hear when the stream ends. */
struct live_writer {
    struct list link; /* of its entry's */
    struct entry *entry;
    uint64_t uid; /* of the stream that it began with; 0: not known yet */
    /* What an answer says of the stream: its tail, and whether it is closed; or, with an error, that it is gone. The
     * writer may leave. */
    void (*told)(struct live_writer *writer, enum error error, const struct wire_stream *stream);
};

void live_init(struct live *live, struct router *router, const struct live_ops *ops);

/* The entry of a stream for one more reader, made if there is none; live_release() it. */
struct entry *live_entry(struct live *live, struct slice name);

void live_release(struct entry *entry);

/* How many readers a stream has here. */
size_t live_readers(const struct live *live, struct slice name);

/* Sends a READ for the request's reader, which gets the answer by live_ops. name and watch are filled in.
 * NULL: too much is waiting for that shard. */
struct shard_request *live_read(struct entry *entry, struct request *request, struct wire_read read) MUSTUSE;

/* A reader that has had everything up to `position` joins those at the entry's. False: they are elsewhere, and it has
 * to read on. */
bool live_join(struct entry *entry, struct reader *reader, uint64_t position) MUSTUSE;
void live_leave(struct reader *reader);

/* A writer of the stream with this name hears of it from now on: first how it is, and later of its end. */
void live_writer_join(struct live *live, struct slice name, struct live_writer *writer);
void live_writer_leave(struct live_writer *writer);

/* Makes of a text's next bytes what an event brings: what was kept comes first, and an end that has to wait is kept
 * instead, unless the stream ends here. Borrows live->text. Does nothing to a stream that is not text. */
void live_keep(const struct entry *entry, struct sse_kept *kept, struct wire_stream *stream);

/* A frame, and the fate of shards. */
void live_event(struct live *live, const struct wire_event *event);
void live_shard_down(struct live *live, unsigned shard);
void live_shard_up(struct live *live, unsigned shard);

#endif
