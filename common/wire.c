/* All encoders and decoders, made from wire.def: nobody writes a frame by hand.
 *
 *     | u32 size | u8 type | fields in the order of wire.def ... |        little-endian; size counts type and fields
 *                            u8, u32, u64 as they are; a text is a u32 length and its bytes; a condition is its flags,
 *                            and the rest of it if there are any
 *
 * An encoder adds up the length first, so that a frame is reserved once and written straight through. A decoder is
 * one chain of && over the fields and is true only if nothing is left, so a frame is whole or refused: no field can
 * be forgotten and no byte too many goes unnoticed. Strings are borrowed from the buffer that the frame lies in.
 *
 * Failure modes: wire_peek() tells apart a frame that has not arrived whole (MORE) and one that no program of ours
 * sends (BAD: no type, an unknown one, or a size past WIRE_FRAME_MAX). After BAD the stream has no place to go on
 * from, so the caller drops the link. */
#include "common/wire.h"

#include <assert.h>
#include <endian.h>

/* ---- what wire.def says of a message ---- */

struct wire_facts {
    const char *name;
    enum wire_direction direction;
    enum wire_type answer;
    bool waits_for_room;
};

static const struct wire_facts wire_facts[WIRE_TYPE_COUNT] = {
    [WIRE_INVALID] = {.name = "?"},
#define ANSWER(NAME) WIRE_##NAME
#define NO_ANSWER WIRE_INVALID
#define WAITS_FOR_ROOM true
#define ALWAYS false
#define MESSAGE(NAME, name, direction, answer, room, fields) [WIRE_##NAME] = {#NAME, WIRE_##direction, answer, room},
#include "common/wire.def"
#undef MESSAGE
#undef ALWAYS
#undef WAITS_FOR_ROOM
#undef NO_ANSWER
#undef ANSWER
};

static const struct wire_facts *wire_facts_of(enum wire_type type)
{
    return &wire_facts[type < WIRE_TYPE_COUNT ? type : WIRE_INVALID];
}

const char *wire_name(enum wire_type type)
{
    return wire_facts_of(type)->name;
}

enum wire_direction wire_direction(enum wire_type type)
{
    return wire_facts_of(type)->direction;
}

enum wire_type wire_answer(enum wire_type type)
{
    return wire_facts_of(type)->answer;
}

bool wire_waits_for_room(enum wire_type type)
{
    return wire_facts_of(type)->waits_for_room;
}

/* ---- putting: the length is summed first, so that a frame is reserved once and written straight ---- */

static char *wire_put_u8(char *at, uint8_t value)
{
    *at = (char)value;
    return at + 1;
}

