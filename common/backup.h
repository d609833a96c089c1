/* A backup, which the supervisor leads and the shards make: a copy of every database as it was at one moment. Each
 * shard copies its own while it works; when all are nearly done they hold still together, for a few milliseconds, until
 * all copies are whole; then each puts its copy into the store of segments, whose files the copies refer to, and the
 * first shard seals the backup: only now it counts. The steps go over the control channel with a text each. */
#ifndef COMMON_BACKUP_H
#define COMMON_BACKUP_H

/* Why a backup cannot begin whose id is not the greatest; the greatest follows. */
#define BACKUP_NEWER "the clock was ahead: there is already backup "

enum backup_step {
    BACKUP_BEGIN,  /* supervisor: copy; the backup's id, decimal: Unix ms, larger than any before */
    BACKUP_NEAR,   /* shard: nearly everything is copied */
    BACKUP_HOLD,   /* supervisor: finish the copy, and take nothing more */
    BACKUP_HELD,   /* shard: it is whole, and nothing is taken */
    BACKUP_GO_ON,  /* supervisor: all are; work on, and put it away */
    BACKUP_PUT,    /* shard: it is in the store; its files, JSON objects separated by commas */
    BACKUP_SEAL,   /* supervisor, to the first shard: it is all there; the files of all */
    BACKUP_SEALED, /* the first shard, then the supervisor to all: it counts; the oldest id that is still kept */
    BACKUP_FAILED, /* shard: why; supervisor: it is given up; no text: and not sealed, for certain */
    BACKUP_STEPS
};

#endif
