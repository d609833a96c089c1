/* Entries of a stream follow one another, and the first one its row: an entry below `flushed` is dead and says nothing.
 * What the journal has said of each stream so far is kept in a temporary table (store_look_checks.h), because a journal
 * may have entries of more streams than fit into memory. */
#include "shard/tools/verify_journal.h"

#include <inttypes.h>

#include "common/layout.h"
#include "common/media_type.h"
#include "shard/store/entry.h"
#include "shard/store/extent.h"
#include "shard/store/store_look_checks.h"
#include "shard/store/store_look_journal.h"
#include "shard/store/store_look_rows.h"
#include "shard/store/store_stream.h"
#include "shard/tools/verify_context.h"
#include "shard/tools/verify_report.h"
#include "shard/tools/verify_rules.h"

/* The stream as the entries before this one have left it, or else as its row is. */
static struct fresh_stream verify_journal_fresh_of(struct journal_check *l, const struct journal_entry *entry)
{
    struct fresh_stream fresh;
    struct stream_row row;
    if (store_look_fresh(l->look, entry->uid, &fresh))
        return fresh;
    fresh = (struct fresh_stream){.uid = entry->uid};
    if (store_look_stream_at(l->look, entry->uid, &row) && row.state != STREAM_DELETING) {
        fresh.known = true;
        fresh.tail = row.flushed;
        fresh.json = stream_row_is_json(&row);
    } else if (entry->flags & ENTRY_CREATES) {
        fresh.known = true;
        fresh.json = (entry->flags & ENTRY_JSON) || media_type_is_application_json(entry->content_type);
        if (layout_slot(&l->v->layout, entry->name) != layout_slot_of_uid(entry->uid))
            verify_problem(l->v, "its number is not of its name's slot");
    }
    return fresh;
}

/* An entry below the tail is dead: its stream was flushed further, and the batch is only not dropped yet. */
static void verify_journal_entry(struct journal_check *l, const struct journal_entry *entry)
{
    struct fresh_stream fresh = verify_journal_fresh_of(l, entry);
    const struct extent extent = {
        .start = entry->start, .count = entry->count, .boundaries = entry->boundaries, .data = entry->data};
    struct verify_sum sum = {0};
    const char *why = NULL;
    if (entry->flags & ENTRY_DELETES) {
        fresh.gone = true;
    } else if (fresh.known && entry->start >= fresh.tail) {
        if (entry->start != fresh.tail)
            verify_problem(l->v, "the journal goes on at %" PRIu64 ", %" PRIu64 " was expected", entry->start,
                           fresh.tail);
        if (fresh.closed && entry->count)
            verify_problem(l->v, "the journal has an append at %" PRIu64 " after its end", entry->start);
        why = l->v->quick ? NULL : verify_extent(&extent, fresh.json, 0, &sum);
        fresh.tail = entry->start + entry->count;
        fresh.closed |= (entry->flags & ENTRY_CLOSES) != 0;
    }
    if (why)
        verify_problem(l->v, "the journal's append at %" PRIu64 ": %s", entry->start, why);
    store_look_fresh_put(l->look, &fresh);
}

void verify_batch(void *ctx, int64_t seq, struct slice heads, struct slice data)
{
    struct journal_check *l = ctx;
    struct journal_entry entry = {0};
    bool good = true;
    if (seq != l->last + 1)
        verify_problem(l->v, "batch %" PRId64 " of the journal is missing", l->last + 1);
    l->last = seq;
    l->batches++;
    while (good && heads.len) {
        entry =
            (struct journal_entry){.boundaries = entry.boundaries, .data = entry.data}; /* these stay with ENTRY_SAME */
        good = entry_take(&heads, &data, &entry);
        if (!good)
            break; /* entries have no frame of their own: behind a damaged head none can be found */
        l->v->uid = entry.uid;
        verify_journal_entry(l, &entry);
    }
    l->v->uid = 0;
    if (!good || data.len)
        verify_problem(l->v, "batch %" PRId64 " of the journal is damaged", seq);
}
