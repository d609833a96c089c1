/* A head is written front to back into one buffer; the caller adds headers between the two calls:
 *
 *     response_begin()     HTTP/1.1 200 OK
 *                          Date: ... and the headers of every answer
 *     response_add...()    Stream-Next-Offset: 0000000000000000_0000000000000512
 *     response_end()       Content-Length, Transfer-Encoding or neither; Connection; the empty line
 *
 * Nothing here can fail: the buffer grows. Values must not contain CR or LF: callers pass numbers and
 * texts that were checked when they came in. */
#include "router/http/response.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/offset.h"

/* Stored bytes are anybody's: a browser must not guess a type for them and run them, and pages of other origins may
 * load them as far as CORS allows. */
static const char response_always[] = "X-Content-Type-Options: nosniff\r\n"
                                      "Cross-Origin-Resource-Policy: cross-origin\r\n";

/* The phrases of every status that is sent (RFC 9110 15, RFC 6585, RFC 4918). */
static const struct {
    int status;
    const char *phrase;
} response_reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *response_reason(int status)
{
    for (size_t i = 0; i < sizeof response_reasons / sizeof response_reasons[0]; i++)
        if (response_reasons[i].status == status)
            return response_reasons[i].phrase;
    return "";
}

/* The text is made once a second, not once an answer. */
static void response_refresh_date(struct response_date *date)
{
    time_t now = time(NULL);
    struct tm tm;
    if (now == date->second)
        return;
    date->second = now;
    gmtime_r(&now, &tm);
    strftime(date->text, sizeof date->text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

void response_begin(struct buf *out, int status, struct response_date *date)
{
    char *line = buf_reserve(out, 128); /* the longest phrase and the date need 83 */
    response_refresh_date(date);
    int len = snprintf(line, 128, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, response_reason(status), date->text);
    buf_grow(out, (size_t)len);
    buf_add(out, response_always, sizeof response_always - 1);
}

static void response_add_name(struct buf *out, const char *name)
{
    buf_add(out, name, strlen(name));
    buf_add_slice(out, SLICE(": "));
}

void response_add(struct buf *out, const char *name, struct slice value)
{
    response_add_name(out, name);
    buf_add_slice(out, value);
    buf_add_slice(out, SLICE("\r\n"));
}

void response_add_number(struct buf *out, const char *name, uint64_t value)
{
    char digits[20], *at = digits + sizeof digits;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    response_add(out, name, slice_of(at, (size_t)(digits + sizeof digits - at)));
}

void response_add_offset(struct buf *out, const char *name, struct offset offset)
{
    char text[OFFSET_LEN];
    offset_print(text, offset);
    response_add(out, name, slice_of(text, sizeof text));
}

void response_end(struct buf *out, enum response_body body, uint64_t length, bool keep_alive, bool http10)
{
    /* At most one of the two says where the body ends (RFC 9112 6.3). RESPONSE_NO_BODY needs neither. */
    if (body == RESPONSE_LENGTH)
        response_add_number(out, "Content-Length", length);
    if (body == RESPONSE_CHUNKED)
        buf_add_slice(out, SLICE("Transfer-Encoding: chunked\r\n"));
    if (!keep_alive)
        buf_add_slice(out, SLICE("Connection: close\r\n"));
    else if (http10) /* an HTTP/1.0 client closes unless it is told (RFC 9112 C.2.2) */
        buf_add_slice(out, SLICE("Connection: keep-alive\r\n"));
    buf_add_slice(out, SLICE("\r\n"));
}

size_t response_chunk(char out[RESPONSE_CHUNK_MAX], size_t len)
{
    return (size_t)snprintf(out, RESPONSE_CHUNK_MAX, "%zx\r\n", len);
}

void response_error_body(struct buf *out, enum error error, const char *text, struct slice more)
{
    buf_add_slice(out, SLICE("{\"code\":\""));
    buf_add_text(out, error_code(error));
    buf_add_slice(out, SLICE("\",\"error\":\""));
    buf_add_json(out, slice_str(text && *text ? text : error_text(error)));
    buf_add_byte(out, '"');
    buf_add_slice(out, more);
    buf_add_byte(out, '}');
}
