/* The data folder before anything runs on it:
 *
 *     data/lock          flock: one streamd at a time; holds its pid
 *     data/layout        which shard owns which slot
 *     data/shard-0.db    one database a shard (shard/store/store.h)
 *     data/console       the socket that `streamd backup` and its like ask (supervisor/data_dir/control_socket.h)
 *     data/restore       there as long as a restore is not complete (shard/backup/restore.h) */
#ifndef SUPERVISOR_DATA_DIR_DATA_DIR_H
#define SUPERVISOR_DATA_DIR_DATA_DIR_H

#include "common/layout.h"

/* Makes the folder if it is missing. */
void data_dir_make(const char *data_dir);

/* Makes the folder if it is missing and locks it. Returns the lock's fd; it holds as long as this process or a child
 * that got it lives. Ends the process with EXIT_NEVER_RESTART if another streamd works on the folder. */
int data_dir_lock(const char *data_dir);

/* The folder holds data of a streamd. */
bool data_dir_in_use(const char *data_dir) MUSTUSE;

/* A restore has begun in the folder and not ended. */
bool data_dir_half_restored(const char *data_dir) MUSTUSE;

/* Reads the layout, or makes the first one for a folder without databases. Ends the process with EXIT_NEVER_RESTART if
 * it is damaged, or lost. */
void data_dir_read_layout(const char *data_dir, unsigned shards, struct layout *layout);

#endif
