/*
 *      left          may leave          sealed, not durable        put by this turn
 *     ------|-----------------------|------------|-------------|--------------------|
 *           0 of the buffer        upto        mark 7        mark 8 = sealed        end
 *
 * release_seal() turns what a turn has put into a mark; release_upto() takes marks off as commits become durable. A
 * commit that is durable when the turn ends, as with the local database, needs no mark, and no memory for one. */
#include "shard/peers/release.h"

#include <string.h>

struct release_mark {
    uint64_t commit, end;
};

static bool release_last(const struct release *release, struct release_mark *mark)
{
    struct slice marks = buf_slice(&release->marks);
    if (!marks.len)
        return false;
    memcpy(mark, marks.data + marks.len - sizeof *mark, sizeof *mark);
    return true;
}

void release_seal(struct release *release, uint64_t end, uint64_t commit, uint64_t durable)
{
    struct release_mark last, mark = {commit, end};
    if (end == release->sealed)
        return;
    release->sealed = end;
    if (commit <= durable && !buf_len(&release->marks)) {
        release->upto = end;
        return;
    }
    /* A turn that wrote nothing seals with the commit that is there: one mark has both turns' bytes. */
    if (release_last(release, &last) && last.commit == commit)
        release->marks.end -= sizeof last;
    buf_add(&release->marks, &mark, sizeof mark);
}

uint64_t release_upto(struct release *release, uint64_t durable)
{
    struct release_mark mark;
    while (buf_len(&release->marks)) {
        memcpy(&mark, buf_slice(&release->marks).data, sizeof mark);
        if (mark.commit > durable)
            return release->upto;
        release->upto = mark.end;
        buf_consume(&release->marks, sizeof mark);
    }
    return release->upto;
}

void release_clear(struct release *release)
{
    buf_clear(&release->marks);
    *release = (struct release){0};
}
