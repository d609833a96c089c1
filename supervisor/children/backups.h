/* Backups: takes all shards through the steps of one (common/backup.h), by the clock or on demand. One at a time. All
 * times are clock_monotonic_ms(). */
#ifndef SUPERVISOR_CHILDREN_BACKUPS_H
#define SUPERVISOR_CHILDREN_BACKUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/backup.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/layout.h"

struct children;

/* A backup ended. text: its id, or why it failed. */
typedef void backups_ended(void *ctx, bool good, const char *text);

struct backups {
    struct children *children;
    const struct config *cfg;
    backups_ended *ended; /* NULL: nobody waits */
    void *ctx;

    bool running;
    bool another;   /* backup follows this one */
    bool may_count; /* shard 0 was asked to seal it: it may be complete */
    uint64_t id;
    uint64_t newest;              /* that is known of, whatever the clock says now */
    enum backup_step awaited;     /* the step that the shards report next, */
    bool done[LAYOUT_SHARDS_MAX]; /* and which have reported it */
    unsigned shards, done_count;
    uint64_t hold_until; /* UINT64_MAX: no shard holds its commits */
    uint64_t next;       /* when the clock begins one */
    struct buf files;    /* of all shards */
};

/* Sets the children's hooks. */
void backups_init(struct backups *backups, struct children *children, const struct config *cfg, uint64_t now);
void backups_clear(struct backups *backups);

/* Begins one; if one is under way, another follows it, and only the end of that one is reported. NULL, or why there is
 * none. */
const char *backups_begin(struct backups *backups) MUSTUSE;

/* A shard has done this step, or failed in it. */
void backups_on_step(struct backups *backups, unsigned shard, enum backup_step step, struct slice text);

/* Ends the backup that is under way, if one is, as failed. */
void backups_give_up(struct backups *backups, const char *why);

/* Does what is due and returns when to call again. */
uint64_t backups_expire(struct backups *backups, uint64_t now);

#endif
