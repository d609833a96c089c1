/* Large pages as files in memory. A router sends from the file itself, so a page's bytes are copied once when it is
 * read from the store, and not at all for the next reader. Bytes of a stream never change, so a page that was full
 * stays right, and one that ended at the tail does until something is appended. */
#ifndef SHARD_STREAMS_PAGE_FILE_H
#define SHARD_STREAMS_PAGE_FILE_H

#include "shard/streams/page.h"

#define PAGE_FILE_MIN ((size_t)64 << 10) /* shorter pages are not worth a file */

/* What was asked: pages of the same stream, start and limits are the same as long as they are right. */
struct page_key {
    uint64_t uid, start, max_bytes, max_messages;
};

struct page_file {
    struct page_key key;
    uint64_t next, time_ms, bytes;
    bool full;
    int fd;
    uint64_t used_ms;
    struct page_file *newer, *older;
};

/* The files that are kept, by their last use. Zeroed at the start. */
struct page_files {
    struct page_file *newest, *oldest;
    unsigned count;
    uint64_t bytes;
};

/* The page that answers `key` while the stream ends at `tail`, or NULL. */
const struct page_file *page_files_find(struct page_files *files, const struct page_key *key, uint64_t tail,
                                        uint64_t now_ms);

/* Makes a file of a page that was read; the longest unused go, so that about max_bytes are kept. Borrowed until the
 * next call. NULL: there is no memory or no descriptor for it. */
const struct page_file *page_files_add(struct page_files *files, const struct page_key *key, const struct page *page,
                                       uint64_t max_bytes, uint64_t now_ms);

/* Forgets what was last used before `before_ms`. */
void page_files_age(struct page_files *files, uint64_t before_ms);

void page_files_clear(struct page_files *files);

#endif
