/* Marks: 64 bits that stand for a text (a project's name, a key) where only "is it the same?" is asked. They leave the
 * process: a router hands the marks of a reader's grant to the one that takes its place (WIRE_HANDED). */
#ifndef ROUTER_AUTH_MARK_H
#define ROUTER_AUTH_MARK_H

#include "common/hash.h"

static inline uint64_t auth_mark(struct slice text)
{
    return hash_add(HASH_SEED, text) | 1; /* never zero, which stands for "none" */
}

#endif
