#include "tests/bench/events.h"

static bool begins(struct slice line, struct slice with)
{
    return line.len >= with.len && memcmp(line.data, with.data, with.len) == 0;
}

/* True: the line is of a data event and *data is what it says. */
static bool read_line(struct events *e, struct slice line, struct slice *data)
{
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    if (!line.len) {
        e->skip = false;
        return false;
    }
    if (begins(line, SLICE("event:"))) {
        e->skip = !begins(line, SLICE("event: data")) && !begins(line, SLICE("event:data"));
        return false;
    }
    if (e->skip || !begins(line, SLICE("data:")))
        return false;
    size_t from = line.len > 5 && line.data[5] == ' ' ? 6 : 5;
    *data = slice_of(line.data + from, line.len - from);
    return true;
}

bool events_next(struct events *e, struct slice *in, struct slice *data)
{
    if (e->used_line) {
        buf_reset(&e->line);
        e->used_line = false;
    }
    while (in->len) {
        const char *end = memchr(in->data, '\n', in->len);
        if (!end) {
            buf_add_slice(&e->line, *in);
            in->len = 0;
            return false;
        }
        struct slice line = {in->data, (size_t)(end - in->data)};
        in->data = end + 1;
        in->len -= line.len + 1;
        if (buf_len(&e->line)) {
            buf_add_slice(&e->line, line);
            line = buf_slice(&e->line);
            e->used_line = true;
        }
        if (read_line(e, line, data))
            return true;
        if (e->used_line) {
            buf_reset(&e->line);
            e->used_line = false;
        }
    }
    return false;
}

void events_clear(struct events *e)
{
    buf_clear(&e->line);
}
