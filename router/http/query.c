/* A query is read twice. query_take_all() finds the parameters of a read and decodes them; query_understand() says what
 * they mean together:
 *
 *     offset=0000000000000000_0000000000000512&live=sse    from 512 on, as an event stream
 *     offset=now&live=long-poll&cursor=42                  from the tail on, one answer
 *     limit=10&utm_source=x                                the first ten messages
 *     tail=200&live=sse                                    the last 200 messages, and what follows
 *     before=0000000000000000_0000000000000512&n=50        the 50 messages in front of 512
 *     since=2030-01-31T12:00:00Z                           from the first message of that moment or later
 *
 * Happy path: every value is decoded into the room of its parameter, so nothing is allocated.
 *
 * Failure modes: A parameter that is given twice, empty (offset, cursor), too long, broken or out of range is refused
 * with a text that names it: a read from a place that the client did not mean is worse than no read. Parameters of
 * others are ignored. */
#include "router/http/query.h"

#include "common/percent.h"
#include "router/http/cursor.h"
#include "router/http/integer.h"
#include "router/http/timestamp.h"

#define KEY_MAX 32    /* a longer key is not one of these, even decoded from %xx */
#define VALUE_MAX 256 /* no valid value is longer */

enum param {
    PARAM_OFFSET,
    PARAM_TAIL,
    PARAM_BEFORE,
    PARAM_SINCE,
    PARAM_N,
    PARAM_LIVE,
    PARAM_CURSOR,
    PARAM_LIMIT,
    PARAM_COUNT
};
#define PARAM_STARTS PARAM_N /* the parameters before this one say where a read begins */

static const struct slice query_names[PARAM_COUNT] = {
    [PARAM_OFFSET] = {"offset", 6}, [PARAM_TAIL] = {"tail", 4},   [PARAM_BEFORE] = {"before", 6},
    [PARAM_SINCE] = {"since", 5},   [PARAM_N] = {"n", 1},         [PARAM_LIVE] = {"live", 4},
    [PARAM_CURSOR] = {"cursor", 6}, [PARAM_LIMIT] = {"limit", 5},
};

struct params {
    bool given[PARAM_COUNT];
    struct slice value[PARAM_COUNT];
    char room[PARAM_COUNT][VALUE_MAX];
};

static enum param query_param_of(struct slice key)
{
    char room[KEY_MAX];
    size_t len = 0;
    if (key.len > sizeof room || !percent_decode(key, room, &len))
        return PARAM_COUNT;
    for (enum param p = 0; p < PARAM_COUNT; p++)
        if (slice_equal(query_names[p], slice_of(room, len)))
            return p;
    return PARAM_COUNT;
}

/* One key=value. Two values of one parameter are refused: the client may mean either. */
static enum error query_take(struct params *params, struct slice pair, struct detail *detail)
{
    const char *equals = pair.len ? memchr(pair.data, '=', pair.len) : NULL;
    struct slice key = slice_of(pair.data, equals ? (size_t)(equals - pair.data) : pair.len);
    struct slice value = slice_of(pair.data + key.len + 1, equals ? pair.len - key.len - 1 : 0);
    enum param p = query_param_of(key);
    size_t len = 0;
    if (p == PARAM_COUNT)
        return ERR_NONE;
    if (params->given[p])
        return detail_say(detail, ERR_INVALID_QUERY_PARAM, "query parameter %s is given twice", query_names[p].data);
    if (value.len > VALUE_MAX)
        return detail_say(detail, ERR_INVALID_QUERY_PARAM, "query parameter %s is longer than %d bytes",
                          query_names[p].data, VALUE_MAX);
    if (!percent_decode(value, params->room[p], &len))
        return detail_say(detail, ERR_INVALID_QUERY_PARAM,
                          "query parameter %s has a broken percent-encoding or a control character: %s",
                          query_names[p].data, detail_quote(value).text);
    params->given[p] = true;
    params->value[p] = slice_of(params->room[p], len);
    return ERR_NONE;
}

