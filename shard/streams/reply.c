/* Answers of a shard. An error of an offset, a type or a source comes with a text that names both sides. */
#include "shard/streams/reply.h"

#include "common/layout.h"
#include "common/offset.h"
#include "shard/store/store.h"
#include "shard/store/store_stream.h"

/* start and next are the tail: right for an answer without bytes. A reading puts its own there. */
struct wire_stream reply_describe(const struct shard *shard, const struct stream *stream, uint64_t id)
{
    const struct stream_row *row = &stream->row;
    uint64_t deadline = stream_row_deadline(row);
    struct wire_stream answer = {
        .id = id,
        .uid = row->uid,
        .earliest = row->earliest,
        .retention_s = row->retention_s,
        .retention_bytes = row->retention_bytes,
        .start = stream->tail,
        .next = stream->tail,
        .tail = stream->tail,
        .ttl_s = row->ttl_s,
        .remaining_ms = UINT64_MAX,
        .expires_text = row->expires_text,
        .content_type = row->content_type,
        .flags = (row->closed ? WIRE_STREAM_CLOSED : 0) | (row->ttl_s != STORE_NONE ? WIRE_STREAM_TTL : 0) |
                 (row->expires_ms != STORE_NONE ? WIRE_STREAM_EXPIRES : 0) | (row->is_public ? WIRE_STREAM_PUBLIC : 0) |
                 (stream->json ? WIRE_STREAM_JSON : 0),
        .reader_key = slice_of(row->reader_key, READER_KEY_DIGITS),
        .lives = stream_lives(stream),
    };
    if (lives_newest(answer.lives).life != layout_life_of_uid(row->uid))
        answer.flags |= WIRE_STREAM_RESTORED;
    if (deadline != STORE_NONE)
        answer.remaining_ms = deadline > shard->now_ms ? deadline - shard->now_ms : 0;
    return answer;
}

bool reply_hides(const struct stream *stream, uint8_t flags)
{
    return (flags & WIRE_READ_ANONYMOUS) && (!stream || !stream->row.is_public);
}

void reply_send(struct shard *shard, struct asker asker, const struct wire_stream *answer)
{
    struct buf *out = asker_out(&shard->peers, asker);
    if (!out)
        return;
    asker_time(out, asker);
    wire_put_stream(out, answer);
}

bool reply_send_file(struct shard *shard, struct asker asker, struct wire_stream *answer,
                     const struct file_bytes *bytes)
{
    struct buf *out = asker_out_enclose(&shard->peers, asker, bytes->fd);
    if (!out)
        return false;
    answer->flags |= WIRE_STREAM_FILE;
    answer->file_at = bytes->at;
    answer->file_bytes = bytes->bytes;
    asker_time(out, asker);
    wire_put_stream(out, answer);
    return true;
}

void reply_refuse(struct shard *shard, struct asker asker, enum error error, struct slice text)
{
    reply_send(shard, asker, &(struct wire_stream){.id = asker.id, .error = (uint8_t)error, .text = text});
}

void reply_refuse_stream(struct shard *shard, struct asker asker, const struct stream *stream, enum error error,
                         const struct detail *detail)
{
    struct wire_stream answer = {.id = asker.id};
    if (stream)
        answer = reply_describe(shard, stream, asker.id);
    answer.error = (uint8_t)error;
    answer.text = slice_str(detail->text);
    reply_send(shard, asker, &answer);
}

enum error reply_say_source(struct detail *detail, enum error error, struct slice source)
{
    if (error == ERR_STREAM_GONE)
        return detail_say(detail, ERR_FORK_SOURCE_GONE, "the fork's source %s is deleted", detail_quote(source).text);
    return detail_say(detail, ERR_FORK_SOURCE_NOT_FOUND, "the fork's source %s does not exist",
                      detail_quote(source).text);
}

enum error reply_say_types(struct detail *detail, struct slice stream, const char *what, struct slice other)
{
    return detail_say(detail, ERR_CONTENT_TYPE_MISMATCH, "the stream is %.*s; this %s is %.*s", (int)stream.len,
                      stream.data, what, (int)other.len, other.data);
}

enum error reply_say_tail(struct detail *detail, enum error error, const struct stream *stream)
{
    char text[OFFSET_LEN];
    offset_print(text, stream_offset(stream, stream->tail));
    return detail_say(detail, error, "the offset is beyond the stream's tail, %.*s", OFFSET_LEN, text);
}

enum error reply_say_foreign(struct detail *detail, enum error error, const struct stream *stream, struct offset offset)
{
    bool behind = layout_serial_of_life(offset.life) > LAYOUT_SERIAL_LAST;
    return behind ? reply_say_tail(detail, error, stream) : ERR_STREAM_RECREATED;
}

void reply_error(struct shard *shard, struct asker asker, enum error error)
{
    reply_refuse(shard, asker, error, SLICE(""));
}
