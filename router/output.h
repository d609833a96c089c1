/* What waits to be written to a client: a queue of pieces of shared, refcounted blocks. An event that goes to a thousand
 * readers is one block with a thousand pieces. */
#ifndef ROUTER_OUTPUT_H
#define ROUTER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

struct block {
    uint32_t refs;
    size_t len;
    char data[];
};

/* A block of len bytes to be filled in, with one reference that is the caller's. */
struct block *block_new(size_t len) MUSTUSE;
struct block *block_copy(struct slice bytes) MUSTUSE;
void block_unref(struct block *block);

struct piece {
    struct piece *next;
    struct block *block;
    size_t start, len;
};

/* Pieces that are not in use, kept for all clients of the process. Zeroed at the start. */
struct piece_pool {
    struct piece *first;
};

/* Zeroed at the start. */
struct output {
    struct piece *first, *last;
    size_t bytes;
};

/* Queues len bytes of a block from start and takes a reference of its own. */
void output_add(struct output *output, struct piece_pool *pool, struct block *block, size_t start, size_t len);

enum output_result { OUTPUT_EMPTY, OUTPUT_BLOCKED, OUTPUT_BROKEN };

/* Writes as much as the socket takes. EMPTY: all of it. BLOCKED: wait until it is writable. BROKEN: the client is gone.
 * *moved says whether anything was written. */
enum output_result output_write(struct output *output, struct piece_pool *pool, int fd, bool *moved) MUSTUSE;

void output_clear(struct output *output, struct piece_pool *pool);

#endif
