/* write: the limit of the disk. Writes --batch blocks of --size bytes to the end of a file, fdatasync, and again. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "tests/bench/clock.h"
#include "tests/bench/histogram.h"
#include "tests/bench/modes.h"
#include "tests/bench/streams.h"

static void write_all(int fd, struct slice block)
{
    while (block.len) {
        ssize_t n = write(fd, block.data, block.len);
        if (n < 0 && errno != EINTR)
            fatal("write");
        if (n > 0)
            block = slice_of(block.data + n, block.len - (size_t)n);
    }
}

/* The time of each fdatasync with its blocks after `from`, up to `until`; the time the last ended. */
static uint64_t write_blocks(int fd, struct slice block, unsigned batch, uint64_t from, uint64_t until,
                             struct histogram *latency)
{
    uint64_t before = clock_now();
    while (before < until) {
        for (unsigned i = 0; i < batch; i++)
            write_all(fd, block);
        if (fdatasync(fd) < 0)
            fatal("fdatasync");
        uint64_t after = clock_now();
        if (before >= from)
            histogram_add(latency, after - before);
        before = after;
    }
    return before;
}

static int open_file(const struct options *options)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/write-%d", options->dir, (int)getpid());
    if (n < 0 || n >= PATH_MAX)
        fatalx("--dir is too long");
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        fatal("%s", path);
    unlink(path); /* nothing is left, however this ends */
    return fd;
}

int write_mode(const struct options *options)
{
    static struct histogram latency;
    struct buf block = {0};
    streams_message(options, &block);
    int fd = open_file(options);
    uint64_t from = clock_now() + options->warmup_ms * CLOCK_MILLISECOND;
    uint64_t until = from + options->seconds * CLOCK_SECOND;
    uint64_t end = write_blocks(fd, buf_slice(&block), options->batch, from, until, &latency);
    printf("{\"mode\":\"write\",\"size\":%u,\"batch\":%u,\"blocks_per_s\":%.1f,", options->size, options->batch,
           (double)latency.count * options->batch / ((double)(end - from) / 1e9));
    histogram_print(&latency);
    printf("}\n");
    close(fd);
    buf_clear(&block);
    return 0;
}
