/* Backups: the shards are led through one (common/backup.h), by the clock or because somebody asks. One at a time. */
#ifndef SUPERVISOR_BACKUPS_H
#define SUPERVISOR_BACKUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/backup.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/layout.h"

struct fleet;

/* How it ended; text: the backup's id, or why it failed. */
typedef void backups_ended(void *ctx, bool good, const char *text);

struct backups {
    struct fleet *fleet;
    const struct config *cfg;
    backups_ended *ended; /* told of each */
    void *ctx;

    bool running;
    bool another;   /* is to follow */
    bool may_count; /* it was to be sealed: whether it is, nobody may know */
    uint64_t id;
    uint64_t newest;               /* that is known of, whatever the clock says now */
    enum backup_step awaited;      /* what the shards are to say, */
    bool heard[LAYOUT_SHARDS_MAX]; /* and which have said it */
    unsigned shards, heard_count;
    uint64_t hold_until; /* UINT64_MAX: nobody holds */
    uint64_t next;       /* when the clock begins one */
    struct buf files;    /* of all shards */
};

/* now: fleet_now(), here and below. */
void backups_init(struct backups *backups, struct fleet *fleet, const struct config *cfg, uint64_t now);
void backups_clear(struct backups *backups);

/* Begins one; if one is under way, another follows it, and only that is told of. NULL, or why it cannot be. */
const char *backups_begin(struct backups *backups) MUSTUSE;

/* A shard says so. */
void backups_heard(struct backups *backups, unsigned shard, enum backup_step step, struct slice text);

/* The one that is under way, if one is, cannot go on. */
void backups_give_up(struct backups *backups, const char *why);

/* Does what is due and returns when to call again. */
uint64_t backups_expire(struct backups *backups, uint64_t now);

#endif
