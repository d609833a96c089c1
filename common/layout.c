/* DATA_DIR/layout, whole and strict:
 *
 *     streamd layout 1
 *     shards 4
 *     0 1 2 3 0 1 2 3 ...          32 lines of 32 slot owners
 *     checksum 0123456789abcdef    of every byte above
 */
#include "common/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/owned.h"

#define FILE_MAX 16384
#define PATH_ROOM 4096
#define PER_LINE 32u

static uint64_t layout_fnv1a(const char *data, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3u;
    return hash;
}

/* FNV-1a leaves its high bits poorly mixed for short names; this spreads every bit over all. */
static uint64_t layout_mix(uint64_t hash)
{
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
    return hash ^ (hash >> 33);
}

unsigned layout_slot(struct slice name)
{
    return (unsigned)(layout_mix(layout_fnv1a(name.data, name.len)) % LAYOUT_SLOTS);
}

void layout_init(struct layout *layout, unsigned shards)
{
    layout->shards = shards;
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++)
        layout->owner[slot] = (uint16_t)(slot % shards);
}

/* How many slots each shard should end with. Of those that get one more, the ones that have more already come first. */
static void layout_plan_quotas(const struct layout *layout, unsigned shards, unsigned quota[LAYOUT_SHARDS_MAX])
{
    unsigned has[LAYOUT_SHARDS_MAX] = {0};
    unsigned base = LAYOUT_SLOTS / shards, extra = LAYOUT_SLOTS % shards;
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++)
        has[layout->owner[slot]]++;
    for (unsigned i = 0; i < shards; i++)
        quota[i] = base;
    for (unsigned i = 0; i < shards && extra; i++)
        if (has[i] > base) {
            quota[i]++;
            extra--;
        }
    for (unsigned i = 0; i < shards && extra; i++)
        if (quota[i] == base) {
            quota[i]++;
            extra--;
        }
}

/* Moves as few slots as possible. The first pass keeps every slot whose owner stays and still has room under its quota;
 * the second gives the others to the shards whose quotas are not used up. Two plans of the same layout are equal, so a
 * move that was interrupted goes on where it was. */
void layout_plan(const struct layout *layout, unsigned shards, uint16_t target[LAYOUT_SLOTS])
{
    unsigned quota[LAYOUT_SHARDS_MAX];
    bool moves[LAYOUT_SLOTS];
    unsigned next = 0;
    layout_plan_quotas(layout, shards, quota);
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        unsigned owner = layout->owner[slot];
        moves[slot] = owner >= shards || quota[owner] == 0;
        if (moves[slot])
            continue;
        quota[owner]--;
        target[slot] = (uint16_t)owner;
    }
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        if (!moves[slot])
            continue;
        while (quota[next] == 0)
            next++; /* the quotas add up to LAYOUT_SLOTS, so one is left for every slot */
        quota[next]--;
        target[slot] = (uint16_t)next;
    }
}

static bool layout_take_text(struct slice *text, const char *expected)
{
    size_t len = strlen(expected);
    if (text->len < len || memcmp(text->data, expected, len) != 0)
        return false;
    *text = slice_of(text->data + len, text->len - len);
    return true;
}

/* Up to three digits in their one spelling. */
static bool layout_take_number(struct slice *text, unsigned limit, unsigned *value)
{
    size_t n = 0;
    *value = 0;
    while (n < text->len && n < 3 && text->data[n] >= '0' && text->data[n] <= '9')
        *value = *value * 10 + (unsigned)(text->data[n++] - '0');
    if (n == 0 || (n > 1 && text->data[0] == '0') || *value > limit)
        return false;
    *text = slice_of(text->data + n, text->len - n);
    return true;
}

static const char *layout_parse_body(struct slice *text, struct layout *layout)
{
    if (!layout_take_text(text, "streamd layout 1\n"))
        return "it does not begin with \"streamd layout 1\"";
    if (!layout_take_text(text, "shards ") || !layout_take_number(text, LAYOUT_SHARDS_MAX, &layout->shards) ||
        layout->shards == 0 || !layout_take_text(text, "\n"))
        return "its second line is not \"shards N\"";
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        unsigned owner;
        if (!layout_take_number(text, LAYOUT_SHARDS_MAX - 1, &owner) ||
            !layout_take_text(text, slot % PER_LINE == PER_LINE - 1 ? "\n" : " "))
            return "a line of owners is wrong";
        layout->owner[slot] = (uint16_t)owner;
    }
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
             (unsigned long long)layout_fnv1a(file.data, file.len - text.len));
    if (!slice_equal(text, slice_str(checksum)))
        return "its checksum is wrong";
    return NULL;
}

enum layout_load layout_load(const char *data_dir, struct layout *layout, const char **why)
{
    char path[PATH_ROOM], file[FILE_MAX];
    snprintf(path, sizeof path, "%s/layout", data_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return LAYOUT_ABSENT;
    *why = "it cannot be read";
    if (fd < 0)
        return LAYOUT_DAMAGED;
    ssize_t len = read(fd, file, sizeof file);
    close(fd);
    if (len >= 0)
        *why = layout_parse(slice_of(file, (size_t)len), layout);
    return *why ? LAYOUT_DAMAGED : LAYOUT_LOADED;
}

static void layout_print(const struct layout *layout, struct buf *out)
{
    char word[64];
    int n = snprintf(word, sizeof word, "streamd layout 1\nshards %u\n", layout->shards);
    buf_add(out, word, (size_t)n);
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        n = snprintf(word, sizeof word, "%u%c", layout->owner[slot], slot % PER_LINE == PER_LINE - 1 ? '\n' : ' ');
        buf_add(out, word, (size_t)n);
    }
    struct slice body = buf_slice(out);
    n = snprintf(word, sizeof word, "checksum %016llx\n", (unsigned long long)layout_fnv1a(body.data, body.len));
    buf_add(out, word, (size_t)n);
}

static bool layout_write_whole(int fd, struct slice text)
{
    while (text.len) {
        ssize_t n = write(fd, text.data, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        text = slice_of(text.data + n, text.len - (size_t)n);
    }
    return fsync(fd) == 0;
}

/* A rename is durable only when its folder is synced (fsync(2)). */
static bool layout_folder_sync(const char *path)
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
    bool written = layout_write_whole(fd, buf_slice(&text));
    /* The caller reports errno, so close() must not change it. */
    int saved = errno;
    buf_clear(&text);
    close(fd);
    errno = saved;
    return written && rename(temporary, path) == 0 && layout_folder_sync(data_dir);
}
