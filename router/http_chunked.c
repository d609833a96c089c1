/* The chunked body decoder: a byte at a time through the framing, a run at a time through the data. */
#include "router/http.h"

#define SKIPPED_MAX 4096   /* bytes of chunk extensions and trailer in one body */
#define CHUNK_DIGITS_MAX 8 /* hex digits of a chunk size */

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_SIZE_SPACE, /* after the size; only an extension may follow */
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER, /* at the start of a trailer line */
    CHUNK_TRAILER_TEXT,
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
    CHUNK_END,
    CHUNK_BAD
};

static bool is_control(uint8_t byte)
{
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum chunk_state after_size(const struct http_chunked *c, char byte)
{
    if (byte == '\r' && c->state == CHUNK_SIZE)
        return CHUNK_SIZE_LF;
    if (byte == ' ' || byte == '\t')
        return CHUNK_SIZE_SPACE;
    return byte == ';' ? CHUNK_EXTENSION : CHUNK_BAD;
}

static enum chunk_state size_byte(struct http_chunked *c, char byte)
{
    int digit = hex_digit(byte);
    if (digit < 0)
        return c->digits ? after_size(c, byte) : CHUNK_BAD;
    c->left = c->left << 4 | (unsigned)digit;
    return ++c->digits > CHUNK_DIGITS_MAX ? CHUNK_BAD : CHUNK_SIZE;
}

static enum chunk_state size_end(struct http_chunked *c)
{
    c->digits = 0;
    return c->left ? CHUNK_DATA : CHUNK_TRAILER;
}

/* A byte of an extension or of a trailer line, which both end at CR. */
static enum chunk_state text_byte(const struct http_chunked *c, char byte, enum chunk_state at_end)
{
    if (byte == '\r')
        return at_end;
    return is_control((uint8_t)byte) ? CHUNK_BAD : (enum chunk_state)c->state;
}

/* The first byte of a trailer line; a space would continue the line before it (obs-fold). */
static enum chunk_state trailer_byte(char byte)
{
    if (byte == '\r')
        return CHUNK_END_LF;
    return is_control((uint8_t)byte) || byte == ' ' || byte == '\t' ? CHUNK_BAD : CHUNK_TRAILER_TEXT;
}

/* The state after one byte that is not data. */
static enum chunk_state frame_byte(struct http_chunked *c, char byte)
{
    switch ((enum chunk_state)c->state) {
    case CHUNK_SIZE:
        return size_byte(c, byte);
    case CHUNK_SIZE_SPACE:
        return after_size(c, byte);
    case CHUNK_EXTENSION:
        return text_byte(c, byte, CHUNK_SIZE_LF);
    case CHUNK_SIZE_LF:
        return byte == '\n' ? size_end(c) : CHUNK_BAD;
    case CHUNK_DATA_CR:
        return byte == '\r' ? CHUNK_DATA_LF : CHUNK_BAD;
    case CHUNK_DATA_LF:
        return byte == '\n' ? CHUNK_SIZE : CHUNK_BAD;
    case CHUNK_TRAILER:
        return trailer_byte(byte);
    case CHUNK_TRAILER_TEXT:
        return text_byte(c, byte, CHUNK_TRAILER_LF);
    case CHUNK_TRAILER_LF:
        return byte == '\n' ? CHUNK_TRAILER : CHUNK_BAD;
    case CHUNK_END_LF:
        return byte == '\n' ? CHUNK_END : CHUNK_BAD;
    case CHUNK_DATA:
    case CHUNK_END:
    case CHUNK_BAD:
        break;
    }
    return CHUNK_BAD;
}

static bool is_skipped(unsigned state)
{
    return state == CHUNK_SIZE_SPACE || state == CHUNK_EXTENSION || state == CHUNK_TRAILER_TEXT;
}

enum http_parse http_chunked_next(struct http_chunked *chunked, struct slice in, struct slice *data, size_t *used)
{
    size_t at = 0;
    *data = slice_of(in.data, 0);
    while (at < in.len && chunked->state < CHUNK_END) {
        if (chunked->state == CHUNK_DATA) {
            size_t run = in.len - at < chunked->left ? in.len - at : (size_t)chunked->left;
            *data = slice_of(in.data + at, run);
            at += run;
            chunked->left -= run;
            if (!chunked->left)
                chunked->state = CHUNK_DATA_CR;
            break;
        }
        chunked->state = frame_byte(chunked, in.data[at++]);
        if (is_skipped(chunked->state) && ++chunked->skipped > SKIPPED_MAX)
            chunked->state = CHUNK_BAD;
    }
    *used = at;
    if (chunked->state == CHUNK_BAD)
        return HTTP_PARSE_BAD;
    return chunked->state == CHUNK_END ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}
