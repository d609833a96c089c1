/* Every question about lives is one loop over the list, which has one entry for nearly all streams.
 *
 *     a list     (0, source, inherited) (40, fork) (55, restore)
 *
 * An offset is taken if its life is in the list and the next one had not begun before its position. Inherited ones come
 * first, and the last one is the stream's own. */
#include "common/lives.h"

#include <endian.h>
#include <string.h>

#include "common/buf.h"

#define LIVES_INHERITED ((uint64_t)1 << 63) /* a bit of the life */

static void lives_put(struct buf *lives, struct life life)
{
    uint64_t field[2] = {htole64(life.start), htole64(life.life | (life.inherited ? LIVES_INHERITED : 0))};
    buf_add(lives, (const char *)field, sizeof field);
}

void lives_add(struct buf *lives, uint64_t start, uint64_t life)
{
    lives_put(lives, (struct life){start, life, false});
}

struct slice lives_one(uint64_t life, char room[LIVES_ONE])
{
    uint64_t field[2] = {0, htole64(life)};
    memcpy(room, field, sizeof field);
    return slice_of(room, life ? LIVES_ONE : 0);
}

/* The first of its own is told from position 0 on, wherever it begins: it is always among them. */
static void lives_copy(struct buf *lives, struct slice others, uint64_t end, bool inherits)
{
    bool own = false;
    for (size_t i = 0; i < lives_count(others); i++) {
        struct life life = lives_get(others, i);
        bool first = !own && !life.inherited;
        own = own || first;
        if (life.start >= end && !first)
            continue;
        life.start = life.start < end ? life.start : end;
        life.inherited = life.inherited || inherits;
        lives_put(lives, life);
    }
}

void lives_add_before(struct buf *lives, struct slice others, uint64_t end)
{
    lives_copy(lives, others, end, false);
}

void lives_inherit(struct buf *lives, struct slice source, uint64_t end)
{
    lives_copy(lives, source, end, true);
}

size_t lives_count(struct slice lives)
{
    return lives.len < LIVES_ONE ? 1 : lives.len / LIVES_ONE;
}

struct life lives_get(struct slice lives, size_t i)
{
    uint64_t field[2] = {0, 0};
    if (lives.len >= LIVES_ONE)
        memcpy(field, lives.data + i * LIVES_ONE, sizeof field);
    uint64_t life = le64toh(field[1]);
    return (struct life){le64toh(field[0]), life & ~LIVES_INHERITED, life & LIVES_INHERITED};
}

bool lives_valid(struct slice lives)
{
    if (lives.len % LIVES_ONE || lives_get(lives, 0).start)
        return false;
    for (size_t i = 0; i < lives_count(lives); i++) {
        struct life this = lives_get(lives, i);
        if (this.life > OFFSET_MAX || this.start > OFFSET_MAX)
            return false;
        struct life before = lives_get(lives, i ? i - 1 : 0);
        if (i && (this.start < before.start || this.life <= before.life || this.inherited > before.inherited))
            return false;
    }
    return !lives_newest(lives).inherited;
}

struct life lives_newest(struct slice lives)
{
    return lives_get(lives, lives_count(lives) - 1);
}

/* The stream's own life at a position. */
static uint64_t lives_at(struct slice lives, uint64_t position)
{
    size_t i = lives_count(lives) - 1;
    while (i && lives_get(lives, i).start >= position && !lives_get(lives, i - 1).inherited)
        i--;
    return lives_get(lives, i).life;
}

struct offset lives_offset(struct slice lives, uint64_t position)
{
    return (struct offset){lives_at(lives, position), position};
}

struct place lives_place(struct slice lives, uint64_t tail)
{
    return (struct place){lives_newest(lives).life, lives_offset(lives, tail)};
}

bool lives_admit(struct slice lives, struct offset offset)
{
    size_t count = lives_count(lives), i = 0;
    if (!offset.life && !offset.position)
        return true;
    while (i < count && lives_get(lives, i).life != offset.life)
        i++;
    return i < count && (!offset.position || i + 1 == count || lives_get(lives, i + 1).start >= offset.position);
}
