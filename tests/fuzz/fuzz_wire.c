/* The input is read twice: as frames in a row, and as the body of one message whose type is its first byte. A message
 * that decodes encodes to the same bytes. */
#include "common/wire.h"
#include "tests/fuzz/fuzz.h"

#define HEADER 5 /* bytes of a frame before its fields */

#define MESSAGE(NAME, name, direction, answer, room, fields)                                                           \
    case WIRE_##NAME: {                                                                                                \
        struct wire_##name m;                                                                                          \
        if (wire_get_##name(body, &m))                                                                                 \
            wire_put_##name(out, &m);                                                                                  \
        break;                                                                                                         \
    }

static void put_again(enum wire_type type, struct slice body, struct buf *out)
{
    switch (type) {
#include "common/wire.def"
    case WIRE_INVALID:
    case WIRE_TYPE_COUNT:
        break;
    }
}
#undef MESSAGE

static void check_message(enum wire_type type, struct slice body)
{
    struct buf out = {0};
    put_again(type, body, &out);
    if (buf_len(&out)) {
        must(slice_equal(slice_of(out.data + HEADER, buf_len(&out) - HEADER), body));
        must((uint8_t)out.data[4] == type);
    }
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size), body;
    enum wire_type type;
    size_t frame;
    if (size > 0 && data[0] < WIRE_TYPE_COUNT)
        check_message(data[0], slice_of(in.data + 1, in.len - 1));
    while (wire_peek(in, &type, &body, &frame) == WIRE_PEEK_FRAME) {
        must(frame <= in.len && body.len + HEADER == frame && body.data == in.data + HEADER);
        check_message(type, body);
        in = slice_of(in.data + frame, in.len - frame);
    }
    return 0;
}
