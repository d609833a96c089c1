/* `streamd-shard restore latest|NUMBER`: fetches a backup's files into server.data_dir/restore, checks them, and moves
 * them to where they belong; the folder `restore` goes last, and as long as it is there nobody works on the data. Cut
 * short anywhere, it starts over. */
#ifndef SHARD_BACKUP_RESTORE_H
#define SHARD_BACKUP_RESTORE_H

int restore_main(int argc, char **argv);

#endif
