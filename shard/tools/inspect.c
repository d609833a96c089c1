/* The file is mapped and read as a reader reads it: its head with the table of blocks, then each block by itself, so
 * that damage is named by its block; last the checksum over everything. A file need not be of this data folder: nothing
 * but the file is looked at.
 *
 *     stream 00070000000000a1, bytes
 *     positions 0 to 4096
 *     12 messages, 4096 bytes, 1568 in the file
 *     checksum 5d3c9a1b20f4e677
 *     block 0: from 0, 4096 bytes, 1400 stored at 168 (zstd), 2026-01-31T12:00:00.000Z
 *     good
 *
 * Failure modes: of a file without a sound head nothing is printed. A damaged block is marked and the others are still
 * checked. Either way the status is 1, and the reason is on standard error. */
#include "shard/tools/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shard/segments/segment.h"
#include "shard/store/extent.h"

static int inspect_fail(const char *file, const char *why)
{
    fprintf(stderr, "streamd: %s: %s\n", file, why);
    return 1;
}

static void inspect_print_time(uint64_t ms)
{
    char text[32];
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    printf("%s.%03uZ", text, (unsigned)(ms % 1000));
}

static void inspect_print_segment(const struct segment *s)
{
    printf("stream %016llx, %s\n", (unsigned long long)s->uid, s->json ? "JSON" : "bytes");
    printf("positions %llu to %llu\n", (unsigned long long)s->start, (unsigned long long)s->end);
    printf("%llu messages, %llu bytes, %llu in the file\n", (unsigned long long)s->messages,
           (unsigned long long)s->bytes, (unsigned long long)s->size);
    printf("checksum %016llx\n", (unsigned long long)s->checksum);
}

/* A block that is damaged does not end the list: those behind it are found by the table. */
static bool inspect_print_block(const struct segment *s, size_t i, struct slice file, struct buf *inflated)
{
    const struct segment_block *b = &s->blocks[i];
    struct extent extent;
    bool good = segment_extent(s, i, slice_part(file, s->boundaries_at + b->boundaries_at, b->boundaries),
                               slice_part(file, b->at, b->stored), inflated, &extent);
    printf("block %zu: from %llu, %u bytes, %u stored at %llu%s, ", i, (unsigned long long)b->start, b->bytes,
           b->stored, (unsigned long long)b->at, b->stored < b->bytes ? " (zstd)" : "");
    inspect_print_time(b->time_ms);
    puts(good ? "" : ": DAMAGED");
    return good;
}

static int inspect(const char *name, struct slice file)
{
    struct segment s;
    struct buf inflated = {0};
    uint64_t need;
    bool good = true;
    if (!segment_parse(&s, file, file.len, &need))
        return inspect_fail(name, "it is no segment, or its beginning is damaged");
    inspect_print_segment(&s);
    for (size_t i = 0; i < s.count; i++)
        good &= inspect_print_block(&s, i, file, &inflated);
    buf_clear(&inflated);
    segment_clear(&s);
    if (!good || !segment_check(file))
        return inspect_fail(name, "it is damaged");
    puts("good");
    return 0;
}

int inspect_main(int argc, char **argv)
{
    struct stat stat;
    if (argc != 3)
        return inspect_fail("segment", "expected the name of one file");
    int fd = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) != 0)
        return inspect_fail(argv[2], strerror(errno));
    if (!S_ISREG(stat.st_mode) || !stat.st_size)
        return inspect_fail(argv[2], "it is no segment, or its beginning is damaged");
    void *data = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return inspect_fail(argv[2], strerror(errno));
    int status = inspect(argv[2], slice_of(data, (size_t)stat.st_size));
    munmap(data, (size_t)stat.st_size);
    close(fd);
    return status;
}
