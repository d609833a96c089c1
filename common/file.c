#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

bool file_read_at(int fd, void *to, size_t len, uint64_t at)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(at + done));
        if (n == 0)
            errno = 0;
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool file_write_at(int fd, struct slice bytes, uint64_t at)
{
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = pwrite(fd, bytes.data + done, bytes.len - done, (off_t)(at + done));
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool file_write_anew(int fd, uint64_t size)
{
    char bytes[64 << 10];
    for (uint64_t at = 0; at < size;) {
        size_t len = size - at < sizeof bytes ? (size_t)(size - at) : sizeof bytes;
        if (!file_read_at(fd, bytes, len, at) || !file_write_at(fd, slice_of(bytes, len), at))
            return false;
        at += len;
    }
    return fdatasync(fd) == 0;
}

bool file_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool done = fsync(fd) == 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return done;
}

bool file_sync_parent(const char *path)
{
    char copy[PATH_MAX];
    errno = ENAMETOOLONG;
    return snprintf(copy, sizeof copy, "%s", path) < (int)sizeof copy &&
           (file_sync_folder(dirname(copy)) || errno == EACCES || errno == EINVAL);
}
