/* The rows of backups: the files of each in the store of segments. An orphan is not removed while a backup may refer to
 * its file. */
#ifndef SHARD_STORE_STORE_BACKUP_H
#define SHARD_STORE_STORE_BACKUP_H

#include "common/attr.h"
#include "shard/store/store.h"

/* A file of a backup: stored in so many pieces; 0: in one object. A backup without a file has only begun. */
struct backup_file_row {
    uint64_t id;
    char name[32]; /* "": the backup itself */
    uint64_t pieces;
};

void store_backup_put(struct store *store, const struct backup_file_row *row);
/* The newest backup there ever was, 0: none. */
uint64_t store_backup_last(struct store *store);
/* Backups with from <= id < to no longer count; their files are to be removed, one after the other. */
void store_backups_gone(struct store *store, uint64_t from, uint64_t to);
/* In a database that was restored: keeps every file until this backup is gone, even those that are no segment here,
 * because the server that made the backup may have gone on. */
void store_backup_hold(struct store *store, uint64_t id);
/* A file that is to be removed. False: there is none. */
bool store_backup_gone(struct store *store, struct backup_file_row *row) MUSTUSE;
void store_backup_delete(struct store *store, const struct backup_file_row *row);

#endif
