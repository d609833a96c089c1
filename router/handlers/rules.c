/* Each header is checked for its form alone; whether it fits the stream is for the shard to say.
 *
 *     PUT   Content-Type, Stream-Closed, ?public, Stream-TTL or -Expires-At, Stream-Retention-*, Stream-Fork*
 *     POST  Stream-Closed, Producer-Id with -Epoch and -Seq, Stream-Seq, Content-Type if there is a body
 *     both  the conditions of conditions.c; a POST: Stream-Append
 *
 * Happy path: a header that came sets a flag and a field of the frame; a header that did not leaves both at 0.
 *
 * Failure modes: The first header that is wrong ends the check, in the order above, with an error that quotes the value
 * and says what it should be. A header that makes no sense alone (an offset without a source, an epoch without an id)
 * is refused instead of ignored: the client meant something by it. */
#include "router/handlers/rules.h"

#include "common/media_type.h"
#include "common/offset.h"
#include "common/project.h"
#include "router/handlers/conditions.h"
#include "router/http/integer.h"
#include "router/http/query.h"
#include "router/http/timestamp.h"

static bool rules_given(const struct http_head *head, enum http_header header)
{
    return head->headers[header].data != NULL;
}

/* ---- every request ---- */

enum error rules_request(const struct http_head *head, enum route_kind kind, struct detail *detail)
{
    bool reads = head->method == HTTP_GET || head->method == HTTP_HEAD;
    if (head->coding.data && !reads)
        return detail_say(detail, ERR_UNSUPPORTED_CONTENT_ENCODING,
                          "Content-Encoding %s is not supported; send the body as it is, without this header",
                          detail_quote(head->coding).text);
    return conditions_understood(head, kind, detail);
}

/* ---- values ---- */

enum error rules_content_type(struct slice value, struct slice *type, struct detail *detail)
{
    *type = value;
    if (media_type_valid(value))
        return ERR_NONE;
    return detail_say(detail, ERR_INVALID_CONTENT_TYPE,
                      "Content-Type must be type/subtype, perhaps with ';' and ASCII parameters, of at most %d bytes, "
                      "not %s",
                      MEDIA_TYPE_MAX, detail_quote(value).text);
}

/* Only "true" closes, in any case; any other value counts as absent (PROTOCOL.md 4.1). */
static bool rules_says_closed(const struct http_head *head)
{
    struct slice value = head->headers[HTTP_STREAM_CLOSED_HEADER];
    return slice_alike(value, SLICE("true"));
}

/* ---- create ---- */

static enum error rules_create_expiry(const struct http_head *head, struct wire_create *create, struct detail *detail)
{
    struct slice ttl = head->headers[HTTP_STREAM_TTL_HEADER];
    struct slice expires = head->headers[HTTP_STREAM_EXPIRES_AT_HEADER];
    if (ttl.data && expires.data)
        return ERR_TTL_EXPIRES_MUTUALLY_EXCLUSIVE;
    if (ttl.data) {
        if (!integer_valid(ttl, RULES_TTL_MAX, &create->ttl_s))
            return detail_say(detail, ERR_INVALID_TTL,
                              "Stream-TTL must be a whole number of seconds up to %llu without "
                              "sign or leading zeros, not %s",
                              (unsigned long long)RULES_TTL_MAX, detail_quote(ttl).text);
        create->flags |= WIRE_CREATE_TTL;
    }
    if (expires.data) {
        if (expires.len > 64 || !timestamp_parse(expires, &create->expires_ms))
            return detail_say(detail, ERR_INVALID_EXPIRES_AT,
                              "Stream-Expires-At must be an RFC 3339 timestamp such as "
                              "2030-01-31T12:00:00Z, not %s",
                              detail_quote(expires).text);
        create->flags |= WIRE_CREATE_EXPIRES;
        create->expires_text = expires;
    }
    return ERR_NONE;
}

/* A number from 1; absent: 0, no such bound. */
static enum error rules_retention_of(struct slice text, const char *name, uint64_t max, uint64_t *value,
                                     struct detail *detail)
{
    if (!text.data || (integer_valid(text, max, value) && *value > 0))
        return ERR_NONE;
    return detail_say(detail, ERR_INVALID_RETENTION,
                      "%s must be a whole number from 1 to %llu without leading zeros, not %s", name,
                      (unsigned long long)max, detail_quote(text).text);
}

