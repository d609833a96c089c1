/* A position's one spelling: "0000000000000000_%016llu" (sorts as text, zero is the start). */
#ifndef COMMON_OFFSET_H
#define COMMON_OFFSET_H

#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

#define OFFSET_LEN 33
#define OFFSET_MAX 9999999999999999ull

/* Writes OFFSET_LEN bytes and no NUL. position <= OFFSET_MAX. */
void offset_print(char *out, uint64_t position);

/* True for exactly two fields of 16 digits joined by '_'. A first field other than zero names no position of ours:
 * *position is then OFFSET_MAX + 1, which is beyond every tail. */
bool offset_parse(struct slice text, uint64_t *position) MUSTUSE;

#endif