static char *wire_put_u32(char *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static char *wire_put_u64(char *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static char *wire_put_str(char *at, struct slice value)
{
    at = wire_put_u32(at, (uint32_t)value.len);
    if (value.len)
        memcpy(at, value.data, value.len);
    return at + value.len;
}

static size_t wire_condition_size(const struct wire_condition *value)
{
    return value->flags ? 1 + 3 * sizeof(uint64_t) : 1;
}

static char *wire_put_condition(char *at, const struct wire_condition *value)
{
    at = wire_put_u8(at, value->flags);
    if (!value->flags)
        return at;
    at = wire_put_u64(at, value->life);
    at = wire_put_u64(at, value->offset.life);
    return wire_put_u64(at, value->offset.position);
}

/* ---- getting ---- */

static bool wire_get_u8(struct slice *in, uint8_t *value)
{
    if (in->len < sizeof *value)
        return false;
    *value = (uint8_t)in->data[0];
    *in = slice_from(*in, 1);
    return true;
}

static bool wire_get_u32(struct slice *in, uint32_t *value)
{
    if (in->len < sizeof *value)
        return false;
    memcpy(value, in->data, sizeof *value);
    *value = le32toh(*value);
    *in = slice_from(*in, sizeof *value);
    return true;
}

static bool wire_get_u64(struct slice *in, uint64_t *value)
{
    if (in->len < sizeof *value)
        return false;
    memcpy(value, in->data, sizeof *value);
    *value = le64toh(*value);
    *in = slice_from(*in, sizeof *value);
    return true;
}

static bool wire_get_str(struct slice *in, struct slice *value)
{
    uint32_t len;
    if (!wire_get_u32(in, &len) || in->len < len)
        return false;
    *value = slice_of(in->data, len);
    *in = slice_from(*in, len);
    return true;
}

static bool wire_get_condition(struct slice *in, struct wire_condition *value)
{
    *value = (struct wire_condition){0};
    if (!wire_get_u8(in, &value->flags))
        return false;
    if (!value->flags)
        return true;
    return wire_get_u64(in, &value->life) && wire_get_u64(in, &value->offset.life) &&
           wire_get_u64(in, &value->offset.position);
}

/* ---- one function a message, three times over the list: its size, its encoder, its decoder ---- */

#define U8(field) +1
#define U32(field) +4
#define U64(field) +8
#define STR(field) +4 + m->field.len
#define IF(field) +wire_condition_size(&m->field)
#define MESSAGE(NAME, name, direction, answer, room, fields)                                                           \
    static size_t size_##name(const struct wire_##name *m)                                                             \
    {                                                                                                                  \
        (void)m;                                                                                                       \
        return (size_t)0 fields;                                                                                       \
    }
#include "common/wire.def"
#undef MESSAGE
#undef U8
#undef U32
#undef U64
#undef STR
#undef IF

#define U8(field) at = wire_put_u8(at, m->field);
#define U32(field) at = wire_put_u32(at, m->field);
#define U64(field) at = wire_put_u64(at, m->field);
#define STR(field) at = wire_put_str(at, m->field);
#define IF(field) at = wire_put_condition(at, &m->field);
#define MESSAGE(NAME, name, direction, answer, room, fields)                                                           \
    void wire_put_##name(struct buf *out, const struct wire_##name *m)                                                 \
    {                                                                                                                  \
        size_t size = 1 + size_##name(m);                                                                              \
        assert(size <= WIRE_FRAME_MAX);                                                                                \
        char *at = buf_reserve(out, 4 + size);                                                                         \
        at = wire_put_u32(at, (uint32_t)size);                                                                         \
        at = wire_put_u8(at, WIRE_##NAME);                                                                             \
        fields assert(at == out->data + out->end + 4 + size);                                                          \
        (void)at;                                                                                                      \
        buf_grow(out, 4 + size);                                                                                       \
    }
#include "common/wire.def"
#undef MESSAGE
#undef U8
#undef U32
#undef U64
#undef STR
#undef IF

#define U8(field) &&wire_get_u8(&body, &m->field)
#define U32(field) &&wire_get_u32(&body, &m->field)
#define U64(field) &&wire_get_u64(&body, &m->field)
#define STR(field) &&wire_get_str(&body, &m->field)
#define IF(field) &&wire_get_condition(&body, &m->field)
#define MESSAGE(NAME, name, direction, answer, room, fields)                                                           \
    bool wire_get_##name(struct slice body, struct wire_##name *m)                                                     \
    {                                                                                                                  \
        return true fields && body.len == 0;                                                                           \
    }
#include "common/wire.def"
#undef MESSAGE
#undef U8
#undef U32
#undef U64
#undef STR
#undef IF

enum wire_peek wire_peek(struct slice in, enum wire_type *type, struct slice *body, size_t *size)
{
    struct slice rest = in;
    uint32_t len;
    uint8_t kind;
    *size = 0;
    if (!wire_get_u32(&rest, &len))
        return WIRE_PEEK_MORE;
    if (len < 1 || len > WIRE_FRAME_MAX)
        return WIRE_PEEK_BAD;
    /* Set before the frame is whole, so that the caller can reserve room for all of it. */
    *size = (size_t)len + 4;
    if (rest.len < len)
        return WIRE_PEEK_MORE;
    if (!wire_get_u8(&rest, &kind) || kind == WIRE_INVALID || kind >= WIRE_TYPE_COUNT)
        return WIRE_PEEK_BAD;
    *type = kind;
    *body = slice_of(rest.data, len - 1);
    return WIRE_PEEK_FRAME;
}

bool wire_take(struct slice *in, enum wire_type type, struct slice *body)
{
    enum wire_type found;
    size_t size;
    if (wire_peek(*in, &found, body, &size) != WIRE_PEEK_FRAME || found != type)
        return false;
    *in = slice_from(*in, size);
    return true;
}
