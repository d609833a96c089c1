/* Lines that repeat themselves: of each kind so many get through in a second, and of the others it is counted how many
 * there were. Pure: the caller says what time it is. */
#ifndef COMMON_LOG_LIMIT_H
#define COMMON_LOG_LIMIT_H

#include "common/attr.h"
#include "common/log_line.h"

#define LOG_LIMIT_LINES 20u /* of one kind, in */
#define LOG_LIMIT_MS 1000u
#define LOG_LIMIT_KINDS 64u /* counted at the same time; what is beyond gets through */

struct log_kind {
    const void *kind;  /* its format, or whatever else has one address; NULL: the place is free */
    uint64_t began_ms; /* its second */
    unsigned lines;    /* that came in it */
    enum log_level level;
    char last[256]; /* the last message that did not get through */
};

/* Zeroed at the start. */
struct log_limit {
    struct log_kind kinds[LOG_LIMIT_KINDS];
};

/* A line of this kind comes. NULL: it may be written. Else it may not; what it says belongs into `last`. */
struct log_kind *log_limit_hold(struct log_limit *limit, const void *kind, uint64_t now_ms) MUSTUSE;

/* The next kind of which lines were held back in a second that is over (with `all`, also in one that is not). It is
 * taken off the table and valid until the next call; *held says how many there were. NULL: none. */
const struct log_kind *log_limit_due(struct log_limit *limit, uint64_t now_ms, bool all, unsigned *held) MUSTUSE;

#endif
