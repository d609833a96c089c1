/* Which request may have which condition:
 *
 *                       Stream-Incarnation   If-Match            If-None-Match    Stream-Expected-Offset
 *     stream GET, HEAD  a number                                 tags (caches)
 *     stream POST       a number             "<offset>"                           <offset>
 *     stream PUT        a number             "<offset>" or *     *
 *     stream DELETE     a number             "<offset>" or *
 *     configuration                          tags                tags, or *
 *     other GET, HEAD                                            tags (ignored)
 *
 * Everything else is refused: these headers elsewhere, other values, and other headers that begin with If-.
 *
 * A tag of If-Match is the quoted Stream-Next-Offset, which is the ETag of HEAD and of writes. The ETag of a catch-up
 * read is taken too: it says how far the client has read, in which life of the stream. Any other tag names no tail. */
#include "router/handlers/conditions.h"

#include <stdio.h>

#include "router/http/etag.h"
#include "router/http/integer.h"

enum {
    CONDITIONS_INCARNATION = 1,
    CONDITIONS_MATCH = 2,
    CONDITIONS_NONE_MATCH = 4,
    CONDITIONS_EXPECTED = 8,
};

static const struct {
    enum http_header header;
    unsigned bit;
    const char *name;
} conditions_known[] = {
    {HTTP_STREAM_INCARNATION_HEADER, CONDITIONS_INCARNATION, "Stream-Incarnation"},
    {HTTP_IF_MATCH_HEADER, CONDITIONS_MATCH, "If-Match"},
    {HTTP_IF_NONE_MATCH_HEADER, CONDITIONS_NONE_MATCH, "If-None-Match"},
    {HTTP_STREAM_EXPECTED_OFFSET_HEADER, CONDITIONS_EXPECTED, "Stream-Expected-Offset"},
};
#define CONDITIONS_KNOWN (sizeof conditions_known / sizeof conditions_known[0])

static unsigned conditions_of(const struct http_head *head, enum route_kind kind)
{
    bool reads = head->method == HTTP_GET || head->method == HTTP_HEAD;
    if (kind == ROUTE_CONFIG)
        return CONDITIONS_MATCH | CONDITIONS_NONE_MATCH;
    if (kind != ROUTE_STREAM)
        return reads ? CONDITIONS_NONE_MATCH : 0;
    if (reads)
        return CONDITIONS_INCARNATION | CONDITIONS_NONE_MATCH;
    if (head->method == HTTP_POST)
        return CONDITIONS_INCARNATION | CONDITIONS_MATCH | CONDITIONS_EXPECTED;
    if (head->method == HTTP_PUT)
        return CONDITIONS_INCARNATION | CONDITIONS_MATCH | CONDITIONS_NONE_MATCH;
    return CONDITIONS_INCARNATION | CONDITIONS_MATCH;
}

static enum error conditions_refuse(struct slice name, unsigned understood, struct detail *detail)
{
    char list[96] = "";
    size_t len = 0;
    for (size_t i = 0; i < CONDITIONS_KNOWN; i++)
        if (understood & conditions_known[i].bit)
            len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "", conditions_known[i].name);
    return detail_say(detail, ERR_CONDITION_NOT_SUPPORTED,
                      "header %s is a condition that is not supported here (%s%s); nothing was done",
                      detail_quote(name).text, len ? "supported: " : "none is", list);
}

enum error conditions_understood(const struct http_head *head, enum route_kind kind, struct detail *detail)
{
    unsigned understood = conditions_of(head, kind);
    if (head->condition.data)
        return conditions_refuse(head->condition, understood, detail);
    for (size_t i = 0; i < CONDITIONS_KNOWN; i++)
        if (head->headers[conditions_known[i].header].data && !(understood & conditions_known[i].bit))
            return conditions_refuse(slice_str(conditions_known[i].name), understood, detail);
    return ERR_NONE;
}