static enum error query_take_all(struct params *params, struct slice text, struct detail *detail)
{
    enum error error = ERR_NONE;
    while (text.len && error == ERR_NONE) {
        const char *end = memchr(text.data, '&', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        error = query_take(params, slice_of(text.data, len), detail);
        if (end)
            len++;
        text = slice_from(text, len);
    }
    return error;
}

static enum error query_empty(enum param p, struct detail *detail)
{
    return detail_say(detail, ERR_EMPTY_QUERY_PARAM, "query parameter %s must not be empty", query_names[p].data);
}

static enum error query_understand_offset(struct slice value, struct query *query, struct detail *detail)
{
    if (!value.len)
        return query_empty(PARAM_OFFSET, detail);
    if (slice_equal(value, SLICE("-1"))) /* as without offset: query->earliest is set already */
        return ERR_NONE;
    query->earliest = false;
    query->now = slice_equal(value, SLICE("now"));
    if (query->now || offset_parse(value, &query->offset))
        return ERR_NONE;
    return detail_say(
        detail, ERR_INVALID_OFFSET,
        "offset must be -1 (the start), now (the end), or an offset as Stream-Next-Offset gave it; not %s",
        detail_quote(value).text);
}

static enum error query_understand_messages(enum param p, struct slice value, uint64_t least, struct query *query,
                                            struct detail *detail)
{
    if (integer_valid(value, INTEGER_MAX, &query->amount) && query->amount >= least)
        return ERR_NONE;
    return detail_say(detail, ERR_INVALID_QUERY_PARAM, "%s must be a whole number of messages from %u, not %s",
                      query_names[p].data, (unsigned)least, detail_quote(value).text);
}

static enum error query_understand_tail(const struct params *params, struct query *query, struct detail *detail)
{
    query->from = WIRE_FROM_TAIL;
    return query_understand_messages(PARAM_TAIL, params->value[PARAM_TAIL], 0, query, detail);
}

/* Both ends of such a read are fixed, so it can be neither live nor limited further. */
static enum error query_understand_before(const struct params *params, struct query *query, struct detail *detail)
{
    struct slice value = params->value[PARAM_BEFORE];
    query->from = WIRE_FROM_BEFORE;
    if (!value.len)
        return query_empty(PARAM_BEFORE, detail);
    if (!offset_parse(value, &query->offset))
        return detail_say(detail, ERR_INVALID_OFFSET,
                          "before must be an offset as Stream-Start-Offset or Stream-Next-Offset gave it, not %s",
                          detail_quote(value).text);
    if (!params->given[PARAM_N])
        return detail_say(detail, ERR_INVALID_QUERY_PARAM, "before needs n, the number of messages");
    if (params->given[PARAM_LIVE])
        return detail_say(detail, ERR_INVALID_QUERY_PARAM, "before cannot be used with live: nothing follows its end");
    if (params->given[PARAM_LIMIT])
        return detail_say(detail, ERR_INVALID_QUERY_PARAM, "before cannot be used with limit: n is the limit");
    return query_understand_messages(PARAM_N, params->value[PARAM_N], 1, query, detail);
}

static enum error query_understand_since(const struct params *params, struct query *query, struct detail *detail)
{
    struct slice value = params->value[PARAM_SINCE];
    query->from = WIRE_FROM_SINCE;
    if (integer_valid(value, INTEGER_MAX, &query->amount) || timestamp_parse(value, &query->amount))
        return ERR_NONE;
    return detail_say(detail, ERR_INVALID_QUERY_PARAM,
                      "since must be an RFC 3339 timestamp or Unix time in milliseconds, not %s",
                      detail_quote(value).text);
}

/* A read begins at one place. Without any parameter that is the start. */
static enum error query_understand_start(const struct params *params, struct query *query, struct detail *detail)
{
    enum param start = PARAM_COUNT;
    for (enum param p = 0; p < PARAM_STARTS; p++) {
        if (params->given[p] && start != PARAM_COUNT)
            return detail_say(
                detail, ERR_INVALID_QUERY_PARAM,
                "%s and %s cannot be used together: a read begins at one of offset, tail, before and since",
                query_names[start].data, query_names[p].data);
        start = params->given[p] ? p : start;
    }
    if (params->given[PARAM_N] && start != PARAM_BEFORE)
        return detail_say(detail, ERR_INVALID_QUERY_PARAM, "n can be used with before only");
    query->earliest = start == PARAM_OFFSET || start == PARAM_COUNT;
    switch (start) {
    case PARAM_OFFSET:
        return query_understand_offset(params->value[PARAM_OFFSET], query, detail);
    case PARAM_TAIL:
        return query_understand_tail(params, query, detail);
    case PARAM_BEFORE:
        return query_understand_before(params, query, detail);
    case PARAM_SINCE:
        return query_understand_since(params, query, detail);
    default:
        return ERR_NONE;
    }
}

static enum error query_understand_live(struct slice value, struct query *query, struct detail *detail)
{
    if (slice_equal(value, SLICE("long-poll")))
        query->live = QUERY_LONG_POLL;
    else if (slice_equal(value, SLICE("sse")))
        query->live = QUERY_SSE;
    else
        return detail_say(detail, ERR_INVALID_LIVE_MODE, "live must be long-poll or sse, not %s",
                          detail_quote(value).text);
    return ERR_NONE;
}

static enum error query_understand_limit(struct slice value, struct query *query, struct detail *detail)
{
    if (integer_valid(value, INTEGER_MAX, &query->limit) && query->limit)
        return ERR_NONE;
    return detail_say(detail, ERR_INVALID_QUERY_PARAM, "limit must be a whole number of messages from 1, not %s",
                      detail_quote(value).text);
}

/* A cursor that no server made is accepted and counts as none: cursors are only cache keys. A number too large is
 * refused, because the answer's cursor must be larger still (PROTOCOL.md 10.1). */
static enum error query_understand_cursor(struct slice value, struct query *query, struct detail *detail)
{
    if (!value.len)
        return query_empty(PARAM_CURSOR, detail);
    if (cursor_parse(value, &query->cursor))
        return ERR_NONE;
    return detail_say(detail, ERR_INVALID_QUERY_PARAM, "cursor must be one that Stream-Cursor gave, not %s",
                      detail_quote(value).text);
}

static enum error query_understand(const struct params *params, struct query *query, struct detail *detail)
{
    enum error error = query_understand_start(params, query, detail);
    if (error == ERR_NONE && params->given[PARAM_LIVE])
        error = query_understand_live(params->value[PARAM_LIVE], query, detail);
    /* The protocol has no default offset for live reads (PROTOCOL.md 5.7, 5.8). */
    if (error == ERR_NONE && query->live != QUERY_CATCH_UP && query->earliest && !params->given[PARAM_OFFSET])
        error = detail_say(detail, ERR_OFFSET_REQUIRED,
                           "live reads need an offset: -1 (the start), now (the end), or one that came in "
                           "Stream-Next-Offset; or tail or since");
    if (error == ERR_NONE && params->given[PARAM_CURSOR])
        error = query_understand_cursor(params->value[PARAM_CURSOR], query, detail);
    if (error == ERR_NONE && params->given[PARAM_LIMIT])
        error = query_understand_limit(params->value[PARAM_LIMIT], query, detail);
    return error;
}

enum error query_parse(struct slice text, struct query *query, struct detail *detail)
{
    struct params params;
    *query = (struct query){0};
    memset(params.given, 0, sizeof params.given);
    memset(params.value, 0, sizeof params.value);
    enum error error = query_take_all(&params, text, detail);
    return error != ERR_NONE ? error : query_understand(&params, query, detail);
}

/* In a query, a name may be percent-encoded (RFC 3986 6.2.2.2); in a list of cookies it is as it stands. */
static bool query_is_name(struct slice key, struct slice name, bool encoded)
{
    char room[KEY_MAX];
    size_t len = 0;
    if (!encoded || key.len > sizeof room || !percent_decode(key, room, &len))
        return slice_equal(key, name);
    return slice_equal(slice_of(room, len), name);
}

struct slice query_value(struct slice list, char separator, struct slice name)
{
    /* The first of a name counts. Spaces follow the ';' between cookies. */
    while (list.len) {
        const char *end = memchr(list.data, separator, list.len);
        struct slice pair = slice_of(list.data, end ? (size_t)(end - list.data) : list.len);
        list = slice_of(pair.data + pair.len + (end != NULL), list.len - pair.len - (end != NULL));
        while (pair.len && *pair.data == ' ')
            pair = slice_of(pair.data + 1, pair.len - 1);
        const char *equals = pair.len ? memchr(pair.data, '=', pair.len) : NULL;
        size_t len = equals ? (size_t)(equals - pair.data) : 0;
        if (equals && query_is_name(slice_of(pair.data, len), name, separator == '&'))
            return slice_of(equals + 1, pair.len - len - 1);
    }
    return (struct slice){0};
}

struct slice query_text(struct slice query, struct slice name, struct buf *room)
{
    struct slice value = query_value(query, '&', name);
    size_t len;
    if (!value.len || !memchr(value.data, '%', value.len) || !percent_decode(value, buf_reserve(room, value.len), &len))
        return value;
    size_t start = buf_len(room);
    buf_grow(room, len);
    return slice_part(buf_slice(room), start, len);
}
