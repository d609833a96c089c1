/* An upgrade: other programs take over, one process after the other, while everything goes on (upgrade.c says how). All
 * times are clock_monotonic_ms(). */
#ifndef SUPERVISOR_UPGRADE_UPGRADE_H
#define SUPERVISOR_UPGRADE_UPGRADE_H

#include <stdint.h>

#include "supervisor/upgrade/programs.h"

struct children;
struct config;

enum upgrade_step {
    UPGRADE_NONE,
    UPGRADE_ASKED,   /* the programs are being checked */
    UPGRADE_CHECKED, /* they may take over: the caller becomes the new program, or calls upgrade_cancel() */
    UPGRADE_ROUTERS, /* in the new program: the routers are being replaced, */
    UPGRADE_SHARDS,  /* the shards, */
    UPGRADE_LAST     /* and old routers that are still there must leave */
};

struct upgrade {
    struct children *children;
    const struct config *cfg;
    struct programs programs;
    enum upgrade_step step;
    unsigned number;  /* of the router or shard that is being replaced, */
    bool begun;       /* and its replacement has begun */
    uint64_t due;     /* when the step, or this replacement, takes too long */
    uint64_t left;    /* when old routers must have left */
    uint64_t apart;   /* since when new routers reach no shard; 0: they do */
    bool failed;      /* what is not replaced works on as it is */
    uint64_t started; /* the first replacement */
};

/* argv: how this program was called; borrowed, as are the others. */
void upgrade_init(struct upgrade *upgrade, struct children *children, const struct config *cfg, char **argv);
void upgrade_clear(struct upgrade *upgrade);

/* The programs on disk are others than those that run. */
bool upgrade_wanted(const struct upgrade *upgrade) MUSTUSE;

/* Begins ASKED, in the old program. */
void upgrade_ask(struct upgrade *upgrade, uint64_t now);

/* Ends ASKED or CHECKED without an upgrade. */
void upgrade_cancel(struct upgrade *upgrade);

/* Begins ROUTERS, in the new program, once it has its children. */
void upgrade_begin(struct upgrade *upgrade, uint64_t now);

/* Goes on as far as it goes now. Returns when to call again (UINT64_MAX: no need). */
uint64_t upgrade_turn(struct upgrade *upgrade, uint64_t now);

static inline bool upgrade_under_way(const struct upgrade *upgrade)
{
    return upgrade->step != UPGRADE_NONE;
}

#endif