static enum error rules_create_retention(const struct http_head *head, struct wire_create *create,
                                         struct detail *detail)
{
    struct slice seconds = head->headers[HTTP_STREAM_RETENTION_SECONDS_HEADER];
    struct slice bytes = head->headers[HTTP_STREAM_RETENTION_BYTES_HEADER];
    if (seconds.data || bytes.data)
        create->flags |= WIRE_CREATE_RETENTION;
    enum error error =
        rules_retention_of(seconds, "Stream-Retention-Seconds", PROJECT_RETENTION_MAX_S, &create->retention_s, detail);
    if (error == ERR_NONE)
        error = rules_retention_of(bytes, "Stream-Retention-Bytes", INTEGER_MAX, &create->retention_bytes, detail);
    return error;
}

static enum error rules_fork_source(const struct http_head *head, size_t max_path, struct rules_create_room *room,
                                    struct wire_create *create, struct detail *detail)
{
    if (route_parse_fork(head, max_path, room->source, &create->fork_source) == ERR_NONE)
        return ERR_NONE;
    return detail_say(detail, ERR_INVALID_FORK_SOURCE,
                      "Stream-Forked-From must be the path of a stream on this server "
                      "(/v1/stream/{project}/{stream}), or a URL with this request's host and port, not %s",
                      detail_quote(head->headers[HTTP_STREAM_FORKED_FROM_HEADER]).text);
}

static enum error rules_create_fork(const struct http_head *head, size_t max_path, struct rules_create_room *room,
                                    struct wire_create *create, struct detail *detail)
{
    struct slice offset = head->headers[HTTP_STREAM_FORK_OFFSET_HEADER];
    struct slice sub = head->headers[HTTP_STREAM_FORK_SUB_OFFSET_HEADER];
    if (!rules_given(head, HTTP_STREAM_FORKED_FROM_HEADER)) {
        if (offset.data)
            return detail_say(detail, ERR_INVALID_FORK_OFFSET, "Stream-Fork-Offset needs Stream-Forked-From");
        return sub.data
                   ? detail_say(detail, ERR_INVALID_FORK_SUB_OFFSET, "Stream-Fork-Sub-Offset needs Stream-Forked-From")
                   : ERR_NONE;
    }
    create->flags |= WIRE_CREATE_FORK;
    if (offset.data) {
        create->flags |= WIRE_CREATE_FORK_POSITION;
        struct offset at = {0};
        if (!slice_equal(offset, SLICE("-1")) && !offset_parse(offset, &at))
            return detail_say(detail, ERR_INVALID_FORK_OFFSET,
                              "Stream-Fork-Offset must be -1 (the start) or an offset "
                              "as Stream-Next-Offset gave it, not %s",
                              detail_quote(offset).text);
        create->fork_life = at.life;
        create->fork_position = at.position;
    }
    if (sub.data && !integer_valid(sub, INTEGER_MAX, &create->fork_sub))
        return detail_say(detail, ERR_INVALID_FORK_SUB_OFFSET,
                          "Stream-Fork-Sub-Offset must be a whole number without sign or leading zeros, not %s",
                          detail_quote(sub).text);
    return rules_fork_source(head, max_path, room, create, detail);
}

enum error rules_create(const struct http_head *head, size_t max_path, struct rules_create_room *room,
                        struct wire_create *create, struct detail *detail)
{
    enum error error = ERR_NONE;
    create->content_type = SLICE("");
    if (head->headers[HTTP_CONTENT_TYPE_HEADER].len)
        error = rules_content_type(head->headers[HTTP_CONTENT_TYPE_HEADER], &create->content_type, detail);
    if (rules_says_closed(head))
        create->flags |= WIRE_CREATE_CLOSED;
    if (slice_equal(query_value(head->query, '&', SLICE("public")), SLICE("true")))
        create->flags |= WIRE_CREATE_PUBLIC;
    if (error == ERR_NONE)
        error = rules_create_expiry(head, create, detail);
    if (error == ERR_NONE)
        error = rules_create_retention(head, create, detail);
    if (error == ERR_NONE)
        error = rules_create_fork(head, max_path, room, create, detail);
    return error != ERR_NONE ? error : conditions_take(head, &create->condition, detail);
}

/* ---- append ---- */

static enum error rules_producer_numbers(struct slice epoch, struct slice seq, struct wire_append *append,
                                         struct detail *detail)
{
    enum integer first = integer_parse(epoch, INTEGER_MAX, &append->epoch);
    enum integer second = integer_parse(seq, INTEGER_MAX, &append->seq);
    if (first == INTEGER_GOOD && second == INTEGER_GOOD)
        return ERR_NONE;
    /* Text that is no number counts before a number that is too large, whichever header has it. */
    bool none = first == INTEGER_NONE || second == INTEGER_NONE;
    bool by_epoch = first == (none ? INTEGER_NONE : INTEGER_OVERFLOW);
    return detail_say(detail, none ? ERR_PRODUCER_EPOCH_SEQ_NOT_INTEGERS : ERR_PRODUCER_EPOCH_SEQ_OVERFLOW,
                      "%s must be a whole number from 0 to 2^53-1 without sign or leading zeros, not %s",
                      by_epoch ? "Producer-Epoch" : "Producer-Seq", detail_quote(by_epoch ? epoch : seq).text);
}

