/* The steps of a long-poll when something comes for it. Each of these may end it. */
#ifndef ROUTER_LIVE_READER_POLL_H
#define ROUTER_LIVE_READER_POLL_H

#include <stdbool.h>
#include <stdint.h>

struct delivery;
struct reader;
struct wire_stream;

/* The reader's READ was answered: it has data, or waits at the tail from now on, or ends. */
void reader_poll_answered(struct reader *reader, const struct wire_stream *stream);

/* Something came to its entry's position. */
void reader_poll_deliver(struct reader *reader, struct delivery *delivery);

/* Ends it with 204. next: where it goes on. closed: the stream is. */
void reader_poll_nothing(struct reader *reader, uint64_t next, bool closed);

#endif
