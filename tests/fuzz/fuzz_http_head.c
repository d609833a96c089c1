/* A head gives the same answer however its bytes were split, and what it gives lies inside the bytes. */
#include "router/http/http.h"
#include "tests/fuzz/fuzz.h"

struct result {
    enum http_parse state;
    struct http_head head;
    size_t used;
    enum error error;
    struct detail why;
};

static void check_inside(struct slice part, struct slice whole)
{
    if (part.data)
        must(part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void check_done(const struct result *r, struct slice in)
{
    const struct http_head *h = &r->head;
    must(r->used >= 16 && r->used <= in.len && memcmp(in.data + r->used - 4, "\r\n\r\n", 4) == 0);
    struct slice head = slice_of(in.data, r->used);
    check_inside(h->target, head);
    check_inside(h->origin, head);
    check_inside(h->query, head);
    size_t path = h->target.len - (h->query.data ? 1 + h->query.len : 0);
    must(h->path.len > 0 && !memchr(h->path.data, '?', h->path.len));
    must(h->path.data[0] == '/' || (h->path.data[0] == '*' && h->method == HTTP_OPTIONS && h->path.len == 1));
    must(path ? h->path.len == path && h->path.data == h->target.data : h->origin.data && h->path.len == 1);
    must(!h->chunked || (h->content_length == 0 && !h->http10));
    must(h->http10 || h->headers[HTTP_HOST_HEADER].data);
    for (unsigned i = 0; i < HTTP_HEADER_COUNT; i++) {
        struct slice value = h->headers[i];
        check_inside(value, head);
        for (size_t at = 0; at < value.len; at++)
            must((uint8_t)value.data[at] >= ' ' ? value.data[at] != 0x7f : value.data[at] == '\t');
    }
}

static void check_same(const struct result *a, const struct result *b)
{
    must(a->state == b->state);
    if (a->state == HTTP_PARSE_DONE)
        must(a->used == b->used && memcmp(&a->head, &b->head, sizeof a->head) == 0);
    if (a->state == HTTP_PARSE_BAD)
        must(a->error == b->error && strcmp(a->why.text, b->why.text) == 0 && a->error != ERR_NONE && *a->why.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    struct result whole = {.error = ERR_NONE}, split = {.error = ERR_NONE};
    size_t from = 0, len = 0, step = size > 1024 ? size / 256 : 1;
    memset(&whole.head, 0xa5, sizeof whole.head);
    whole.state = http_head_parse(in, &from, &whole.head, &whole.used, &whole.error, &whole.why);
    if (whole.state == HTTP_PARSE_DONE)
        check_done(&whole, in);

    from = 0;
    do {
        split.state =
            http_head_parse(slice_of(in.data, len), &from, &split.head, &split.used, &split.error, &split.why);
        must(from <= len);
        len = len + step < size || len == size ? len + step : size;
    } while (split.state == HTTP_PARSE_MORE && len <= size);
    check_same(&whole, &split);
    return 0;
}
