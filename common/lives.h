/* The lives of a stream: which positions were made in which life. A name that is deleted and created again has another
 * life, and its old offsets name nothing in the new one. A life grows with the time of creation, and no name has one
 * twice.
 *
 * Most streams have one life. A stream that was restored from a backup has another one behind the tail that it was
 * restored to, because what was there before is lost. A fork also takes the offsets of its ancestors, up to where it
 * was forked, and says none of them: its own life begins at 0 for whoever reads it. So a cursor of a fork is not one of
 * another fork of the same source.
 *
 *     position     0 ............ 40 ............ 55 .......>       a fork at 40 that was restored at 55
 *     taken        | source, fork | fork          | restore
 *     told         | fork                         | restore        lives grow with positions
 *
 * A position belongs to the life of the byte or message before it.
 *
 * Clients see lives in offsets, and the newest one as Stream-Incarnation. Inside the server a stream is named by its
 * uid, which carries slot and life (common/layout.h): a READ that goes on asks for a uid, since the stream was found
 * before. Where only an offset or a condition came, its life must be one of the stream's (lives_admit, condition_life).
 */
#ifndef COMMON_LIVES_H
#define COMMON_LIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/offset.h"
#include "common/slice.h"

struct buf;

#define LIVES_ONE 16 /* bytes that a life takes in the list */

/* The list is kept and sent as bytes: for each life, where it begins and what it is, in ascending order. An empty list
 * is life 0 alone. */
void lives_add(struct buf *lives, uint64_t start, uint64_t life);

/* The list of one life, in the room. */
struct slice lives_one(uint64_t life, char room[LIVES_ONE]);

/* A list that came from elsewhere: whole, and ascending. */
bool lives_valid(struct slice lives) MUSTUSE;

size_t lives_count(struct slice lives);

/* The i-th life of the list. i < lives_count(); an empty list has life 0 at 0. */
struct life {
    uint64_t start, life;
    bool inherited; /* an ancestor's: taken, but not told */
};
struct life lives_get(struct slice lives, size_t i);

/* Adds to a list, which is empty, those of another stream that it has told before `end`. */
void lives_add_before(struct buf *lives, struct slice others, uint64_t end);

/* The same, of the source of a fork that begins at `end`. The fork's own life comes behind them. */
void lives_inherit(struct buf *lives, struct slice source, uint64_t end);

/* The stream's newest life. */
struct life lives_newest(struct slice lives);

/* The one spelling of a position. */
struct offset lives_offset(struct slice lives, uint64_t position);

/* Where a stream is, for whoever is to go on from there. */
struct place {
    uint64_t life; /* the newest */
    struct offset tail;
};
struct place lives_place(struct slice lives, uint64_t tail);

/* The offset names a place in this stream, or the start, as far as its life can tell: the position may be beyond the
 * tail. */
bool lives_admit(struct slice lives, struct offset offset) MUSTUSE;

#endif
