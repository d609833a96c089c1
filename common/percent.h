/* Percent-encoding of paths and query values (RFC 3986 2.1). */
#ifndef COMMON_PERCENT_H
#define COMMON_PERCENT_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

/* Decodes `in` into out, which has room for in.len bytes; *len is what came of it. False if an escape is broken or a
 * decoded byte is a control character (below 0x20, or 0x7f). */
bool percent_decode(struct slice in, char *out, size_t *len) MUSTUSE;

/* Adds `in` as it may stand in a path and in a query: all but A-Z a-z 0-9 - . _ ~ / : is encoded. */
void percent_encode(struct slice in, struct buf *out);

/* The same, but what is encoded already stays: a "%" itself has to be. */
void percent_encode_rest(struct slice in, struct buf *out);

#endif
