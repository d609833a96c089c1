/* Where messages begin inside stored bytes: one varint a message, length * 2 + 1 for the last message of an append and
 * length * 2 for the others. A JSON message's length includes its comma. Chunks and segments say also when messages
 * were written (boundaries.c); boundaries in frames and in the journal have no times. */
#ifndef COMMON_BOUNDARIES_H
#define COMMON_BOUNDARIES_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

/* length: from 1. */
void boundaries_add(struct buf *boundaries, uint64_t length, bool last_of_append);

/* The messages that follow were written at now_ms. *time_ms is the time that the boundaries have said last, 0 at their
 * beginning; the same time again is left out. */
void boundaries_add_time(struct buf *boundaries, uint64_t *time_ms, uint64_t now_ms);

/* Takes one message off the front. False at the end, or if the bytes are damaged: then nothing is taken. */
bool boundaries_next(struct slice *boundaries, uint64_t *length, bool *last_of_append) MUSTUSE;
/* The same, and when it was written: *time_ms is 0 in front of the first, and stays 0 as long as there is no time. */
bool boundaries_next_at(struct slice *boundaries, uint64_t *length, bool *last_of_append, uint64_t *time_ms) MUSTUSE;

/* When the first message was written; 0: they do not say. */
uint64_t boundaries_first_time(struct slice boundaries) MUSTUSE;

/* Adds the same messages without their times. */
void boundaries_add_all(struct buf *boundaries, struct slice more);

#endif
