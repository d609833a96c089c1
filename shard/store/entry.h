/* An entry of the journal, and how a batch spells it: its head in varints, which is all that recovery needs; its
 * boundaries and data lie beside. */
#ifndef SHARD_STORE_ENTRY_H
#define SHARD_STORE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

struct batch;
struct buf;

#define ENTRY_CLOSES 1u
#define ENTRY_STREAM_SEQ 2u
#define ENTRY_PRODUCER 4u
#define ENTRY_CREATES 8u  /* the stream begins with this entry */
#define ENTRY_DELETES 16u /* the stream is gone: every other entry of it is dead */
#define ENTRY_PUBLIC 32u  /* with ENTRY_CREATES */
#define ENTRY_SHARED 64u  /* the same bytes go to several streams: chunks refer to them */
#define ENTRY_SAME 128u   /* with ENTRY_SHARED: the bytes are those of the entry before this one */
#define ENTRY_JSON 256u   /* with ENTRY_CREATES: the stream holds JSON messages (STREAM_KIND_JSON) */
#define ENTRY_FLAGS                                                                                                    \
    (ENTRY_CLOSES | ENTRY_STREAM_SEQ | ENTRY_PRODUCER | ENTRY_CREATES | ENTRY_DELETES | ENTRY_PUBLIC | ENTRY_SHARED |  \
     ENTRY_SAME | ENTRY_JSON)

/* One append; or the beginning of a stream, perhaps with its first bytes; or the end of one. */
struct journal_entry {
    uint64_t uid, start, count, time_ms;
    unsigned flags;          /* ENTRY_* */
    struct slice stream_seq; /* with ENTRY_STREAM_SEQ */
    struct slice producer;   /* with ENTRY_PRODUCER, as are the next two */
    uint64_t epoch, producer_seq;
    /* with ENTRY_CREATES; the expiry as in struct stream_row */
    struct slice name, content_type, expires_text, reader_key;
    uint64_t ttl_s, expires_ms, retention_s, retention_bytes;
    struct slice boundaries; /* empty: one message that is one append */
    struct slice data;
    /* set by the journal: where the bytes lie; the batch is borrowed */
    struct batch *batch;
    size_t at; /* in batch->data: boundaries, then data */
};

/* Adds the entry's head: uid, start, count, flags, lengths of boundaries and data, then what its flags say is there. */
void entry_add(struct buf *heads, const struct journal_entry *entry);

/* Takes one entry off the front of *heads, and its boundaries and data off the front of *data; its slices point into
 * both. Leaves the time and the batch alone, and with ENTRY_SAME the boundaries and data too, which are those of the
 * entry before. False: they are damaged. */
bool entry_take(struct slice *heads, struct slice *data, struct journal_entry *entry) MUSTUSE;

#endif
