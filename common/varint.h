/* Unsigned numbers in as few bytes as they need: LEB128. */
#ifndef COMMON_VARINT_H
#define COMMON_VARINT_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

void varint_add(struct buf *out, uint64_t value);

/* Takes one varint in its shortest spelling off the front of *in. False, and nothing is taken: it does not end, is
 * spelled longer than need be, or goes past 64 bits. */
bool varint_take(struct slice *in, uint64_t *value) MUSTUSE;

#endif
