/* A listing merges two orders of names: the rows in the store, and the streams whose rows are only in the journal
 * (shard/streams/unflushed.h). Memory is newer than a row where both have the stream.
 *
 *     store:      a/1     a/3     a/7 ...       one query, row by row
 *     unflushed:      a/2     a/4     a/9 ...   a tree that is put in order when a listing wants it
 *     page:       a/1 a/2 a/3 a/4 a/7 a/9       until `limit` are shown or LOOKED_MAX were looked at
 *
 * New streams get into order SORTED_MIN a turn, so that a listing after a million creates does not stop the shard; the
 * listings wait meanwhile. An expired stream is not shown, but it was looked at, so a page can be empty and not the
 * last: `upto` says how far it came. */
#include "shard/handlers/listing.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/store.h"
#include "shard/store/store_stream.h"

#define SORTED_MIN 2000 /* new streams that a turn brings into order */
#define LOOKED_MAX 2000 /* streams looked at for one page, or in one turn: also those that are not shown */
#define ROWS_BYTES ((size_t)256 << 10) /* no new one is added to more than this */

struct listing {
    struct shard *shard;
    const struct wire_list *m;
    struct stream *unflushed; /* the next of those that are only in the journal */
    struct buf rows, upto;
    unsigned shown, looked;
    bool over; /* all of it was looked at, or as much as may be */
    bool more; /* the latter */
};

/* room: for the lives of a stream that is not in memory. */
struct wire_listed_stream listing_facts(const struct stream_row *row, const struct stream *stream, char room[LIVES_ONE])
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
        .tail = stream ? stream->tail : row->flushed,
        .bytes = stream ? stream->bytes : row->bytes,
        .ttl_s = row->ttl_s,
        .expires_text = row->expires_text,
        .retention_s = row->retention_s,
        .retention_bytes = row->retention_bytes,
        .lives = stream_row_lives(row, room),
    };
}

static bool listing_is_there(const struct listing *list, const struct stream_row *row, const struct stream *stream)
{
    uint64_t now = list->shard->now_ms;
    if (row->state != STREAM_LIVE)
        return false;
    return stream_row_deadline(row) > now || (stream && stream->watcher_count);
}

/* False: nothing more is wanted. */
static bool listing_look(struct listing *list, const struct stream_row *row, const struct stream *stream)
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
    if (!listing_is_there(list, row, stream))
        return true;
    char room[LIVES_ONE];
    const struct wire_listed_stream facts = listing_facts(row, stream, room);
    wire_put_listed_stream(&list->rows, &facts);
    list->shown++;
    return true;
}

static void listing_next_unflushed(struct listing *list)
{
    struct buf behind = {0}; /* no name has a NUL, so this is the least that is behind it */
    buf_add_slice(&behind, list->unflushed->row.name);
    buf_add_byte(&behind, 0);
    list->unflushed = unflushed_from(&list->shard->streams.unflushed, buf_slice(&behind));
    buf_clear(&behind);
}

/* Adds the unflushed streams before `name`; NULL: all that are left. */
static bool listing_look_at_unflushed(struct listing *list, const struct slice *name)
{
    while (list->unflushed && (!name || slice_compare(list->unflushed->row.name, *name) < 0)) {
        if (!listing_look(list, &list->unflushed->row, list->unflushed))
            return false;
        listing_next_unflushed(list);
    }
    return true;
}

static bool listing_on_row(void *ctx, const struct stream_row *row)
{
    struct listing *list = ctx;
    if (!listing_look_at_unflushed(list, &row->name))
        return false;
    const struct stream *stream = streams_peek(&list->shard->streams, row->name);
    return listing_look(list, stream ? &stream->row : row, stream);
}

/* Returns how many streams it has looked at. */
static unsigned listing_answer(struct shard *shard, struct asker asker, const struct wire_list *m)
{
    struct listing list = {.shard = shard, .m = m, .unflushed = unflushed_from(&shard->streams.unflushed, m->from)};
    struct buf *out = asker_out(&shard->peers, asker);
    store_streams_from(shard->store, m->from, listing_on_row, &list);
    if (!list.over)
        (void)listing_look_at_unflushed(&list, NULL);
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
    return list.looked;
}

/* ---- waiting for new streams to be in order, and for listings before it ---- */

struct waiting_list {
    struct list link; /* of shard->waiting_lists */
    struct asker asker;
    struct buf request; /* the LIST frame */
};

static struct wire_list listing_request_of(const struct waiting_list *waiting)
{
    struct wire_list m;
    struct slice frame = buf_slice(&waiting->request), body;
    if (!wire_take(&frame, WIRE_LIST, &body) || !wire_get_list(body, &m))
        fatalx("a request kept for a listing does not read back");
    return m;
}

static void listing_waiting_free(struct waiting_list *waiting)
{
    list_remove(&waiting->link);
    buf_clear(&waiting->request);
    free(waiting);
}

void listing_init(struct shard *shard)
{
    list_init(&shard->waiting_lists);
}

void on_list(struct shard *shard, struct asker asker, const struct wire_list *m)
{
    struct waiting_list *waiting = xcalloc(1, sizeof *waiting);
    waiting->asker = asker;
    wire_put_list(&waiting->request, m);
    list_add_last(&shard->waiting_lists, &waiting->link);
}

/* Twice as many streams get into order as this turn may have made, so the order is reached. */
void listing_turn(struct shard *shard)
{
    unsigned looked = 0;
    if (list_empty(&shard->waiting_lists))
        return;
    bool sorted = unflushed_sort(&shard->streams.unflushed, SORTED_MIN + 2 * shard->turn_appends);
    while (sorted && !list_empty(&shard->waiting_lists) && looked < LOOKED_MAX) {
        struct waiting_list *waiting = LIST_OWNER(shard->waiting_lists.next, struct waiting_list, link);
        const struct wire_list m = listing_request_of(waiting);
        looked += listing_answer(shard, waiting->asker, &m);
        listing_waiting_free(waiting);
    }
    if (!list_empty(&shard->waiting_lists))
        shard->turn_again = true;
}

void listing_clear(struct shard *shard)
{
    while (!list_empty(&shard->waiting_lists))
        listing_waiting_free(LIST_OWNER(shard->waiting_lists.next, struct waiting_list, link));
}
