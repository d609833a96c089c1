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

enum error body_take_value(struct body *body, struct slice value, bool json, struct detail *detail)
{
    if (json)
        return body_take(body, value, json, detail);
    if (!json_unquote(value, &body->messages))
        return detail_say(detail, ERR_INVALID_BATCH,
                          "the stream holds bytes: data must be a JSON string of whole characters, or use dataBase64");
    body->data = buf_slice(&body->messages);
    body->count = body->data.len;
    return ERR_NONE;
}

void body_clear(struct body *body)
{
    buf_clear(&body->messages);
    buf_clear(&body->lengths);
}
