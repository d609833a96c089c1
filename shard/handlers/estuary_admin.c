/* What an owner does with an estuary that is there: look, touch (keep it alive), delete. A stream is an estuary once
 * something was subscribed for it; only those that a subscription made expire by estuary.ttl. Subscribing itself is
 * subscribe.c. */
#include "shard/handlers/estuary_admin.h"

#include <stdio.h>
#include <time.h>

#include "shard/handlers/delete.h"
#include "shard/handlers/names.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/disk.h"
#include "shard/store/store.h"
#include "shard/store/store_fanout.h"
#include "shard/store/store_stream.h"

/* The expiry is kept twice: as a number for the index of deadlines, as a text (RFC 3339) for answers. */
void estuary_admin_renew(struct shard *shard, struct stream *stream)
{
    char expires[40];
    struct tm tm;
    if (!(stream->row.kind & STREAM_KIND_OWNED))
        return;
    stream->row.expires_ms = shard->now_ms + shard->cfg->estuary_ttl;
    time_t seconds = (time_t)(stream->row.expires_ms / 1000);
    gmtime_r(&seconds, &tm);
    size_t len = strftime(expires, sizeof expires, "%Y-%m-%dT%H:%M:%S", &tm);
    len += (size_t)snprintf(expires + len, sizeof expires - len, ".%03uZ", (unsigned)(stream->row.expires_ms % 1000));
    stream_set_expiry_text(stream, slice_of(expires, len));
    store_stream_set_kind(shard->store, &stream->row);
}

void estuary_admin_answer(struct shard *shard, struct asker asker, const struct wire_estuary_state *m)
{
    struct buf *out = asker_out(&shard->peers, asker);
    if (!out)
        return;
    asker_time(out, asker);
    wire_put_estuary_state(out, m);
}

void estuary_admin_refuse(struct shard *shard, struct asker asker, enum error error)
{
    estuary_admin_answer(shard, asker, &(struct wire_estuary_state){.id = asker.id, .error = (uint8_t)error});
}

static void estuary_admin_note_source(void *ctx, const struct subscription_row *row, struct slice name)
{
    if (row->until == STORE_NONE && row->from != STORE_NONE)
        names_add(ctx, name);
}

void on_estuary(struct shard *shard, struct asker asker, const struct wire_estuary *m)
{
    enum error error = ERR_NONE;
    struct stream *stream = streams_live(&shard->streams, m->name, shard->now_ms, &error);
    struct buf names = {0};
    if (!stream && m->what >= WIRE_ESTUARY_DELETE) {
        estuary_admin_refuse(shard, asker, ERR_NONE); /* as good as deleted */
        return;
    }
    if (!stream || !(stream->row.kind & STREAM_KIND_ESTUARY)) {
        estuary_admin_refuse(shard, asker, ERR_ESTUARY_NOT_FOUND);
        return;
    }
    if (m->what == WIRE_ESTUARY_DELETE_OWNED && !(stream->row.kind & STREAM_KIND_OWNED)) {
        estuary_admin_refuse(shard, asker, ERR_FORBIDDEN);
        return;
    }
    if (shard->disk.stuck && m->what != WIRE_ESTUARY_LOOK) {
        estuary_admin_refuse(shard, asker, ERR_INSUFFICIENT_STORAGE);
        return;
    }
    if (m->what >= WIRE_ESTUARY_DELETE) {
        delete_stream(shard, stream);
        estuary_admin_refuse(shard, asker, ERR_NONE);
        return;
    }
    if (m->what == WIRE_ESTUARY_TOUCH)
        estuary_admin_renew(shard, stream);
    else
        store_sources_of(shard->store, stream->row.uid, estuary_admin_note_source, &names);
    estuary_admin_answer(shard, asker,
                         &(struct wire_estuary_state){
                             .id = asker.id,
                             .expires_ms = stream->row.expires_ms,
                             .content_type = stream->row.content_type,
                             .sources = buf_slice(&names),
                         });
    buf_clear(&names);
}
