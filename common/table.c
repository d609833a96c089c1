/* A hash table whose members carry their own node and key (intrusive): chains of nodes from an array of buckets.
 *
 *     buckets[hash & mask] -> node -> node -> NULL        SipHash-2-4 of the key, with a secret of this table
 *
 * The secret is random, so a client that chooses names cannot make them collide. A table doubles when it has as many
 * members as buckets, so a bucket has about one. Doubling moves all members at once: a million of them take some ten
 * milliseconds, and each is moved twice on average in its table's life. The table never shrinks, and it owns only
 * the buckets. */
#include "common/table.h"

#include <sodium/crypto_shorthash.h>
#include <stdlib.h>
#include <sys/random.h>

#include "common/log.h"
#include "common/mem.h"

#define TABLE_FIRST 16 /* buckets; a power of two, as every later size is */

_Static_assert(sizeof((struct table *)0)->secret == crypto_shorthash_KEYBYTES, "the secret is the hash's key");

static struct table_node **table_bucket(const struct table *table, struct slice key)
{
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key.data, key.len, table->secret);
    return &table->buckets[hash & table->mask];
}

void table_init(struct table *table, table_key *key)
{
    *table = (struct table){.key = key};
    if (getrandom(table->secret, sizeof table->secret, 0) != (ssize_t)sizeof table->secret)
        fatal("getrandom");
}

void table_clear(struct table *table)
{
    free(table->buckets);
    table->buckets = NULL;
    table->mask = table->count = 0;
}

struct table_node *table_find(const struct table *table, struct slice key)
{
    if (!table->buckets)
        return NULL;
    struct table_node *node = *table_bucket(table, key);
    while (node && !slice_equal(table->key(node), key))
        node = node->next;
    return node;
}

/* Members do not keep their hash (8 bytes each): growing and stepping compute it from the key again. */
static void table_push(struct table *table, struct table_node *node)
{
    struct table_node **bucket = table_bucket(table, table->key(node));
    node->next = *bucket;
    *bucket = node;
}

static void table_grow(struct table *table)
{
    struct table_node **old = table->buckets;
    size_t size = old ? table->mask + 1 : 0;
    table->mask = size ? size * 2 - 1 : TABLE_FIRST - 1;
    table->buckets = xcalloc(table->mask + 1, sizeof *table->buckets);
    for (size_t i = 0; i < size; i++)
        for (struct table_node *node = old[i], *next; node; node = next) {
            next = node->next;
            table_push(table, node);
        }
    free(old);
}

void table_add(struct table *table, struct table_node *node)
{
    if (!table->buckets || table->count > table->mask)
        table_grow(table);
    table_push(table, node);
    table->count++;
}

void table_remove(struct table *table, struct table_node *node)
{
    struct table_node **at = table_bucket(table, table->key(node));
    /* The node must be in this table, under the key that it had when it was added; otherwise the walk would run past
     * the end of the chain. */
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->next = NULL;
    table->count--;
}

struct table_node *table_next(const struct table *table, const struct table_node *after)
{
    if (after && after->next)
        return after->next;
    if (!table->buckets)
        return NULL;
    size_t i = after ? (size_t)(table_bucket(table, table->key(after)) - table->buckets) + 1 : 0;
    for (; i <= table->mask; i++)
        if (table->buckets[i])
            return table->buckets[i];
    return NULL;
}
