/* DATA_DIR/layout, whole and strict:
 *
 *     streamd layout 2
 *     shards 4                     "shards 4 moving" during a move
 *     0 1 2 3 0 1 2 3 ...          32 lines of 32 slot owners
 *     kept 1                       hashes of names that keep the slot of their whole name, ascending
 *     0123456789abcdef
 *     checksum 0123456789abcdef    of every byte above
 *
 * Version 1 has no line "kept" and none behind it, and {group} in a name means nothing there: see layout.h. */
#include "common/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/owned.h"

#define FILE_STEP 16384
#define PATH_ROOM 4096
#define PER_LINE 32u
#define KEPT_LINE 17u /* sixteen digits and a line end */

static bool layout_take_text(struct slice *text, const char *expected)
{
    size_t len = strlen(expected);
    if (text->len < len || memcmp(text->data, expected, len) != 0)
        return false;
    *text = slice_of(text->data + len, text->len - len);
    return true;
}

/* Up to nine digits in their one spelling. */
static bool layout_take_number(struct slice *text, unsigned limit, unsigned *value)
{
    size_t n = 0;
    *value = 0;
    while (n < text->len && n < 9 && text->data[n] >= '0' && text->data[n] <= '9')
        *value = *value * 10 + (unsigned)(text->data[n++] - '0');
    if (n == 0 || (n > 1 && text->data[0] == '0') || *value > limit)
        return false;
    *text = slice_of(text->data + n, text->len - n);
    return true;
}

/* One hash in its one spelling. */
static bool layout_take_hash(struct slice *text, uint64_t *hash)
{
    static const char digits[] = "0123456789abcdef";
    *hash = 0;
    if (text->len < KEPT_LINE || text->data[KEPT_LINE - 1] != '\n')
        return false;
    for (size_t i = 0; i < KEPT_LINE - 1; i++) {
        const char *digit = memchr(digits, text->data[i], sizeof digits - 1);
        if (!digit)
            return false;
        *hash = *hash << 4 | (uint64_t)(digit - digits);
    }
    *text = slice_of(text->data + KEPT_LINE, text->len - KEPT_LINE);
    return true;
}

/* "kept 12", and so many hashes in ascending order. */
static bool layout_parse_kept(struct slice *text, struct layout *layout)
{
    unsigned count;
    if (!layout_take_text(text, "kept ") || !layout_take_number(text, UINT_MAX, &count) ||
        !layout_take_text(text, "\n") || text->len / KEPT_LINE < count)
        return false;
    layout->kept = count ? xmalloc(count * sizeof *layout->kept) : NULL;
    for (; layout->kept_count < count; layout->kept_count++) {
        uint64_t *hash = &layout->kept[layout->kept_count];
        if (!layout_take_hash(text, hash) || (layout->kept_count && hash[-1] >= *hash))
            return false;
    }
    return true;
}

static const char *layout_parse_body(struct slice *text, struct layout *layout)
{
    layout->groups = layout_take_text(text, "streamd layout 2\n");
    if (!layout->groups && !layout_take_text(text, "streamd layout 1\n"))
        return "it does not begin with \"streamd layout 2\"";
    if (!layout_take_text(text, "shards ") || !layout_take_number(text, LAYOUT_SHARDS_MAX, &layout->shards) ||
        layout->shards == 0)
        return "its second line is not \"shards N\"";
    layout->moving = layout_take_text(text, " moving");
    if (!layout_take_text(text, "\n"))
        return "its second line is not \"shards N\"";
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        unsigned owner;
        if (!layout_take_number(text, LAYOUT_SHARDS_MAX - 1, &owner) ||
            !layout_take_text(text, slot % PER_LINE == PER_LINE - 1 ? "\n" : " "))
            return "a line of owners is wrong";
        layout->owner[slot] = (uint16_t)owner;
    }
    if (layout->groups && !layout_parse_kept(text, layout))
        return "its list of kept names is wrong";
    return NULL;
}

/* The file must end with the checksum's line: anything behind it makes the comparison fail. */
static const char *layout_parse(struct slice file, struct layout *layout)
{
    char checksum[32];
    struct slice text = file;
    const char *why = layout_parse_body(&text, layout);
    if (why)
        return why;
    snprintf(checksum, sizeof checksum, "checksum %016llx\n",
             (unsigned long long)layout_hash_bytes(file.data, file.len - text.len));
    if (!slice_equal(text, slice_str(checksum)))
        return "its checksum is wrong";
    return NULL;
}

static bool layout_read_whole(int fd, struct buf *file)
{
    ssize_t n;
    while ((n = read(fd, buf_reserve(file, FILE_STEP), FILE_STEP)) > 0 || (n < 0 && errno == EINTR))
        buf_grow(file, n > 0 ? (size_t)n : 0);
    return n == 0;
}

enum layout_load layout_load(const char *data_dir, struct layout *layout, const char **why)
{
    char path[PATH_ROOM];
    struct buf file = {0};
    *layout = (struct layout){0};
    snprintf(path, sizeof path, "%s/layout", data_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return LAYOUT_ABSENT;
    *why = "it cannot be read";
    if (fd < 0)
        return LAYOUT_DAMAGED;
    if (layout_read_whole(fd, &file))
        *why = layout_parse(buf_slice(&file), layout);
    close(fd);
    buf_clear(&file);
    if (*why)
        layout_clear(layout);
    return *why ? LAYOUT_DAMAGED : LAYOUT_LOADED;
}

/* Without groups the file stays one of version 1, which older programs read. */
static void layout_print(const struct layout *layout, struct buf *out)
{
    char word[64];
    int n = snprintf(word, sizeof word, "streamd layout %d\nshards %u%s\n", layout->groups ? 2 : 1, layout->shards,
                     layout->moving ? " moving" : "");
    buf_add(out, word, (size_t)n);
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        n = snprintf(word, sizeof word, "%u%c", layout->owner[slot], slot % PER_LINE == PER_LINE - 1 ? '\n' : ' ');
        buf_add(out, word, (size_t)n);
    }
    if (layout->groups) {
        n = snprintf(word, sizeof word, "kept %zu\n", layout->kept_count);
        buf_add(out, word, (size_t)n);
    }
    for (size_t i = 0; layout->groups && i < layout->kept_count; i++) {
        n = snprintf(word, sizeof word, "%016llx\n", (unsigned long long)layout->kept[i]);
        buf_add(out, word, (size_t)n);
    }
    struct slice body = buf_slice(out);
    n = snprintf(word, sizeof word, "checksum %016llx\n", (unsigned long long)layout_hash_bytes(body.data, body.len));
    buf_add(out, word, (size_t)n);
}

/* A temporary file is written, synced and renamed over the old one, and the folder is synced: a crash leaves the old
 * layout or the new one, whole. */
bool layout_save(const char *data_dir, const struct layout *layout)
{
    char path[PATH_ROOM], temporary[PATH_ROOM];
    struct buf text = {0};
    snprintf(path, sizeof path, "%s/layout", data_dir);
    snprintf(temporary, sizeof temporary, "%s/layout.tmp", data_dir);
    int fd = owned_open(AT_FDCWD, temporary, O_WRONLY | O_TRUNC);
    if (fd < 0)
        return false;
    layout_print(layout, &text);
    bool written = file_write_at(fd, buf_slice(&text), 0) && fsync(fd) == 0;
    /* The caller reports errno, so close() must not change it. */
    int saved = errno;
    buf_clear(&text);
    close(fd);
    errno = saved;
    return written && rename(temporary, path) == 0 && file_sync_folder(data_dir);
}
