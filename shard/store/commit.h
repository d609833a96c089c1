/* Commits: numbered by the turns that seal them, and durable in that order, at once or later.
 *
 * A turn writes into one transaction; sealing gives it the next number. A commit is durable when no crash takes it
 * back: then, and not before, what the turn put aside may leave the process (shard/peers/release.h), and files may
 * follow that its rows have announced. What makes a commit durable is its keeper. The local database is one by itself:
 * COMMIT with an fsync, done when sealing returns. A keeper that copies commits to other machines says later that they
 * are done, while turns go on. */
#ifndef SHARD_STORE_COMMIT_H
#define SHARD_STORE_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

/* Embedded in the keeper. seal() is called after the transaction of that number is in the local database, in order. It
 * calls commits_durable() at once, or later from the event loop; it may block, which bounds how many commits are under
 * way, and lets the next turn's frames gather meanwhile. */
struct commit_keeper {
    void (*seal)(struct commit_keeper *keeper, uint64_t commit);
};

struct commits {
    uint64_t sealed, durable;     /* the newest of each, 0: none yet; durable <= sealed */
    struct commit_keeper *keeper; /* NULL: the local database */
    void (*on_durable)(void *ctx);
    void *ctx;
};

/* Seals the next commit. */
void commits_seal(struct commits *commits);

/* For the keeper: all commits up to this one are durable. Calls on_durable, if these are any more than before. */
void commits_durable(struct commits *commits, uint64_t commit);

/* For the keeper: this commit will never be durable. Ends the process: its database is ahead of what is true, and
 * nobody has heard of the difference. */
NORETURN void commits_failed(const struct commits *commits, uint64_t commit, const char *why);

static inline bool commits_are_durable(const struct commits *commits, uint64_t upto)
{
    return commits->durable >= upto;
}

/* The commit is sealed, and not durable yet: a turn follows when it is. */
static inline bool commits_is_pending(const struct commits *commits, uint64_t commit)
{
    return commit <= commits->sealed && commit > commits->durable;
}

#endif
