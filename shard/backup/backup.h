/* A shard's part of a backup (common/backup.h): its database is copied, a few pages a turn, into
 * server.data_dir/backup; when the copy is whole and all shards have one, its pieces go to the store of segments:
 *
 *     backup/ID/FILE.N     8 MiB of a file each, compressed (zstd): shard-N.db, and what the first shard adds
 *     backup/ID/manifest   JSON: what these are; put by the first shard
 *     backup/index         JSON: the backups that count, the newest first
 *
 * The database has a row of each file before it is put, and removes the files of backups that no longer count. */
#ifndef SHARD_BACKUP_BACKUP_H
#define SHARD_BACKUP_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/backup.h"
#include "common/buf.h"
#include "shard/segments/worker.h"
#include "common/slice.h"

#define BACKUP_FILES_MAX 3
#define BACKUP_PIECE ((size_t)8 << 20)
#define BACKUP_NAME_MAX 32
#define BACKUP_LIST_MAX ((size_t)1 << 20) /* bytes of a manifest or an index */
#define BACKUP_VERSION 1

struct shard;
struct store_copy;

enum backup_state {
    BACKUP_NONE,
    BACKUP_COPIES,
    BACKUP_IS_NEAR,
    BACKUP_FINISHES,  /* at the end of this turn */
    BACKUP_HOLDS,     /* nothing is taken */
    BACKUP_MEASURES,  /* the worker looks at the files */
    BACKUP_PUTS_NEXT, /* what this turn has written down is put after its commit */
    BACKUP_PUTS,      /* the worker makes a piece, or it is on its way */
    BACKUP_WAITS,     /* for the other shards */
    BACKUP_SEALS
};

struct backup_file {
    char name[BACKUP_NAME_MAX];
    uint64_t bytes, checksum, pieces;
};

struct backup {
    struct work work;
    struct shard *shard;
    enum backup_state state;
    bool working; /* the worker has `work`, or the store has been asked for something */
    uint64_t id;
    struct store_copy *copy;
    uint64_t hold_until_ms;
    uint64_t commit; /* the copy, or the rows of the files, are durable with this one */
    bool held;       /* and the supervisor knows that the copy is */
    struct backup_file files[BACKUP_FILES_MAX];
    unsigned count, file; /* the file that is being put, */
    uint64_t piece;       /* and what of it */
    struct buf bytes;     /* what is being put */
    char failure[128];    /* of the worker; "": none */
    bool removing;
};

void backup_init(struct shard *shard);
void backup_clear(struct shard *shard);

/* The supervisor says so. */
void backup_step(struct shard *shard, enum backup_step step, struct slice text);

/* True: this turn takes nothing and commits nothing. */
bool backup_holds(struct shard *shard) MUSTUSE;

/* After the commit of a turn. */
void backup_turn(struct shard *shard);

/* By the tick: files of backups that do not count are removed. */
void backup_upkeep(struct shard *shard);

/* "backup/ID/NAME.PIECE"; without a piece (UINT64_MAX) "backup/ID/NAME". */
void backup_object_name(char *out, size_t size, uint64_t id, const char *name, uint64_t piece);

#endif
