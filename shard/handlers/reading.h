/* A read under way: what is read, for whom, and how far it is. Reading on fills a page, which is then the answer, as
 * bytes or as a file. */
#ifndef SHARD_HANDLERS_READING_H
#define SHARD_HANDLERS_READING_H

#include "common/errors.h"
#include "common/offset.h"
#include "common/wire.h"
#include "shard/peers/peers.h"
#include "shard/segments/segments.h"
#include "shard/streams/lineage.h"
#include "shard/streams/page.h"
#include "shard/streams/seek.h"

struct shard;
struct stream;

struct reading {
    struct asker asker;
    uint8_t flags; /* WIRE_READ_* */
    uint8_t from;  /* WIRE_FROM_* */
    struct wire_condition condition;
    struct offset asked;  /* unless the flags say NOW or EARLIEST */
    uint64_t asked_uid;   /* of the stream that `asked` is of; 0: its life tells */
    uint64_t amount;      /* of messages, or Unix milliseconds: asked for with `from` */
    uint64_t watch;       /* 0: not live */
    uint64_t uid, start;  /* known from when it begins */
    uint64_t began_us;    /* monotonic */
    uint64_t deadline_ms; /* of what is asked of other shards; 0: nothing yet */
    struct seek seek;     /* unless it begins at a position that is known; seek.from is 0 until it begins */
    struct page page;
};

/* Where the reading begins: sets reading->start, at once or after searching. *ancestor lies in another shard: the
 * search goes on there. Otherwise as reading_advance(). */
struct outcome reading_seek(struct shard *shard, struct reading *reading, const struct stream *stream,
                            const struct ancestor **ancestor);

/* As seek_own(), and counted. */
struct outcome reading_seek_in(struct shard *shard, struct seek *seek, const struct stream *stream, uint64_t floor);

/* Forgets what was read and found: the reading begins anew. */
void reading_reset(struct reading *reading);

/* Up to where it reads. */
uint64_t reading_end(const struct reading *reading, const struct stream *stream);

/* Reads on until the page is full, the tail is reached, a segment must be fetched, or *ancestor lies in another shard:
 * then the bytes that the stream has inherited from that one come next. NULL: nothing of another shard is needed now.
 */
struct outcome reading_advance(struct shard *shard, struct reading *reading, const struct stream *stream,
                               const struct ancestor **ancestor);

/* As page_read(), for a page that may be an answer. */
struct outcome reading_page(struct shard *shard, struct page *page, const struct stream *stream, uint64_t upto);

/* Answers with a file, made earlier or a segment's own. False: there is none, and the page has to be read. */
bool reading_answer_from_file(struct shard *shard, struct reading *reading, const struct stream *stream) MUSTUSE;

/* Answers with the page, or with an error. Both free the page's bytes. */
void reading_finish(struct shard *shard, struct reading *reading, struct stream *stream);
void reading_fail(struct shard *shard, struct reading *reading, enum error error);

#endif
