/* The files of segments: those in the folder are read, those in the store only if they are asked for. */
#ifndef SHARD_TOOLS_VERIFY_FILES_H
#define SHARD_TOOLS_VERIFY_FILES_H

struct verify;

/* Before the first shard, and after the last. */
void verify_files_begin(struct verify *v);
void verify_files_end(struct verify *v);
/* After the shard's database: of every segment of a stream that is not deleted. */
void verify_files(struct verify *v, unsigned shard);

#endif
