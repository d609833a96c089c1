/* An upgrade: other programs take over, one process after the other, while everything goes on.
 *
 *     ASKED      the programs are checked (supervisor/programs.h); then this one replaces itself, in its own process,
 *                with the new one, which inherits the children (supervisor/handoff.h) and goes on with
 *     ROUTERS    for each: a new one is started beside it, takes its listening socket and its clients over; once all
 * have been replaced, the old ones are waited for SHARDS     each in turn answers what it has been asked, leaves, and
 * is started again; requests wait meanwhile LAST       old routers that are still there are waited for
 *
 * New and old may be of one version: then it is a restart that nobody notices. If their frames differ (WIRE_VERSION),
 * new routers reach no shard until all shards are new. Then nobody waits for a client that takes long over a request:
 * the shards leave, together, while requests may still wait for them; those that are with old routers by then are
 * answered 503. */
#ifndef SUPERVISOR_UPGRADE_H
#define SUPERVISOR_UPGRADE_H

#include "supervisor/children.h"

enum upgrade_step { UPGRADE_NONE, UPGRADE_ASKED, UPGRADE_ROUTERS, UPGRADE_SHARDS, UPGRADE_LAST };

struct upgrade {
    struct fleet *fleet;
    const struct config *cfg;
    enum upgrade_step step;
    unsigned number; /* of the router, or of the shard, that is being replaced, */
    bool begun;      /* and it has begun */
    uint64_t due;    /* when that takes too long; or, of ASKED, the answer */
    uint64_t left;   /* when old routers must have left */
    uint64_t apart;  /* new routers reach no shard: since then; 0: they do */
    bool failed;
    uint64_t started; /* the whole */
};

/* The step after ASKED: in the new supervisor, once it has its children. now: fleet_now(), here and below. */
void upgrade_begin(struct upgrade *upgrade, uint64_t now);

/* Goes on as far as it goes now. Returns when to call again (UINT64_MAX: no need). */
uint64_t upgrade_turn(struct upgrade *upgrade, uint64_t now);

static inline bool upgrade_under_way(const struct upgrade *upgrade)
{
    return upgrade->step != UPGRADE_NONE;
}

#endif
