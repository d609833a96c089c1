/* Files and folders that streamd makes. A command is often run as root and the service as another user: what root makes
 * belongs to the owner of the folder that it is made in. */
#ifndef COMMON_OWNED_H
#define COMMON_OWNED_H

#include <stdbool.h>

#include "common/attr.h"

/* Opens a file, or makes one for this user alone (0600); `flags` as for openat(), without O_CREAT. -1: errno is set. A
 * link is not followed: the folder's owner, who may have made it, is not to say what root writes to. */
int owned_open(int dir, const char *path, int flags) MUSTUSE;

/* Makes an empty file, unless one is there. A database is made so: it is not opened, because closing it would give up
 * the locks that this process has. False: errno is set. */
bool owned_make(const char *path) MUSTUSE;

/* As mkdirat() for this user alone (0700). The new folder is durable when the one that has it is synced (file.h). */
int owned_mkdir(int dir, const char *path) MUSTUSE;

#endif
