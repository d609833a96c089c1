/* Answers of a server, taken apart as they arrive: HTTP/1.1 and Redis. */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

#define ANSWER_VALUE 96u /* longer values are not kept */

enum answer_phase { ANSWER_IN_HEAD, ANSWER_IN_BODY, ANSWER_IN_CHUNK_SIZE, ANSWER_IN_CHUNK_END, ANSWER_IN_TRAILER };

/* All zero: the next answer begins. */
struct answer {
    enum answer_phase phase;
    int status;
    bool chunked;
    bool until_close; /* a body without a length */
    uint64_t left;    /* bytes of the body or of the chunk still to come */
    /* What its head said, "" when nothing; they stand until the next head. */
    char next_offset[ANSWER_VALUE]; /* Stream-Next-Offset */
    char etag[ANSWER_VALUE];
    bool up_to_date; /* Stream-Up-To-Date */
};

/* MORE: everything of use has been taken off `in`; call again with what is left and the bytes that follow. BODY: *piece
 * is the next part of the body. DONE: the answer is whole, its status stands until the next call. BAD: not an answer.
 */
enum answer_step { ANSWER_MORE, ANSWER_HEAD, ANSWER_BODY, ANSWER_DONE, ANSWER_BAD };

typedef enum answer_step answer_reader(struct answer *a, struct slice *in, struct slice *piece);

enum answer_step answer_http(struct answer *a, struct slice *in, struct slice *piece) MUSTUSE;

/* An error is status 500 with its text as a BODY; everything else is 200. */
enum answer_step answer_redis(struct answer *a, struct slice *in, struct slice *piece) MUSTUSE;

#endif
