/* The conditions of a request. */
#include "shard/streams/condition.h"

#include <inttypes.h>

#include "common/lives.h"
#include "shard/streams/stream.h"

bool condition_tail(const struct stream *stream, const struct wire_condition *condition)
{
    struct offset asked = condition->offset;
    struct offset tail = stream_offset(stream, stream->tail);
    if (!(condition->flags & (WIRE_IF_TAIL | WIRE_IF_EXPECTED)))
        return true;
    if (condition->flags & WIRE_IF_READ)
        tail.life = lives_newest(stream_lives(stream)).life;
    else if (!asked.life && !asked.position)
        return !stream->tail;
    return asked.life == tail.life && asked.position == tail.position;
}

enum error condition_life(const struct stream *stream, const struct wire_condition *condition, struct detail *detail)
{
    uint64_t life = lives_newest(stream_lives(stream)).life;
    if (!(condition->flags & WIRE_IF_LIFE) || condition->life == life)
        return ERR_NONE;
    return detail_say(detail, ERR_PRECONDITION_FAILED,
                      "the stream's Stream-Incarnation is %" PRIu64 ", not %" PRIu64 "; nothing was done", life,
                      condition->life);
}

enum error condition_there(const struct stream *stream, const struct wire_condition *condition, struct detail *detail)
{
    char text[OFFSET_LEN];
    enum error error = condition_life(stream, condition, detail);
    if (error != ERR_NONE)
        return error;
    if (condition->flags & WIRE_IF_ABSENT)
        return detail_say(detail, ERR_PRECONDITION_FAILED,
                          "the stream exists, and If-None-Match: * asks that it does not; nothing was done");
    if (!(condition->flags & WIRE_IF_TAIL) || condition_tail(stream, condition))
        return ERR_NONE;
    offset_print(text, stream_offset(stream, stream->tail));
    return detail_say(detail, ERR_PRECONDITION_FAILED,
                      "the stream's tail is %.*s, which is not what If-Match names; nothing was done", OFFSET_LEN,
                      text);
}

enum error condition_absent(const struct wire_condition *condition, struct detail *detail)
{
    bool life = condition->flags & WIRE_IF_LIFE;
    if (!life && !(condition->flags & (WIRE_IF_TAIL | WIRE_IF_THERE)))
        return ERR_NONE;
    return detail_say(detail, ERR_PRECONDITION_FAILED, "there is no such stream, and %s asks for one; nothing was done",
                      life ? "Stream-Incarnation" : "If-Match");
}
