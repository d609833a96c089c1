/* A long-poll is answered once: 200 with data, 204 if its time passes or the stream is closed. At the tail it waits for
 * the next event, which all long-polls of an entry that have no limit of messages get as one shared body. */
#include "router/live/reader_poll.h"

#include <stdlib.h>

#include "common/mem.h"
#include "router/conn/connection.h"
#include "router/live/read_answer.h"
#include "router/live/reader_state.h"
#include "router/observe/request_stats.h"
#include "router/router.h"

static struct read_asked reader_poll_asked(const struct reader *reader)
{
    return (struct read_asked){
        .now = reader->asked_now, .earliest = reader->asked_earliest, .from = reader->asked_from};
}

/* The entry may go with its last reader, and what it knows of the stream with it. */
void reader_poll_nothing(struct reader *reader, uint64_t next, bool closed)
{
    struct request *req = reader->request;
    const struct read_asked asked = reader_poll_asked(reader);
    const struct wire_stream *facts = &reader->entry->facts;
    struct wire_stream here = {.start = next, .next = next, .earliest = facts->earliest, .lives = facts->lives};
    char *lives = xslicedup(facts->lives);
    here.lives.data = lives;
    uint64_t cursor = reader_next_cursor(reader);
    reader_free(reader);
    read_answer_nothing(req, &asked, &here, cursor, closed);
    free(lives);
}

static void reader_poll_data(struct reader *reader, const struct wire_stream *stream, struct block *body)
{
    struct request *req = reader->request;
    const struct read_asked asked = reader_poll_asked(reader);
    uint64_t cursor = reader_next_cursor(reader);
    reader_free(reader);
    read_answer_poll(req, &asked, stream, cursor, body);
}

void reader_poll_answered(struct reader *reader, const struct wire_stream *stream)
{
    if (stream->data.len) {
        struct block *body = read_answer_body(reader_router(reader), stream);
        reader_poll_data(reader, stream, body);
        block_unref(body);
    } else if (reader_ends_stream(stream)) {
        reader_poll_nothing(reader, stream->next, true);
    } else if (!(stream->flags & WIRE_STREAM_WATCHING) || reader_router(reader)->stopping) {
        reader_poll_nothing(reader, stream->next, false);
    } else if (reader->request->connection->eof) {
        connection_close(reader->request->connection);
    } else if (live_join(reader->entry, reader, stream->next)) {
        reader->state = READER_AT_TAIL;
        request_stats_waits(reader->request);
        reader_arm_end(reader);
    } else {
        reader->position = stream->next;
        reader_read_on(reader);
    }
}

void reader_poll_deliver(struct reader *reader, struct delivery *delivery)
{
    const struct wire_stream *stream = delivery->stream;
    if (!stream->data.len) {
        reader_poll_nothing(reader, stream->next, reader_ends_stream(stream));
    } else if (reader->limit) {
        live_leave(reader);
        reader->position = stream->start;
        reader_read_on(reader);
    } else {
        if (!delivery->body)
            delivery->body = read_answer_body(reader_router(reader), stream);
        metrics_add(reader_router(reader)->metrics, METRIC_DELIVERIES + METRIC_READER_LONG_POLL, 1);
        reader_poll_data(reader, stream, delivery->body);
    }
}
