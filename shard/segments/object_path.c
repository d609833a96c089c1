/* The name of a segment's file is the same in the folder, the cache and the bucket:
 *
 *     0a3/0000000000009f3c-0000000000000200-8d1f5b0c44e2a967.seg
 *     slot/the stream's uid-first position -random id
 *
 * A name is used for one segment only; a merged one has a new id. So a copy under this name is never out of date. */
#include "shard/segments/object_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/layout.h"

void object_name(char name[OBJECT_NAME_MAX], const struct object *object)
{
    snprintf(name, OBJECT_NAME_MAX, "%0*x/%016llx-%016llx-%016llx.seg", OBJECT_SLOT_DIGITS,
             layout_slot_of_uid(object->uid), (unsigned long long)object->uid, (unsigned long long)object->start,
             (unsigned long long)object->id);
}

/* The slot keeps folders small and spreads the names of a bucket. */
static void object_path_of(const char *root, const struct object *object, char path[OBJECT_ROOT_MAX + OBJECT_NAME_MAX])
{
    char name[OBJECT_NAME_MAX];
    object_name(name, object);
    snprintf(path, OBJECT_ROOT_MAX + OBJECT_NAME_MAX, "%s/%s", root, name);
}

int object_path_open(const char *root, const struct object *object)
{
    char path[OBJECT_ROOT_MAX + OBJECT_NAME_MAX];
    struct stat stat;
    object_path_of(root, object, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe in its place does not block */
    if (fd < 0 || (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode)))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

void object_path_unlink(const char *root, const struct object *object)
{
    char path[OBJECT_ROOT_MAX + OBJECT_NAME_MAX];
    object_path_of(root, object, path);
    unlink(path);
}
