/* Where messages begin inside a run of stored bytes: one varint a message, length * 2 + 1 for the last message of an
 * append and length * 2 for the others. A JSON message's length includes its comma. */
#ifndef COMMON_BOUNDARIES_H
#define COMMON_BOUNDARIES_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

void boundaries_add(struct buf *boundaries, uint64_t length, bool last_of_append);

/* Takes one mark off the front of *marks. False at its end, or if the bytes are damaged. */
bool boundaries_next(struct slice *boundaries, uint64_t *length, bool *last_of_append) MUSTUSE;

#endif
