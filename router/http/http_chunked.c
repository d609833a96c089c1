/* The chunked body decoder: one byte at a time through the framing, a run at a time through the data.
 *
 *     4;name="x" CR LF     size in hex, extensions: dropped
 *     Wiki CR LF           data
 *     0 CR LF              the last chunk
 *     Digest: abc CR LF    trailer: dropped
 *     CR LF
 *
 * Happy path: the caller gives whatever bytes came; each call returns at most one run of data, and the state is kept
 * between the calls. So the split of the bytes into packets does not matter, and data is never copied here.
 *
 * Failure modes: A byte that the grammar does not have at its place, a bare CR or LF, a size of more than 8 digits, too
 * many extensions: CHUNK_BAD, for good. The caller must close the connection, because nobody knows where the next
 * request begins. A decoder that forgave such bytes could disagree with a proxy in front about that place. */
#include "common/tchar.h"
#include "router/http/http.h"

/* Bytes of extensions and trailer in one body: limits.max_body counts data only. */
#define SKIPPED_MAX 4096
/* Hex digits of a chunk size: `left` cannot overflow, and the zeros in front are bounded too. */
#define CHUNK_DIGITS_MAX 8

/* CHUNK_SIZE is 0, so a zeroed decoder is at the start of a body. No entry of the table below leads to it. */
enum chunk_state {
    CHUNK_SIZE,
    CHUNK_SIZE_SPACE, /* after the size or an extension; only another extension may follow */
    CHUNK_EXTENSION,  /* before a name */
    CHUNK_NAME,
    CHUNK_NAME_SPACE,
    CHUNK_VALUE_START,
    CHUNK_VALUE,
    CHUNK_QUOTED,
    CHUNK_QUOTED_PAIR,
    CHUNK_QUOTED_END,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER, /* at the start of a trailer line */
    CHUNK_TRAILER_NAME,
    CHUNK_TRAILER_TEXT,
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
    CHUNK_END,
    CHUNK_BAD
};

enum byte_class { BLANK, TOKEN, SEMICOLON, EQUALS, COLON, QUOTE, BACKSLASH, TEXT, CR, CONTROL, CLASS_COUNT };

/* Extensions and trailers (RFC 9112 7.1.1, 7.1.2): the state after a byte. A byte without an entry is refused. */
static const uint8_t http_chunked_after[CHUNK_BAD][CLASS_COUNT] = {
    [CHUNK_SIZE_SPACE] = {[BLANK] = CHUNK_SIZE_SPACE, [SEMICOLON] = CHUNK_EXTENSION},
    [CHUNK_EXTENSION] = {[BLANK] = CHUNK_EXTENSION, [TOKEN] = CHUNK_NAME},
    [CHUNK_NAME] = {[TOKEN] = CHUNK_NAME,
                    [EQUALS] = CHUNK_VALUE_START,
                    [BLANK] = CHUNK_NAME_SPACE,
                    [SEMICOLON] = CHUNK_EXTENSION,
                    [CR] = CHUNK_SIZE_LF},
    [CHUNK_NAME_SPACE] = {[BLANK] = CHUNK_NAME_SPACE, [EQUALS] = CHUNK_VALUE_START, [SEMICOLON] = CHUNK_EXTENSION},
    [CHUNK_VALUE_START] = {[BLANK] = CHUNK_VALUE_START, [TOKEN] = CHUNK_VALUE, [QUOTE] = CHUNK_QUOTED},
    [CHUNK_VALUE] =
        {[TOKEN] = CHUNK_VALUE, [BLANK] = CHUNK_SIZE_SPACE, [SEMICOLON] = CHUNK_EXTENSION, [CR] = CHUNK_SIZE_LF},
    [CHUNK_QUOTED] = {[BLANK... COLON] = CHUNK_QUOTED,
                      [QUOTE] = CHUNK_QUOTED_END,
                      [BACKSLASH] = CHUNK_QUOTED_PAIR,
                      [TEXT] = CHUNK_QUOTED},
    [CHUNK_QUOTED_PAIR] = {[BLANK... TEXT] = CHUNK_QUOTED},
    [CHUNK_QUOTED_END] = {[BLANK] = CHUNK_SIZE_SPACE, [SEMICOLON] = CHUNK_EXTENSION, [CR] = CHUNK_SIZE_LF},
    [CHUNK_TRAILER] = {[TOKEN] = CHUNK_TRAILER_NAME, [CR] = CHUNK_END_LF},
    [CHUNK_TRAILER_NAME] = {[TOKEN] = CHUNK_TRAILER_NAME, [COLON] = CHUNK_TRAILER_TEXT},
    [CHUNK_TRAILER_TEXT] = {[BLANK... TEXT] = CHUNK_TRAILER_TEXT, [CR] = CHUNK_TRAILER_LF},
};

