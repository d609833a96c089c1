/* Every question about lives is one loop over the list, which has one entry for nearly all streams.
 *
 * An offset is admitted if its life is one of the stream's and no later life had begun before its position. That also
 * admits a position that an earlier life made, told with a later life: nobody prints that, and it means the same. */
#include "common/lives.h"

#include <endian.h>
#include <string.h>

#include "common/buf.h"

void lives_add(struct buf *lives, uint64_t start, uint64_t life)
{
    uint64_t field[2] = {htole64(start), htole64(life)};
    buf_add(lives, (const char *)field, sizeof field);
}

struct slice lives_one(uint64_t life, char room[LIVES_ONE])
{
    uint64_t field[2] = {0, htole64(life)};
    memcpy(room, field, sizeof field);
    return slice_of(room, life ? LIVES_ONE : 0);
}

void lives_add_before(struct buf *lives, struct slice others, uint64_t end)
{
    for (size_t i = 0; i < lives_count(others) && (!i || lives_get(others, i).start < end); i++)
        lives_add(lives, lives_get(others, i).start, lives_get(others, i).life);
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
    return (struct life){le64toh(field[0]), le64toh(field[1])};
}

bool lives_valid(struct slice lives)
{
    if (lives.len % LIVES_ONE || lives_get(lives, 0).start)
        return false;
    for (size_t i = 0; i < lives_count(lives); i++) {
        struct life this = lives_get(lives, i);
        if (this.life > OFFSET_MAX || this.start > OFFSET_MAX)
            return false;
        if (i && (this.start < lives_get(lives, i - 1).start || this.life <= lives_get(lives, i - 1).life))
            return false;
    }
    return true;
}

struct life lives_newest(struct slice lives)
{
    return lives_get(lives, lives_count(lives) - 1);
}

static uint64_t lives_at(struct slice lives, uint64_t position)
{
    size_t i = lives_count(lives);
    while (--i && lives_get(lives, i).start >= position)
        ;
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
    bool known = !offset.life && !offset.position;
    for (size_t i = 0; i < lives_count(lives) && !known; i++)
        known = lives_get(lives, i).life == offset.life;
    return known && (!offset.position || lives_at(lives, offset.position) <= offset.life);
}
