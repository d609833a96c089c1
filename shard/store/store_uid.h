/* The numbers of streams: a uid is a slot and a serial number in it, and is never given twice. Serial numbers are
 * written down late, when the journal loses the entry that has them: until then the journal says which were given. */
#ifndef SHARD_STORE_STORE_UID_H
#define SHARD_STORE_STORE_UID_H

#include "shard/store/store.h"

/* The next uid of a slot, whose serial number is to be this one (layout_serial_at()), or a later one. Never given
 * twice, also after a crash, if the stream's row or its entry in the journal is written in the same transaction. */
uint64_t store_next_uid(struct store *store, unsigned slot, uint64_t serial);
/* Recovery has found this uid in the journal: it was given. */
void store_uid_given(struct store *store, uint64_t uid);

/* Within the store: reads the serial numbers at the start; writes those that have to be written with this commit. */
void store_uid_load(struct store *store);
void store_uid_save(struct store *store);

#endif
