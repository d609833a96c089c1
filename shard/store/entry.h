/* How a batch spells its appends: all that recovery needs of one is its head, in varints; its marks and data lie
 * beside. */
#ifndef SHARD_STORE_ENTRY_H
#define SHARD_STORE_ENTRY_H

#include "shard/store/store.h"

/* Adds the entry's head: uid, start, count, flags, lengths of marks and data, then what its flags say is there. */
void entry_add(struct buf *heads, const struct journal_entry *entry);

/* Takes one entry off the front of *heads, and its marks and data off the front of *data; its slices point into both.
 * The time and the batch are left alone, and with ENTRY_SAME the marks and data too: they are those of the entry
 * before. False: they are damaged. */
bool entry_take(struct slice *heads, struct slice *data, struct journal_entry *entry) MUSTUSE;

#endif
