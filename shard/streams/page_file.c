/* A list by last use, looked through from the newest: FILES_MAX is small, and a reader that catches up asks for the
 * page that the one before it has just asked for.
 *
 *     newest <-> ... <-> oldest      age and the limits take from the right end
 *
 * A page is a memfd: the router gets the descriptor and sends the bytes to its client without copying them through the
 * link. The link has a duplicate (link_enclose), so a file can be forgotten while its answer is still on the way.
 *
 * Failure modes: without memory or a descriptor there is no file, and the reading is answered with bytes. */
#include "shard/streams/page_file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"

#define FILES_MAX 256 /* few enough to look through, and to have open */

static void page_file_take_out(struct page_files *files, struct page_file *file)
{
    *(file->newer ? &file->newer->older : &files->newest) = file->older;
    *(file->older ? &file->older->newer : &files->oldest) = file->newer;
}

static void page_file_put_first(struct page_files *files, struct page_file *file, uint64_t now_ms)
{
    file->used_ms = now_ms;
    file->newer = NULL;
    file->older = files->newest;
    *(files->newest ? &files->newest->newer : &files->oldest) = file;
    files->newest = file;
}

static void page_file_forget_oldest(struct page_files *files)
{
    struct page_file *file = files->oldest;
    page_file_take_out(files, file);
    files->count--;
    files->bytes -= file->bytes;
    close(file->fd);
    free(file);
}

/* A page that was not full ends at the tail of its time; it is still right while the tail is the same. */
const struct page_file *page_files_find(struct page_files *files, const struct page_key *key, uint64_t tail,
                                        uint64_t now_ms)
{
    for (struct page_file *file = files->newest; file; file = file->older) {
        if (memcmp(&file->key, key, sizeof *key) != 0 || !(file->full || file->next == tail))
            continue;
        page_file_take_out(files, file);
        page_file_put_first(files, file, now_ms);
        return file;
    }
    return NULL;
}

/* -1: there is no memory or no descriptor for it. */
static int page_file_make_file(struct slice bytes)
{
    int fd = memfd_create("page", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (file_write_at(fd, bytes, 0))
        return fd;
    close(fd);
    return -1;
}

const struct page_file *page_files_add(struct page_files *files, const struct page_key *key, const struct page *page,
                                       uint64_t max_bytes, uint64_t now_ms)
{
    /* Before the new file is added, so that the new one stays even if it alone is over the limit: it is returned. */
    while (files->oldest && (files->count >= FILES_MAX || files->bytes + buf_len(&page->data) > max_bytes))
        page_file_forget_oldest(files);
    int fd = page_file_make_file(buf_slice(&page->data));
    if (fd < 0) {
        log_warn("cannot make a file for a page: %s", strerror(errno));
        return NULL;
    }
    struct page_file *file = xcalloc(1, sizeof *file);
    file->key = *key;
    file->next = page->next;
    file->time_ms = page->time_ms;
    file->bytes = buf_len(&page->data);
    file->full = page->full;
    file->fd = fd;
    page_file_put_first(files, file, now_ms);
    files->count++;
    files->bytes += file->bytes;
    return file;
}

void page_files_age(struct page_files *files, uint64_t before_ms)
{
    while (files->oldest && files->oldest->used_ms < before_ms)
        page_file_forget_oldest(files);
}

void page_files_clear(struct page_files *files)
{
    page_files_age(files, UINT64_MAX);
}