enum error rules_producer(struct slice id, struct slice epoch, struct slice seq, struct wire_append *append,
                          struct detail *detail)
{
    if (!id.data && !epoch.data && !seq.data)
        return ERR_NONE;
    if (!id.data || !epoch.data || !seq.data)
        return detail_say(detail, ERR_PRODUCER_HEADERS_INCOMPLETE,
                          "Producer-Id, Producer-Epoch and Producer-Seq go together: %s is missing",
                          !id.data      ? "Producer-Id"
                          : !epoch.data ? "Producer-Epoch"
                                        : "Producer-Seq");
    if (!id.len || id.len > RULES_PRODUCER_ID_MAX)
        return detail_say(detail, ERR_PRODUCER_ID_INVALID, "Producer-Id must be 1 to %d bytes, not %zu",
                          RULES_PRODUCER_ID_MAX, id.len);
    enum error error = rules_producer_numbers(epoch, seq, append, detail);
    if (error != ERR_NONE)
        return error;
    append->flags |= WIRE_APPEND_PRODUCER;
    append->producer = id;
    return ERR_NONE;
}

static enum error rules_append_stream_seq(const struct http_head *head, struct wire_append *append,
                                          struct detail *detail)
{
    struct slice seq = head->headers[HTTP_STREAM_SEQ_HEADER];
    if (!seq.data)
        return ERR_NONE;
    if (!seq.len || seq.len > RULES_STREAM_SEQ_MAX)
        return detail_say(detail, ERR_INVALID_STREAM_SEQ, "Stream-Seq must be 1 to %d bytes, not %zu",
                          RULES_STREAM_SEQ_MAX, seq.len);
    append->flags |= WIRE_APPEND_STREAM_SEQ;
    append->stream_seq = seq;
    return ERR_NONE;
}

enum error rules_incremental(const struct http_head *head, bool by_default, bool *incremental, struct detail *detail)
{
    struct slice value = head->headers[HTTP_STREAM_APPEND_HEADER];
    bool producer = rules_given(head, HTTP_PRODUCER_ID_HEADER) || rules_given(head, HTTP_PRODUCER_EPOCH_HEADER) ||
                    rules_given(head, HTTP_PRODUCER_SEQ_HEADER);
    *incremental = value.data ? slice_alike(value, SLICE("incremental")) : by_default && head->chunked && !producer;
    if (value.data && !*incremental && !slice_alike(value, SLICE("whole")))
        return detail_say(detail, ERR_INVALID_STREAM_APPEND, "Stream-Append must be whole or incremental, not %s",
                          detail_quote(value).text);
    if (*incremental && producer)
        return detail_say(detail, ERR_INVALID_STREAM_APPEND,
                          "an incremental append cannot have producer headers: its pieces cannot be repeated");
    return ERR_NONE;
}

/* Without a body the type is ignored: some clients always send one (PROTOCOL.md 5.2). A request without a body must
 * close the stream, or it does nothing. */
static enum error rules_append_type(const struct http_head *head, bool has_body, struct wire_append *append,
                                    struct detail *detail)
{
    struct slice value = head->headers[HTTP_CONTENT_TYPE_HEADER];
    append->content_type = SLICE("");
    if (!has_body)
        return append->flags & WIRE_APPEND_CLOSE ? ERR_NONE : ERR_EMPTY_BODY;
    if (!value.len)
        return ERR_CONTENT_TYPE_REQUIRED;
    return rules_content_type(value, &append->content_type, detail);
}

enum error rules_append(const struct http_head *head, bool has_body, struct wire_append *append, struct detail *detail)
{
    if (rules_says_closed(head))
        append->flags |= WIRE_APPEND_CLOSE;
    enum error error = rules_producer(head->headers[HTTP_PRODUCER_ID_HEADER], head->headers[HTTP_PRODUCER_EPOCH_HEADER],
                                      head->headers[HTTP_PRODUCER_SEQ_HEADER], append, detail);
    if (error == ERR_NONE)
        error = rules_append_stream_seq(head, append, detail);
    if (error == ERR_NONE)
        error = conditions_take(head, &append->condition, detail);
    return error != ERR_NONE ? error : rules_append_type(head, has_body, append, detail);
}
