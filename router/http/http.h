/* HTTP/1.1 heads and chunked bodies, strictly (RFC 9112). Anything a proxy in front might read differently is refused.
 */
#ifndef ROUTER_HTTP_HTTP_H
#define ROUTER_HTTP_HTTP_H

#include <stdint.h>

#include "common/attr.h"
#include "common/detail.h"
#include "common/slice.h"

enum http_method {
#define METHOD(ID) HTTP_##ID,
#include "common/http_methods.def"
#undef METHOD
    HTTP_OTHER /* a valid token that is none of these */
};

/* "GET"; "other" for HTTP_OTHER. */
const char *http_method_name(enum http_method method);

/* The headers somebody reads: X(ENUM, "lower-case-name"). A second one of a name is refused as ERR_DUPLICATE_HEADER.
 * If-None-Match alone may come again to a GET or HEAD: the first is kept, and what a later one lists costs at most a
 * cache hit.
 * A new name also goes into the table by_length in http.c (its unit test tells if it was forgotten). */
#define HTTP_HEADERS(X)                                                                                                \
    X(HOST, "host")                                                                                                    \
    X(CONTENT_TYPE, "content-type")                                                                                    \
    X(IF_MATCH, "if-match")                                                                                            \
    X(IF_NONE_MATCH, "if-none-match")                                                                                  \
    X(ORIGIN, "origin")                                                                                                \
    X(FETCH_SITE, "sec-fetch-site")                                                                                    \
    X(REQUEST_HEADERS, "access-control-request-headers")                                                               \
    X(AUTHORIZATION, "authorization")                                                                                  \
    X(COOKIE, "cookie")                                                                                                \
    X(LAST_EVENT_ID, "last-event-id")                                                                                  \
    X(REQUEST_ID, "x-request-id")                                                                                      \
    X(STREAM_SEQ, "stream-seq")                                                                                        \
    X(STREAM_TTL, "stream-ttl")                                                                                        \
    X(STREAM_EXPIRES_AT, "stream-expires-at")                                                                          \
    X(STREAM_RETENTION_SECONDS, "stream-retention-seconds")                                                            \
    X(STREAM_RETENTION_BYTES, "stream-retention-bytes")                                                                \
    X(STREAM_APPEND, "stream-append")                                                                                  \
    X(STREAM_CLOSED, "stream-closed")                                                                                  \
    X(STREAM_FORKED_FROM, "stream-forked-from")                                                                        \
    X(STREAM_FORK_OFFSET, "stream-fork-offset")                                                                        \
    X(STREAM_FORK_SUB_OFFSET, "stream-fork-sub-offset")                                                                \
    X(STREAM_EXPECTED_OFFSET, "stream-expected-offset")                                                                \
    X(STREAM_INCARNATION, "stream-incarnation")                                                                        \
    X(PRODUCER_ID, "producer-id")                                                                                      \
    X(PRODUCER_EPOCH, "producer-epoch")                                                                                \
    X(PRODUCER_SEQ, "producer-seq")

enum http_header {
#define X(name, text) HTTP_##name##_HEADER,
    HTTP_HEADERS(X)
#undef X
        HTTP_HEADER_COUNT
};

/* A parsed head. Slices point into the parsed bytes. A header that did not come has data == NULL; one that came empty
 * has len == 0 and data != NULL. Values are without surrounding whitespace. */
struct http_head {
    enum http_method method;
    struct slice origin; /* "https://host:port" of a target in absolute-form; data == NULL: it was none */
    struct slice target; /* as it came, behind the origin: "/path?query", "*" (OPTIONS only), or empty or "?query" */
    struct slice path;   /* target up to '?', still percent-encoded; "/" or "*" where it is empty */
    struct slice query;  /* after '?', without it; data == NULL: there is none */
    bool http10;
    bool keep_alive; /* from version and Connection */
    bool expect_continue;
    bool chunked;
    bool forwarded;          /* a proxy says that it passed it on: Forwarded, Via, X-Forwarded-... */
    uint64_t content_length; /* 0 if none came */
    struct slice coding;     /* of Content-Encoding: the first but "identity"; data == NULL: none */
    struct slice condition;  /* the name of a header with a condition that nobody here knows; data == NULL: none */
    struct slice headers[HTTP_HEADER_COUNT];
};

enum http_parse { HTTP_PARSE_MORE, HTTP_PARSE_DONE, HTTP_PARSE_BAD };

/* Parses one head at the start of in. DONE: *head is filled, *used is its length. BAD: *error says which error to
 * answer with before closing the connection (BAD_REQUEST, DUPLICATE_HEADER, NOT_IMPLEMENTED, EXPECTATION_FAILED,
 * HTTP_VERSION_NOT_SUPPORTED) and *detail (NULL: nobody wants to know) what is wrong. MORE: the head is not whole (the
 * caller limits its size). `from` is where an earlier MORE left off looking (0 at first) and is updated, so that a slow
 * head costs its length once. Up to 8 empty lines before a request line are skipped (RFC 9112 2.2). An answer does not
 * depend on how the bytes were split; what is wrong shows when the head is whole, but for a first byte that begins no
 * method and a bare LF. Refused: both Content-Length and Transfer-Encoding, either of them twice, a Content-Length that
 * is not all digits or above 2^64-1, a Transfer-Encoding other than exactly "chunked" (501 if another coding),
 * Transfer-Encoding in HTTP/1.0, bare LF or CR, obs-fold, whitespace before the colon, control characters in values, a
 * header name that is not a token, HTTP/1.1 without exactly one Host, a Host with bytes no authority has, more than 100
 * header lines, a target with '#' or bytes outside %x21-7E, an absolute-form target without an authority or with
 * userinfo, Expect other than 100-continue. The authority of an absolute-form target takes the place of Host (RFC
 * 9112 3.2.2). In HTTP/1.0 Expect is ignored. */
enum http_parse http_head_parse(struct slice in, size_t *from, struct http_head *head, size_t *used, enum error *error,
                                struct detail *detail) MUSTUSE;

/* Its bytes, which were `from`, are at `to` now: all that points into them does so there. */
void http_head_move(struct http_head *head, struct slice from, const char *to);

/* Decoder of a chunked body; zeroed at the start. */
struct http_chunked {
    unsigned state;
    unsigned digits; /* of the current chunk size */
    uint64_t left;   /* of the current chunk */
    size_t skipped;  /* bytes of extensions and trailer seen */
};

/* Takes bytes from in. MORE: *data is a run of body bytes inside in (perhaps empty) and *used bytes of in are done
 * with: call again with the rest until it has none. DONE: the last chunk and the trailer are over; *data is empty. BAD:
 * refuse with 400 and close. Chunk extensions and trailers are dropped, and may be 4096 bytes together in one body; a
 * chunk size has at most 8 hex digits; extensions that are not name, name=token or name="text", trailer lines without a
 * name and a colon, bare LF or CR, and control characters are refused. */
enum http_parse http_chunked_next(struct http_chunked *chunked, struct slice in, struct slice *data,
                                  size_t *used) MUSTUSE;

#endif
