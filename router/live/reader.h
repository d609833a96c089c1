/* A client's live reader: a long-poll or an event stream. A reader that is behind reads pages for itself, and an event
 * stream only as fast as its client takes them; one that has had everything joins its entry (live.h). A client that
 * does not take its events is let go when limits.reader_buffer waits for it: it loses nothing, for it comes back with
 * the last offset that it has seen. */
#ifndef ROUTER_LIVE_READER_H
#define ROUTER_LIVE_READER_H

#include "common/deadline.h"
#include "router/http/query.h"
#include "router/live/live.h"

struct request;
struct router;

enum reader_state {
    READER_READING, /* its READ is under way */
    READER_PAUSED,  /* behind; waits until its client has taken what is queued */
    READER_AT_TAIL  /* one of its entry's */
};

struct reader {
    struct request *request;
    struct shard_request *asked; /* READER_READING: its READ */
    struct entry *entry;
    struct reader *prev, *next; /* READER_AT_TAIL: of the entry */
    enum reader_state state;
    bool sse;
    bool started;         /* sse: the head is out */
    bool now;             /* starts at the tail, wherever that is */
    bool earliest;        /* starts at the first that is there */
    bool answered_once;   /* uid is known */
    bool is_public;       /* the stream is, as its last answer said */
    bool open;            /* its answers are for everyone who has its URL, whatever the project says */
    bool apart;           /* READER_AT_TAIL: what it has not had yet is its own `kept`, not its entry's */
    struct sse_kept kept; /* sse, of a text: before `position`, and not sent yet */
    uint64_t uid;         /* the incarnation of the stream that it reads */
    struct tally *tally;  /* where it is counted, or NULL */
    uint64_t position;
    uint64_t limit;       /* long-poll: messages; 0: no such limit */
    uint64_t cursor;      /* the last one it was given, or came with; 0: none */
    uint64_t ends_ms;     /* timeout of a long-poll, lifetime of an event stream */
    struct deadline beat; /* sse: time for a heartbeat */
};

/* Starts the live read that the query asks for. The client's request is answered sooner or later. */
void reader_start(struct request *request, struct slice name, const struct query *query);

/* The client's live read goes on where another process has left it: `state` has all but client, entry, tally and
 * state. */
void reader_resume(struct request *request, struct slice name, const struct reader *state);

/* Nothing is owed to it: it has had all up to its position, and is at the tail or waits to read on. What is kept is
 * behind that position. */
bool reader_rests(const struct reader *reader);
uint64_t reader_position(const struct reader *reader);

/* Its own READ was answered. */
void reader_answered(struct reader *reader, const struct answer *answer);

/* Something came to the readers at the entry's position. It may leave them, or its client the process's. */
void reader_deliver(struct reader *reader, struct delivery *delivery);

/* The entry reads much: one that has too much queued goes on by itself. */
void reader_spare(struct reader *reader);

/* The stream is gone: 404 for a long-poll, the end for an event stream. */
void reader_gone(struct reader *reader, enum error error);

/* The project of its stream. */
struct slice reader_project(const struct reader *reader);

/* request->grant has changed: it ends if that is not enough for what it reads. */
void reader_granted(struct reader *reader);

/* Its right has ended. */
void reader_expire(struct reader *reader);

/* It ends, with its answer if that is on its way; its client comes back and is asked about again. */
void reader_send_back(struct reader *reader);
void readers_send_back(struct router *router); /* all of them */

void reader_heartbeat(struct deadline *beat);

/* The reader of a request that is a live read; NULL: it is none. */
struct reader *reader_of(const struct request *request);

#endif
