/* The steps of an event stream when something comes for it. Each of these may end it. */
#ifndef ROUTER_LIVE_READER_SSE_H
#define ROUTER_LIVE_READER_SSE_H

struct delivery;
struct reader;
struct wire_stream;

/* The reader's READ was answered. The first answer begins the event stream. */
void reader_sse_answered(struct reader *reader, const struct wire_stream *stream);

/* Something came to its entry's position. */
void reader_sse_deliver(struct reader *reader, struct delivery *delivery);

/* The reader leaves its entry if much waits for its client, and goes on at the client's pace. */
void reader_sse_spare(struct reader *reader);

/* The client has taken something of what was queued. */
void reader_sse_drained(struct reader *reader);

/* Sends a comment if nothing is queued: both sides see that the connection lives. */
void reader_sse_heartbeat(struct reader *reader);
void reader_sse_beat_later(struct reader *reader);

/* Sends the bytes that were kept of a text, since nothing follows them. */
void reader_sse_send_kept(struct reader *reader);

/* Says that the stream is gone, and what has its name now (NULL: nothing that is known). */
void reader_sse_send_gone(struct reader *reader, const struct wire_stream *now);

/* Ends it in time: the last event says where to go on. */
void reader_sse_end(struct reader *reader);

#endif
