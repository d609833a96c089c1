/* The text of a response head. Pure: it is written into a buffer. */
#ifndef ROUTER_HTTP_RESPONSE_H
#define ROUTER_HTTP_RESPONSE_H

#include <stdint.h>
#include <time.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/errors.h"
#include "common/offset.h"

/* The Date header, printed once a second. Zeroed at the start. */
struct response_date {
    time_t second;
    char text[32]; /* "Sun, 06 Nov 1994 08:49:37 GMT" */
};

/* "Not Found"; "" for a status that is not sent. */
const char *response_reason(int status);

/* Starts a head: status line, Date and the headers that every answer carries. */
void response_begin(struct buf *out, int status, struct response_date *date);

void response_add(struct buf *out, const char *name, struct slice value);
void response_add_number(struct buf *out, const char *name, uint64_t value);
void response_add_offset(struct buf *out, const char *name, struct offset offset);

enum response_body {
    RESPONSE_NO_BODY, /* 204 and 304: no Content-Length either */
    RESPONSE_LENGTH,
    RESPONSE_CHUNKED,
    RESPONSE_UNTIL_CLOSE
};

/* Ends the head. With RESPONSE_LENGTH, `length` is that of the body that follows (or would, to a HEAD). */
void response_end(struct buf *out, enum response_body body, uint64_t length, bool keep_alive, bool http10);

/* What stands around the pieces of a RESPONSE_CHUNKED body. response_chunk() writes what precedes len bytes and returns
 * its length. */
#define RESPONSE_CHUNK_MAX 20
#define RESPONSE_CHUNK_END SLICE("\r\n")
#define RESPONSE_LAST_CHUNK SLICE("0\r\n\r\n")
size_t response_chunk(char out[RESPONSE_CHUNK_MAX], size_t len);

/* What a client waits for that sent Expect: 100-continue. */
#define RESPONSE_CONTINUE SLICE("HTTP/1.1 100 Continue\r\n\r\n")

/* The JSON body of an error answer. The text is escaped; NULL or empty: error_text(). more: further members of the
 * document, each with a comma before it. */
void response_error_body(struct buf *out, enum error error, const char *text, struct slice more);

#endif
