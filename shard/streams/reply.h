/* The STREAM answer: everything that it says about a stream. */
#ifndef SHARD_STREAMS_REPLY_H
#define SHARD_STREAMS_REPLY_H

#include "common/detail.h"
#include "shard/shard.h"
#include "shard/streams/page.h"

/* Describes the stream as it is now; next is its tail and there is no data. Slices point into the stream. */
struct wire_stream reply_describe(const struct shard *shard, const struct stream *stream, uint64_t id);

/* Sends an answer that is only an error. text: what is known of it beyond its code. */
void reply_refuse(struct shard *shard, struct asker asker, enum error error, struct slice text);

/* Sends an answer that is an error, and says what the stream is: how its client can go on. stream NULL: there is none.
 */
void reply_refuse_stream(struct shard *shard, struct asker asker, const struct stream *stream, enum error error,
                         const struct detail *detail);

/* FORK_SOURCE_GONE or FORK_SOURCE_NOT_FOUND, and the source. error: as streams_live() gave it. */
enum error reply_say_source(struct detail *detail, enum error error, struct slice source);

/* CONTENT_TYPE_MISMATCH, and both types. */
enum error reply_say_types(struct detail *detail, struct slice stream, const char *what, struct slice other);

/* The error of an offset that is not the stream's: this one, of an offset beyond the tail, if no stream can have it,
 * else STREAM_RECREATED. The life may be later than the stream's: a stream that a restore has brought back. */
enum error reply_say_foreign(struct detail *detail, enum error error, const struct stream *stream,
                             struct offset offset);

/* This error of an offset that is beyond the tail, and where that is. */
enum error reply_say_tail(struct detail *detail, enum error error, const struct stream *stream);

/* Nobody has said who asks (WIRE_READ_ANONYMOUS of flags): whether there is a stream at all is for those who may read
 * it. */
bool reply_hides(const struct stream *stream, uint8_t flags) MUSTUSE;

void reply_error(struct shard *shard, struct asker asker, enum error error);

/* Sends an answer whose data is in a file. False: that cannot be, nothing was sent. */
bool reply_send_file(struct shard *shard, struct asker asker, struct wire_stream *answer,
                     const struct file_bytes *bytes) MUSTUSE;

/* Sends an answer, if its asker is still there. */
void reply_send(struct shard *shard, struct asker asker, const struct wire_stream *answer);

#endif
