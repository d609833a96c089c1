/* Files: all of a part is read or written, however many calls that takes; and what is written and named is durable. */
#ifndef COMMON_FILE_H
#define COMMON_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

/* False: errno says why; 0: the file ends before. */
bool file_read_at(int fd, void *to, size_t len, uint64_t at) MUSTUSE;

/* False: errno says why. A part may have been written. */
bool file_write_at(int fd, struct slice bytes, uint64_t at) MUSTUSE;

/* Writes the first `size` bytes of a file over themselves, and syncs them. After an fsync that has failed the kernel
 * takes its pages for written, so that no later one brings them to the disk. False: errno says why. */
bool file_write_anew(int fd, uint64_t size) MUSTUSE;

/* A name that is made, renamed or removed is durable only when its folder is synced (fsync(2)). False: errno is set. */
bool file_sync_folder(const char *path) MUSTUSE;

/* The same for the folder that has the path. It counts as synced if this user cannot read it, for somebody else has
 * made what is in it, and if its file system has no such call, as a read-only one under a mount point. */
bool file_sync_parent(const char *path) MUSTUSE;

#endif
