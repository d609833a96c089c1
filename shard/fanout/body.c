#include "shard/fanout/body.h"

#include "common/json.h"

enum error body_take(struct body *body, struct slice bytes, bool json, struct detail *detail)
{
    body->data = bytes;
    body->count = bytes.len;
    if (!json || !bytes.len)
        return ERR_NONE;
    if (!json_messages(bytes, &body->messages, &body->lengths, &body->count, detail))
        return ERR_INVALID_JSON;
    body->data = buf_slice(&body->messages);
    if (body->count > 1)
        body->boundaries = buf_slice(&body->lengths);
    return ERR_NONE;
}

void body_clear(struct body *body)
{
    buf_clear(&body->messages);
    buf_clear(&body->lengths);
}