static enum byte_class http_chunked_class_of(char byte)
{
    switch (byte) {
    case ' ':
    case '\t':
        return BLANK;
    case ';':
        return SEMICOLON;
    case '=':
        return EQUALS;
    case ':':
        return COLON;
    case '"':
        return QUOTE;
    case '\\':
        return BACKSLASH;
    case '\r':
        return CR;
    default:
        if (tchar_is(byte))
            return TOKEN;
        return (uint8_t)byte < 0x20 || byte == 0x7f ? CONTROL : TEXT;
    }
}

static int http_chunked_hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum chunk_state http_chunked_after_size(char byte)
{
    if (byte == '\r')
        return CHUNK_SIZE_LF;
    if (byte == ' ' || byte == '\t')
        return CHUNK_SIZE_SPACE;
    return byte == ';' ? CHUNK_EXTENSION : CHUNK_BAD;
}

static enum chunk_state http_chunked_size_byte(struct http_chunked *c, char byte)
{
    int digit = http_chunked_hex_digit(byte);
    /* A size needs a digit: an empty line is no chunk. */
    if (digit < 0)
        return c->digits ? http_chunked_after_size(byte) : CHUNK_BAD;
    c->left = c->left << 4 | (unsigned)digit;
    return ++c->digits > CHUNK_DIGITS_MAX ? CHUNK_BAD : CHUNK_SIZE;
}

static enum chunk_state http_chunked_size_end(struct http_chunked *c)
{
    c->digits = 0;
    return c->left ? CHUNK_DATA : CHUNK_TRAILER;
}

/* The state after one byte that is not data. */
static enum chunk_state http_chunked_frame_byte(struct http_chunked *c, char byte)
{
    switch ((enum chunk_state)c->state) {
    case CHUNK_SIZE:
        return http_chunked_size_byte(c, byte);
    case CHUNK_SIZE_LF:
        return byte == '\n' ? http_chunked_size_end(c) : CHUNK_BAD;
    case CHUNK_DATA_CR:
        return byte == '\r' ? CHUNK_DATA_LF : CHUNK_BAD;
    case CHUNK_DATA_LF:
        return byte == '\n' ? CHUNK_SIZE : CHUNK_BAD;
    case CHUNK_TRAILER_LF:
        return byte == '\n' ? CHUNK_TRAILER : CHUNK_BAD;
    case CHUNK_END_LF:
        return byte == '\n' ? CHUNK_END : CHUNK_BAD;
    default: {
        uint8_t next = http_chunked_after[c->state][http_chunked_class_of(byte)];
        return next ? (enum chunk_state)next : CHUNK_BAD;
    }
    }
}

/* Part of an extension or of a trailer line. */
static bool http_chunked_is_skipped(unsigned state)
{
    return (state >= CHUNK_SIZE_SPACE && state < CHUNK_SIZE_LF) || state == CHUNK_TRAILER_NAME ||
           state == CHUNK_TRAILER_TEXT;
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
            break; /* *data is one run: the caller comes again with the rest */
        }
        chunked->state = http_chunked_frame_byte(chunked, in.data[at++]);
        if (http_chunked_is_skipped(chunked->state) && ++chunked->skipped > SKIPPED_MAX)
            chunked->state = CHUNK_BAD;
    }
    *used = at;
    if (chunked->state == CHUNK_BAD)
        return HTTP_PARSE_BAD;
    return chunked->state == CHUNK_END ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}
