/* A chunked body decodes to the same bytes however it was split; and any bytes come back from a well-formed body. */
#include "common/buf.h"
#include "router/http/http.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>

struct decoded {
    enum http_parse state;
    size_t used;
    struct buf body;
};

static struct decoded decode(struct slice in, size_t piece)
{
    struct http_chunked chunked = {0};
    struct decoded d = {.state = HTTP_PARSE_MORE};
    while (d.state == HTTP_PARSE_MORE && d.used < in.len) {
        size_t left = in.len - d.used, used;
        struct slice part = slice_of(in.data + d.used, left < piece ? left : piece), data;
        d.state = http_chunked_next(&chunked, part, &data, &used);
        must(used > 0 && used <= part.len && data.len <= used);
        must(data.data >= part.data && data.data + data.len <= part.data + used);
        must(d.state == HTTP_PARSE_MORE || data.len == 0);
        buf_add_slice(&d.body, data);
        d.used += used;
    }
    return d;
}

static void check_splits(struct slice in)
{
    struct decoded whole = decode(in, in.len);
    for (size_t piece = 1; piece < 8; piece++) {
        struct decoded split = decode(in, piece);
        must(split.state == whole.state && split.used == whole.used);
        must(slice_equal(buf_slice(&split.body), buf_slice(&whole.body)));
        buf_clear(&split.body);
    }
    buf_clear(&whole.body);
}

/* Chunks of the input whose sizes come from the input. */
static void check_encoded(struct slice in)
{
    struct buf text = {0};
    for (size_t at = 0; at < in.len;) {
        size_t size = 1 + (uint8_t)in.data[at] % 40;
        if (size > in.len - at)
            size = in.len - at;
        char line[32];
        int len = snprintf(line, sizeof line, size % 2 ? "%zx\r\n" : "%04zX; a=b\r\n", size);
        buf_add(&text, line, (size_t)len);
        buf_add(&text, in.data + at, size);
        buf_add_slice(&text, SLICE("\r\n"));
        at += size;
    }
    buf_add_slice(&text, SLICE("0\r\nA: b\r\n\r\n"));
    struct decoded d = decode(buf_slice(&text), buf_len(&text));
    must(d.state == HTTP_PARSE_DONE && d.used == buf_len(&text));
    must(slice_equal(buf_slice(&d.body), in));
    buf_clear(&d.body);
    buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    check_splits(in);
    if (size <= 1024) /* more might have more bytes of extensions than one body may */
        check_encoded(in);
    return 0;
}
