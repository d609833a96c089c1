/* A live reader: where it is in its stream, the READ that it waits for, and what ends it. reader.c has the drawing. */
#ifndef ROUTER_LIVE_READER_STATE_H
#define ROUTER_LIVE_READER_STATE_H

#include "common/deadline.h"
#include "router/conn/request.h"
#include "router/live/live.h"

enum reader_state {
    READER_READING, /* its READ is under way */
    READER_PAUSED,  /* behind; waits until its client has taken what is queued */
    READER_AT_TAIL  /* one of its entry's */
};

struct reader {
    struct request *request;
    struct shard_request *asked; /* READER_READING: its READ */
    struct entry *entry;
    struct list link; /* READER_AT_TAIL: among the entry's readers */
    enum reader_state state : 8;
    bool sse : 1;
    bool started : 1;   /* sse: the head is out */
    bool now : 1;       /* starts at the tail, wherever that is; false once that is known */
    bool earliest : 1;  /* starts at the first that is there; the same */
    bool asked_now : 1; /* that is what was asked for: answers to a long-poll depend on it */
    bool asked_earliest : 1;
    enum wire_from from : 2; /* TAIL, SINCE: `position` is what was asked for, until the answer says where that is */
    enum wire_from asked_from : 2;
    bool answered_once : 1;      /* uid is known */
    bool is_public : 1;          /* the stream is, as its last answer said */
    bool open : 1;               /* its answers are for everyone who has its URL, whatever the project says */
    bool apart : 1;              /* READER_AT_TAIL: what it has not had yet is its own `kept`, not its entry's */
    struct sse_kept kept;        /* sse, of a text: before `position`, and not sent yet */
    uint32_t limit;              /* long-poll: messages; 0: no such limit */
    uint64_t uid;                /* of the stream that it reads */
    struct project_usage *usage; /* where it is counted, or NULL */
    uint64_t position;
    uint64_t cursor;      /* the last one it was given, or came with; 0: none */
    uint64_t ends_ms;     /* timeout of a long-poll, lifetime of an event stream */
    struct deadline beat; /* sse: time for a heartbeat */
};

static inline struct router *reader_router(const struct reader *reader)
{
    return reader->request->router;
}

/* A limit of messages as a reader keeps it: no page has as many as the largest. */
static inline uint32_t reader_limit(uint64_t messages)
{
    return messages < UINT32_MAX ? (uint32_t)messages : UINT32_MAX;
}

/* The stream is closed, and this is its end. */
static inline bool reader_ends_stream(const struct wire_stream *stream)
{
    return (stream->flags & WIRE_STREAM_CLOSED) && stream->next == stream->tail;
}

/* ---- where it is ---- */

/* The bytes before its place in the stream that it has not had yet: its own, or those of its entry. */
const struct sse_kept *reader_kept_of(const struct reader *reader);

/* Nothing is owed to it: it has had all up to its position, and is at the tail or waits to read on. What is kept is
 * behind that position. */
bool reader_rests(const struct reader *reader);
uint64_t reader_position(const struct reader *reader);

/* The spelling of a position of its stream. answered_once is set. */
struct offset reader_offset(const struct reader *reader, uint64_t position);

/* The project of its stream. */
struct slice reader_project(const struct reader *reader);

/* The cursor of its next answer (router/http/cursor.h), and that of an event after one with this cursor. */
uint64_t reader_next_cursor(const struct reader *reader);
uint64_t reader_later_cursor(uint64_t cursor);

/* ---- life: each of these may free the reader ---- */

/* Gives a reader that is otherwise filled in its request, its entry, and its place in the numbers. */
void reader_begin(struct reader *reader, struct request *request, struct slice name, const struct job_ops *ops);

/* Sends its first READ, from its position. life: of that position. If it cannot be sent, the reader fails. */
void reader_read_from(struct reader *reader, uint64_t life, const struct wire_condition *condition);
void reader_read_on(struct reader *reader); /* uid is known */

/* Sets the timer of its request to ends_ms. */
void reader_arm_end(struct reader *reader);

/* Frees it. The request goes on without it, and still needs an answer, or its end. */
void reader_free(struct reader *reader);

/* Ends an event stream as a whole: its client reconnects, unless an event has said that the stream is closed. */
void reader_close(struct reader *reader);

/* Answers with an error, or closes an event stream that has begun. */
void reader_fail(struct reader *reader, const struct answer *answer);

#endif
