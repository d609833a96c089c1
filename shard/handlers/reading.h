/* A read under way: what is read, for whom, and how far it is. Reading on fills a page, which is then the answer, as
 * bytes or as a file. */
#ifndef SHARD_HANDLERS_READING_H
#define SHARD_HANDLERS_READING_H

#include "common/errors.h"
#include "shard/peers/peers.h"
#include "shard/segments/segments.h"
#include "shard/streams/lineage.h"
#include "shard/streams/page.h"

struct shard;
struct stream;

struct reading {
    struct asker asker;
    uint8_t flags;       /* WIRE_READ_* */
    uint64_t position;   /* asked for, unless the flags say NOW or EARLIEST */
    uint64_t watch;      /* 0: not live */
    uint64_t uid, start; /* known from when it begins */
    uint64_t began_us;   /* monotonic */
    struct page page;
};

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
