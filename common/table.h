/* The one hash table: growing, chained, intrusive. A member embeds a struct table_node, one pointer; the table owns its
 * buckets only.
 *
 * Its hash is keyed (SipHash-2-4 with 128 random bits a table), so whoever chooses names cannot choose buckets: a table
 * of names that clients give stays as fast as one of random names. Nothing on disk or between processes depends on it.
 */
#ifndef COMMON_TABLE_H
#define COMMON_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"

struct table_node {
    struct table_node *next; /* in its bucket */
};

/* A member's own key, as bytes that live as long as the member; two members never have the same. */
typedef struct slice table_key(const struct table_node *node);

struct table {
    struct table_node **buckets; /* mask + 1 of them; NULL: the table is empty and has not grown yet */
    size_t mask, count;
    table_key *key;
    uint8_t secret[16];
};

/* The struct of a type that embeds `node` as its field `member`. */
#define TABLE_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void table_init(struct table *table, table_key *key);

/* Frees the buckets. Members are the caller's. The table can be used again. */
void table_clear(struct table *table);

/* The member with this key, or NULL. */
struct table_node *table_find(const struct table *table, struct slice key);

/* Adds a member, whose key no other has. The node is on no table. */
void table_add(struct table *table, struct table_node *node);

/* Removes a member. Its key must be readable still. The table never shrinks. */
void table_remove(struct table *table, struct table_node *node);

/* Walks all members in no order: NULL begins, NULL ends. O(1) amortised over a walk. The table may not change
 * meanwhile, except that `after` may be removed once the next one is known. */
struct table_node *table_next(const struct table *table, const struct table_node *after);

/* The key of a number: its bytes. It lives as long as the number. */
static inline struct slice table_number(const uint64_t *number)
{
    return slice_of((const char *)number, sizeof *number);
}

#endif
