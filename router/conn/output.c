/* A block is shared and counted by reference; a piece belongs to one client and is its place in a block:
 *
 *     client A: piece [0, 812)   --.
 *     client B: piece [300, 812) ---+--> block, refs 3, 812 bytes      B has taken 300 bytes so far
 *     client C: piece [0, 812)   --'
 *
 * So an event to a thousand readers is one block and a thousand pieces, which come from a list of unused ones: no copy,
 * and mostly no allocation. block_bytes counts a block once, however many clients wait for it.
 *
 * Failure modes: The socket is full: BLOCKED, and the rest stays queued. The socket or the file is broken: BROKEN; a
 * file that is shorter than its block cannot be made up for, because the head has promised the length. */
#include "router/conn/output.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "router/conn/socket.h"

#define PIECES_A_WRITE 64

struct block *block_new(struct output_pool *pool, size_t len)
{
    struct block *block = xmalloc(sizeof *block + len);
    block->pool = pool;
    block->refs = 1;
    block->fd = -1;
    block->len = len;
    pool->block_bytes += len;
    return block;
}

struct block *block_file(struct output_pool *pool, int fd, uint64_t at, size_t len)
{
    struct block *block = xmalloc(sizeof *block);
    *block = (struct block){.pool = pool, .refs = 1, .fd = fd, .at = at, .len = len};
    pool->block_bytes += len;
    return block;
}

struct block *block_copy(struct output_pool *pool, struct slice bytes)
{
    struct block *block = block_new(pool, bytes.len);
    if (bytes.len)
        memcpy(block->data, bytes.data, bytes.len);
    return block;
}

void block_unref(struct block *block)
{
    if (!block || --block->refs)
        return;
    block->pool->block_bytes -= block->len;
    if (block->fd >= 0)
        close(block->fd);
    free(block);
}

void output_add(struct output *output, struct output_pool *pool, struct block *block, size_t start, size_t len)
{
    struct piece *piece = pool->unused;
    if (!len) /* sending 0 bytes returns 0, which looks like a broken socket */
        return;
    if (piece)
        pool->unused = piece->next;
    else
        piece = xmalloc(sizeof *piece);
    block->refs++;
    *piece = (struct piece){.block = block, .start = start, .len = len};
    if (output->last)
        output->last->next = piece;
    else
        output->first = piece;
    output->last = piece;
    output->bytes += len;
}

void output_shorten(struct output *output, size_t bytes)
{
    output->last->len -= bytes;
    output->bytes -= bytes;
}

static void output_drop_first(struct output *output, struct output_pool *pool)
{
    struct piece *piece = output->first;
    output->first = piece->next;
    if (!output->first)
        output->last = NULL;
    output->bytes -= piece->len;
    block_unref(piece->block);
    piece->next = pool->unused;
    pool->unused = piece;
}

static void output_drop_written(struct output *output, struct output_pool *pool, size_t written)
{
    while (output->first && written >= output->first->len) {
        written -= output->first->len;
        output_drop_first(output, pool);
    }
    if (!written)
        return;
    output->first->start += written;
    output->first->len -= written;
    output->bytes -= written;
}

/* Sends the pieces of memory up to the next file in one call. MSG_MORE holds the last packet back if more follows. */
static ssize_t output_write_memory(const struct output *output, const struct socket *socket)
{
    struct iovec pieces[PIECES_A_WRITE];
    size_t count = 0;
    const struct piece *p = output->first;
    for (; p && p->block->fd < 0 && count < PIECES_A_WRITE; p = p->next)
        pieces[count++] = (struct iovec){p->block->data + p->start, p->len};
    return socket_send(socket, pieces, count, p != NULL);
}

static ssize_t output_write_some(const struct output *output, const struct socket *socket, size_t most)
{
    const struct piece *first = output->first;
    const struct block *block = first->block;
    if (block->fd < 0)
        return output_write_memory(output, socket);
    return socket_send_file(socket, block->fd, block->at + first->start, first->len < most ? first->len : most);
}

enum output_result output_write(struct output *output, struct output_pool *pool, const struct socket *socket,
                                size_t most, size_t *written)
{
    *written = 0;
    while (output->first) {
        if (*written >= most)
            return OUTPUT_PARTLY;
        ssize_t n = output_write_some(output, socket, most - *written);
        if (n > 0) {
            output_drop_written(output, pool, (size_t)n);
            *written += (size_t)n;
            continue;
        }
        if (n == 0)
            return OUTPUT_BROKEN; /* the file is shorter than it was said to be */
        if (n < 0 && errno == EINTR)
            continue;
        return n < 0 && errno != EAGAIN && errno != EWOULDBLOCK ? OUTPUT_BROKEN : OUTPUT_BLOCKED;
    }
    return OUTPUT_EMPTY;
}

void output_clear(struct output *output, struct output_pool *pool)
{
    while (output->first)
        output_drop_first(output, pool);
}
