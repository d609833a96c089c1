/* The life of a commit:
 *
 *     open --seal--> sealed --commits_durable()--> durable
 *                       |
 *                       +-----commits_failed()---> the process ends
 *
 * Happy path: the turn seals commit n, and everything that it put aside is marked with n. With the local database n is
 * durable when sealing returns, so nothing ever waits. With another keeper turns n + 1, n + 2 run meanwhile; they see
 * the rows of n, so their answers, those of reads too, are marked with the newest sealed commit and leave after it.
 *
 * Failure modes: a keeper that is deposed or has lost a commit ends the process. The successor opens what is durable;
 * routers repeat what was not answered. A keeper that is slow delays answers and bounds turns by blocking in seal(). */
#include "shard/store/commit.h"

#include <inttypes.h>

#include "common/log.h"

void commits_seal(struct commits *commits)
{
    commits->sealed++;
    if (commits->keeper)
        commits->keeper->seal(commits->keeper, commits->sealed);
    else
        commits->durable = commits->sealed; /* the store has waited for the disk */
}

void commits_durable(struct commits *commits, uint64_t commit)
{
    if (commit > commits->sealed)
        fatalx("commit %" PRIu64 " is durable and was never sealed", commit);
    if (commit <= commits->durable)
        return;
    commits->durable = commit;
    if (commits->on_durable)
        commits->on_durable(commits->ctx);
}

void commits_failed(const struct commits *commits, uint64_t commit, const char *why)
{
    fatalx("commit %" PRIu64 " of %" PRIu64 " is lost: %s", commit, commits->sealed, why);
}
