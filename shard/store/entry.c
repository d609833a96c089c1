/* Heads of entries in varints. A batch has all heads in one blob and all bytes in another:
 *
 *     heads   uid start count flags [boundaries-length data-length] [stream-seq] [producer epoch seq] [creation] ...
 *     data    boundaries data boundaries data ...
 *
 * Example: "hello", appended to uid 7 at position 100, has the head 7 100 5 0 0 5, and five bytes in data. An entry
 * with ENTRY_SAME has no lengths: recovery gives it the bytes of the entry before it. Optional fields follow in the
 * order above, each announced by a flag. The format is data on disk, so a new field needs a new flag.
 *
 * Failure modes: entry_take() refuses a length beyond the blob, an unknown flag, a varint that is not in its shortest
 * form, and an ENTRY_SAME without an entry before it. A recovery then ends the process; verify reports the batch. */
#include "shard/store/entry.h"

#include "common/buf.h"
#include "common/varint.h"
#include "shard/store/store.h"

static void entry_add_text(struct buf *heads, struct slice text)
{
    varint_add(heads, text.len);
    buf_add_slice(heads, text);
}

void entry_add(struct buf *heads, const struct journal_entry *e)
{
    varint_add(heads, e->uid);
    varint_add(heads, e->start);
    varint_add(heads, e->count);
    varint_add(heads, e->flags);
    if (!(e->flags & ENTRY_SAME)) {
        varint_add(heads, e->boundaries.len);
        varint_add(heads, e->data.len);
    }
    if (e->flags & ENTRY_STREAM_SEQ)
        entry_add_text(heads, e->stream_seq);
    if (e->flags & ENTRY_PRODUCER) {
        entry_add_text(heads, e->producer);
        varint_add(heads, e->epoch);
        varint_add(heads, e->producer_seq);
    }
    if (e->flags & ENTRY_CREATES) {
        entry_add_text(heads, e->name);
        entry_add_text(heads, e->content_type);
        entry_add_text(heads, e->expires_text);
        entry_add_text(heads, e->reader_key);
        varint_add(heads, e->ttl_s + 1); /* STORE_NONE becomes 0 */
        varint_add(heads, e->expires_ms + 1);
        varint_add(heads, e->retention_s);
        varint_add(heads, e->retention_bytes);
    }
}

/* Takes len bytes off the front of *in. */
static bool entry_take_bytes(struct slice *in, uint64_t len, struct slice *bytes)
{
    if (len > in->len)
        return false;
    *bytes = slice_of(in->data, (size_t)len);
    *in = slice_from(*in, (size_t)len);
    return true;
}

static bool entry_take_text(struct slice *heads, struct slice *text)
{
    uint64_t len;
    return varint_take(heads, &len) && entry_take_bytes(heads, len, text);
}

static bool entry_take_created(struct slice *heads, struct journal_entry *e)
{
    if (!entry_take_text(heads, &e->name) || !entry_take_text(heads, &e->content_type) ||
        !entry_take_text(heads, &e->expires_text) || !entry_take_text(heads, &e->reader_key) ||
        !varint_take(heads, &e->ttl_s) || !varint_take(heads, &e->expires_ms) || !varint_take(heads, &e->retention_s) ||
        !varint_take(heads, &e->retention_bytes))
        return false;
    e->ttl_s--;
    e->expires_ms--;
    return true;
}

static bool entry_take_data(struct slice *heads, struct slice *data, struct journal_entry *e)
{
    uint64_t boundaries_len, data_len;
    return varint_take(heads, &boundaries_len) && varint_take(heads, &data_len) &&
           entry_take_bytes(data, boundaries_len, &e->boundaries) && entry_take_bytes(data, data_len, &e->data);
}

/* Heads come from the disk: lengths are checked against what is there, and unknown flags are damage. */
bool entry_take(struct slice *heads, struct slice *data, struct journal_entry *e)
{
    uint64_t flags;
    if (!varint_take(heads, &e->uid) || !varint_take(heads, &e->start) || !varint_take(heads, &e->count) ||
        !varint_take(heads, &flags) || flags > ENTRY_FLAGS)
        return false;
    e->flags = (unsigned)flags;
    /* The caller leaves the slices of the entry before in *e; a first entry has none to share. */
    if ((flags & ENTRY_SAME) ? !e->data.data : !entry_take_data(heads, data, e))
        return false;
    if ((flags & ENTRY_STREAM_SEQ) && !entry_take_text(heads, &e->stream_seq))
        return false;
    if ((flags & ENTRY_PRODUCER) && !(entry_take_text(heads, &e->producer) && varint_take(heads, &e->epoch) &&
                                      varint_take(heads, &e->producer_seq)))
        return false;
    return !(flags & ENTRY_CREATES) || entry_take_created(heads, e);
}
