/* The output that waits to be written to a client: a queue of pieces of shared, refcounted blocks. An event that goes
 * to a thousand readers is one block with a thousand pieces. A block is memory, or a file that is sent without being
 * read.
 */
#ifndef ROUTER_CONN_OUTPUT_H
#define ROUTER_CONN_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

struct socket;

struct block {
    struct output_pool *pool;
    uint32_t refs;
    int fd; /* of a file, which has no data; or -1 */
    size_t len;
    uint64_t at; /* in the file */
    char data[];
};

struct piece {
    struct piece *next;
    struct block *block;
    size_t start, len;
};

/* What the outputs of the process have in common. Zeroed at the start. */
struct output_pool {
    struct piece *unused;
    size_t block_bytes; /* of all blocks that there are */
};

/* A block of len bytes to be filled in, with one reference that is the caller's. */
struct block *block_new(struct output_pool *pool, size_t len) MUSTUSE;
/* So many bytes of a file; takes the fd over. */
struct block *block_file(struct output_pool *pool, int fd, uint64_t at, size_t len) MUSTUSE;
struct block *block_copy(struct output_pool *pool, struct slice bytes) MUSTUSE;
void block_unref(struct block *block);

/* Zeroed at the start. */
struct output {
    struct piece *first, *last;
    size_t bytes;
};

/* Queues len bytes of a block from start and takes a reference of its own. */
void output_add(struct output *output, struct output_pool *pool, struct block *block, size_t start, size_t len);

/* Takes the last `bytes` bytes away, which are in the last piece, and not all of it. */
void output_shorten(struct output *output, size_t bytes);

enum output_result { OUTPUT_EMPTY, OUTPUT_PARTLY, OUTPUT_BLOCKED, OUTPUT_BROKEN };

/* Writes as much as the socket takes, or somewhat more than `most` bytes. EMPTY: all of it. PARTLY: the socket may take
 * more. BLOCKED: wait until it is writable. BROKEN: the client is gone. *written says how many bytes went. */
enum output_result output_write(struct output *output, struct output_pool *pool, const struct socket *socket,
                                size_t most, size_t *written) MUSTUSE;

void output_clear(struct output *output, struct output_pool *pool);

#endif