/* A value that is no such tag names no tail. */
static void conditions_take_tag(struct slice value, struct wire_condition *condition)
{
    enum etag_kind kind = etag_parse(value, &condition->offset);
    condition->flags |= WIRE_IF_TAIL;
    if (kind == ETAG_OF_READ)
        condition->flags |= WIRE_IF_READ;
    else if (kind == ETAG_OF_NOTHING)
        condition->offset.position = WIRE_IF_NOWHERE;
}

static enum error conditions_take_match(const struct http_head *head, struct wire_condition *condition,
                                        struct detail *detail)
{
    struct slice value = head->headers[HTTP_IF_MATCH_HEADER];
    bool any = slice_equal(value, SLICE("*")), list = value.len && memchr(value.data, ',', value.len);
    if (!value.data)
        return ERR_NONE;
    if (any && head->method != HTTP_POST) {
        condition->flags |= WIRE_IF_THERE;
        return ERR_NONE;
    }
    conditions_take_tag(value, condition);
    if (!any && !list)
        return ERR_NONE;
    condition->flags |= WIRE_IF_UNSUITED; /* of an append the shard says so: other errors come first (rules.h) */
    return head->method == HTTP_POST
               ? ERR_NONE
               : detail_say(
                     detail, ERR_CONDITION_NOT_SUPPORTED,
                     "If-Match must be * or one tag, the quoted offset of the tail, not a list; nothing was done");
}

static enum error conditions_take_none_match(const struct http_head *head, struct wire_condition *condition,
                                             struct detail *detail)
{
    struct slice value = head->headers[HTTP_IF_NONE_MATCH_HEADER];
    if (head->method != HTTP_PUT || !value.data)
        return ERR_NONE;
    condition->flags |= WIRE_IF_ABSENT;
    if (slice_equal(value, SLICE("*")))
        return ERR_NONE;
    return detail_say(detail, ERR_CONDITION_NOT_SUPPORTED,
                      "If-None-Match must be * here (the stream does not exist yet), not %s; nothing was done",
                      detail_quote(value).text);
}

enum error conditions_expect(struct slice value, struct wire_condition *condition, struct detail *detail)
{
    condition->flags |= WIRE_IF_EXPECTED;
    if (offset_parse(value, &condition->offset))
        return ERR_NONE;
    return detail_say(
        detail, ERR_INVALID_CONDITION,
        "Stream-Expected-Offset must be an offset as Stream-Next-Offset gave it, not %s; nothing was done",
        detail_quote(value).text);
}

static enum error conditions_take_expected(const struct http_head *head, struct wire_condition *condition,
                                           struct detail *detail)
{
    struct slice value = head->headers[HTTP_STREAM_EXPECTED_OFFSET_HEADER];
    if (!value.data)
        return ERR_NONE;
    if (condition->flags & WIRE_IF_TAIL)
        return detail_say(detail, ERR_CONDITION_NOT_SUPPORTED,
                          "If-Match and Stream-Expected-Offset ask for the same thing: use one; nothing was done");
    return conditions_expect(value, condition, detail);
}

static enum error conditions_take_incarnation(const struct http_head *head, struct wire_condition *condition,
                                              struct detail *detail)
{
    struct slice value = head->headers[HTTP_STREAM_INCARNATION_HEADER];
    if (!value.data)
        return ERR_NONE;
    condition->flags |= WIRE_IF_LIFE;
    if (integer_valid(value, OFFSET_MAX, &condition->life))
        return ERR_NONE;
    return detail_say(detail, ERR_INVALID_CONDITION,
                      "Stream-Incarnation must be a whole number as an answer gave it, not %s; nothing was done",
                      detail_quote(value).text);
}

enum error conditions_take(const struct http_head *head, struct wire_condition *condition, struct detail *detail)
{
    *condition = (struct wire_condition){0};
    enum error error = conditions_take_incarnation(head, condition, detail);
    if (error == ERR_NONE)
        error = conditions_take_match(head, condition, detail);
    if (error == ERR_NONE)
        error = conditions_take_none_match(head, condition, detail);
    return error != ERR_NONE ? error : conditions_take_expected(head, condition, detail);
}
