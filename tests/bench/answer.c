#include "tests/bench/answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct slice take(struct slice *in, size_t n)
{
    struct slice front = {in->data, n};
    in->data += n;
    in->len -= n;
    return front;
}

/* Takes one line with its end off the front; false: it is not whole yet. */
static bool take_line(struct slice *in, struct slice *line)
{
    const char *end = memchr(in->data, '\n', in->len);
    if (!end)
        return false;
    *line = take(in, (size_t)(end - in->data) + 1);
    return true;
}

/* The value of a header line when it has this name (in lower case, with its colon), or NULL. */
static const char *header(struct slice line, struct slice name)
{
    if (line.len <= name.len || (line.data[0] | 0x20) != name.data[0] ||
        strncasecmp(line.data, name.data, name.len) != 0)
        return NULL;
    const char *value = line.data + name.len;
    while (*value == ' ' || *value == '\t')
        value++;
    return value;
}

/* `value` up to the end of its line. */
static void keep(char *to, const char *value)
{
    size_t len = strcspn(value, "\r\n");
    if (len < ANSWER_VALUE) {
        memcpy(to, value, len);
        to[len] = 0;
    }
}

/* head: whole lines only, so that strtoull() and strncasecmp() stop at a line's end. */
static enum answer_step read_head(struct answer *a, struct slice head)
{
    struct slice line;
    if (!take_line(&head, &line) || line.len < 14 || memcmp(line.data, "HTTP/1.", 7) != 0)
        return ANSWER_BAD;
    *a = (struct answer){.phase = ANSWER_IN_BODY, .status = atoi(line.data + 9), .until_close = true};
    while (take_line(&head, &line)) {
        const char *value;
        if ((value = header(line, SLICE("content-length:")))) {
            a->left = strtoull(value, NULL, 10);
            a->until_close = false;
        } else if ((value = header(line, SLICE("transfer-encoding:")))) {
            a->chunked = strncasecmp(value, "chunked", 7) == 0;
        } else if ((value = header(line, SLICE("stream-next-offset:")))) {
            keep(a->next_offset, value);
        } else if ((value = header(line, SLICE("etag:")))) {
            keep(a->etag, value);
        } else if (header(line, SLICE("stream-up-to-date:"))) {
            a->up_to_date = true;
        }
    }
    if (a->status < 200 || a->status == 204 || a->status == 304) {
        a->chunked = a->until_close = false;
        a->left = 0;
    }
    if (a->chunked) {
        a->until_close = false;
        a->phase = ANSWER_IN_CHUNK_SIZE;
    }
    return ANSWER_HEAD;
}

static enum answer_step step_head(struct answer *a, struct slice *in)
{
    const char *end = memmem(in->data, in->len, "\r\n\r\n", 4);
    if (!end)
        return ANSWER_MORE;
    return read_head(a, take(in, (size_t)(end - in->data) + 4));
}

static enum answer_step step_body(struct answer *a, struct slice *in, struct slice *piece)
{
    if (!a->left && !a->until_close) {
        if (a->chunked) {
            a->phase = ANSWER_IN_CHUNK_END;
            return ANSWER_HEAD; /* nothing to tell; the next call goes on */
        }
        a->phase = ANSWER_IN_HEAD;
        return ANSWER_DONE;
    }
    if (!in->len)
        return ANSWER_MORE;
    *piece = take(in, a->until_close || in->len < a->left ? in->len : (size_t)a->left);
    a->left -= a->until_close ? 0 : piece->len;
    return ANSWER_BODY;
}

static enum answer_step step_chunk_size(struct answer *a, struct slice *in)
{
    struct slice line;
    char *end;
    if (!take_line(in, &line))
        return ANSWER_MORE;
    a->left = strtoull(line.data, &end, 16);
    if (end == line.data)
        return ANSWER_BAD;
    a->phase = a->left ? ANSWER_IN_BODY : ANSWER_IN_TRAILER;
    return ANSWER_HEAD;
}

static enum answer_step step_line_end(struct answer *a, struct slice *in)
{
    struct slice line;
    if (!take_line(in, &line))
        return ANSWER_MORE;
    bool empty = line.len <= 2;
    if (a->phase == ANSWER_IN_TRAILER) {
        a->phase = empty ? ANSWER_IN_HEAD : ANSWER_IN_TRAILER;
        return empty ? ANSWER_DONE : ANSWER_HEAD;
    }
    a->phase = ANSWER_IN_CHUNK_SIZE;
    return empty ? ANSWER_HEAD : ANSWER_BAD;
}

static enum answer_step step(struct answer *a, struct slice *in, struct slice *piece)
{
    switch (a->phase) {
    case ANSWER_IN_HEAD:
        return step_head(a, in);
    case ANSWER_IN_BODY:
        return step_body(a, in, piece);
    case ANSWER_IN_CHUNK_SIZE:
        return step_chunk_size(a, in);
    case ANSWER_IN_CHUNK_END:
    case ANSWER_IN_TRAILER:
        return step_line_end(a, in);
    }
    return ANSWER_BAD;
}

enum answer_step answer_http(struct answer *a, struct slice *in, struct slice *piece)
{
    enum answer_phase before = a->phase;
    enum answer_step taken = step(a, in, piece);
    /* Of the steps inside a body only its pieces are news. */
    while (taken == ANSWER_HEAD && before != ANSWER_IN_HEAD) {
        before = a->phase;
        taken = step(a, in, piece);
    }
    return taken;
}

enum answer_step answer_redis(struct answer *a, struct slice *in, struct slice *piece)
{
    if (a->phase == ANSWER_IN_BODY) { /* the text of an error has been told */
        a->phase = ANSWER_IN_HEAD;
        return ANSWER_DONE;
    }
    struct slice whole = *in, line;
    if (!whole.len || !take_line(&whole, &line))
        return ANSWER_MORE;
    a->status = line.data[0] == '-' ? 500 : 200;
    if (line.data[0] == '$') {
        size_t len = strtoul(line.data + 1, NULL, 10) + 2;
        if (whole.len < len)
            return ANSWER_MORE;
        take(&whole, len);
    } else if (line.data[0] == '-') {
        *piece = line;
        a->phase = ANSWER_IN_BODY;
    } else if (line.data[0] != '+' && line.data[0] != ':') {
        return ANSWER_BAD;
    }
    *in = whole;
    return a->phase == ANSWER_IN_BODY ? ANSWER_BODY : ANSWER_DONE;
}
