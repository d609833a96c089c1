/* Whatever is made inside the data folder belongs to the folder's owner, also if root makes it: `sudo streamd project
 * create` must not leave a file that the service cannot open. Only root can give files away, so for everybody else this
 * is open() and mkdir(). A symbolic link at the end of a path is never followed for writing: the folder's owner could
 * otherwise make root write elsewhere. */
#include "common/owned.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 100 /* of a file that others make and remove meanwhile */

/* Whose the folder of a path is. */
static bool owned_find_owner(int dir, const char *path, struct stat *owner)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = slash ? (int)(slash - path) + 1 : 0;
    if (snprintf(folder, sizeof folder, "%.*s.", len, path) >= (int)sizeof folder)
        return false;
    return fstatat(dir, folder, owner, 0) == 0;
}

/* The path without slashes at its end: what fits is the name of a folder to be made. */
static void owned_without_slash(const char *path, char out[PATH_MAX])
{
    size_t len = strnlen(path, PATH_MAX - 1);
    while (len > 1 && path[len - 1] == '/')
        len--;
    memcpy(out, path, len);
    out[len] = '\0';
}

/* Where it cannot be given, as in some containers, it stays root's. */
static void owned_give_file(int dir, const char *path, int fd)
{
    struct stat owner;
    if (geteuid() == 0 && owned_find_owner(dir, path, &owner))
        (void)!fchown(fd, owner.st_uid, owner.st_gid);
}

int owned_open(int dir, const char *path, int flags)
{
    for (int i = 0; i < TRIES; i++) {
        int fd = openat(dir, path, flags | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0)
            owned_give_file(dir, path, fd);
        else if (errno == EEXIST)
            fd = openat(dir, path, flags | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 || errno != ENOENT)
            return fd;
    }
    return -1;
}

bool owned_make(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST;
    owned_give_file(AT_FDCWD, path, fd);
    close(fd);
    return true;
}

int owned_mkdir(int dir, const char *path)
{
    struct stat owner;
    char name[PATH_MAX];
    owned_without_slash(path, name);
    if (mkdirat(dir, name, 0700) != 0)
        return -1;
    if (geteuid() == 0 && owned_find_owner(dir, name, &owner))
        (void)!fchownat(dir, name, owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW);
    return 0;
}
