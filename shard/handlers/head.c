/* HEAD: what a stream is, without its bytes. */
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/streams/condition.h"
#include "shard/streams/reply.h"

void on_head(struct shard *shard, struct asker asker, const struct wire_head *m)
{
    enum error error = ERR_NONE;
    struct detail detail = {0};
    struct stream *stream = streams_live(&shard->streams, m->name, shard->now_ms, &error);
    if (stream)
        error = condition_life(stream, &m->condition, &detail);
    /* After the lookup and instead of its error: 404 would tell a stranger which names exist. */
    if (reply_hides(stream, m->flags))
        error = ERR_UNAUTHORIZED;
    if (error != ERR_NONE) {
        reply_refuse_stream(shard, asker, error == ERR_UNAUTHORIZED ? NULL : stream, error, &detail);
        return;
    }
    struct wire_stream answer = reply_describe(shard, stream, m->id);
    reply_send(shard, asker, &answer);
}
