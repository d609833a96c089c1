#include "shard/list.h"

#include "shard/verbs.h"

#define LOOKED_MAX 2000                /* streams looked at in one turn: also those that are not shown */
#define ROWS_BYTES ((size_t)256 << 10) /* no new one is added to more than this */

struct list {
    struct shard *shard;
    const struct wire_list *m;
    struct stream *unwritten; /* the next of those that are only in the log */
    struct buf rows, upto;
    unsigned shown, looked;
    bool over; /* all of it was looked at, or as much as may be */
    bool more; /* the latter */
};

struct wire_listed_stream list_facts(const struct stream_row *row, const struct stream *stream)
{
    return (struct wire_listed_stream){
        .name = row->name,
        .content_type = row->content_type,
        .flags = (row->closed ? WIRE_STREAM_CLOSED : 0) | (row->ttl_s != STORE_NONE ? WIRE_STREAM_TTL : 0) |
                 (row->expires_ms != STORE_NONE ? WIRE_STREAM_EXPIRES : 0) | (row->is_public ? WIRE_STREAM_PUBLIC : 0) |
                 (row->kind & STREAM_KIND_ESTUARY ? WIRE_LISTED_ESTUARY : 0) |
                 (row->source_uid != STORE_NONE ? WIRE_LISTED_FORK : 0),
        .uid = row->uid,
        .earliest = row->earliest,
        .tail = stream ? stream->tail : row->settled,
        .bytes = stream ? stream->bytes : row->bytes,
        .ttl_s = row->ttl_s,
        .expires_text = row->expires_text,
        .retention_s = row->retention_s,
        .retention_bytes = row->retention_bytes,
    };
}

static bool is_there(const struct list *list, const struct stream_row *row, const struct stream *stream)
{
    uint64_t now = list->shard->now_ms;
    if (row->state != STREAM_LIVE)
        return false;
    return stream_row_deadline(row) > now || (stream && stream->watcher_count);
}

/* False: nothing more is wanted. */
static bool look(struct list *list, const struct stream_row *row, const struct stream *stream)
{
    const struct wire_list *m = list->m;
    if (!slice_begins(row->name, m->prefix) || (m->until.len && slice_compare(row->name, m->until) > 0)) {
        list->over = true;
        return false;
    }
    if (list->shown >= m->limit || list->looked >= LOOKED_MAX || buf_len(&list->rows) > ROWS_BYTES) {
        list->over = list->more = true;
        return false;
    }
    list->looked++;
    buf_reset(&list->upto);
    buf_add_slice(&list->upto, row->name);
    if (!is_there(list, row, stream))
        return true;
    const struct wire_listed_stream facts = list_facts(row, stream);
    wire_put_listed_stream(&list->rows, &facts);
    list->shown++;
    return true;
}

static void next_unwritten(struct list *list)
{
    struct buf behind = {0}; /* no name has a NUL, so this is the least that is behind it */
    buf_add_slice(&behind, list->unwritten->row.name);
    buf_add_byte(&behind, 0);
    list->unwritten = unwritten_from(&list->shard->streams.unwritten, buf_slice(&behind));
    buf_clear(&behind);
}

/* Those before `name`; NULL: all that are left. */
static bool look_at_unwritten(struct list *list, const struct slice *name)
{
    while (list->unwritten && (!name || slice_compare(list->unwritten->row.name, *name) < 0)) {
        if (!look(list, &list->unwritten->row, list->unwritten))
            return false;
        next_unwritten(list);
    }
    return true;
}

static bool on_row(void *ctx, const struct stream_row *row)
{
    struct list *list = ctx;
    if (!look_at_unwritten(list, &row->name))
        return false;
    const struct stream *stream = streams_peek(&list->shard->streams, row->name);
    return look(list, stream ? &stream->row : row, stream);
}

void handle_list(struct shard *shard, struct asker asker, const struct wire_list *m)
{
    struct list list = {.shard = shard, .m = m, .unwritten = unwritten_from(&shard->streams.unwritten, m->from)};
    struct buf *out = asker_out(shard, asker);
    store_streams_from(shard->store, m->from, on_row, &list);
    if (!list.over)
        (void)look_at_unwritten(&list, NULL);
    shard->turn_read += buf_len(&list.rows);
    if (out)
        wire_put_listed(out, &(struct wire_listed){
                                 .id = asker.id,
                                 .flags = list.more ? WIRE_LISTED_MORE : 0,
                                 .upto = buf_slice(&list.upto),
                                 .rows = buf_slice(&list.rows),
                             });
    buf_clear(&list.rows);
    buf_clear(&list.upto);
}
