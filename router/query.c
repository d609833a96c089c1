#include "router/query.h"

#include "common/offset.h"
#include "router/percent.h"
#include "router/rules.h"

#define KEY_MAX 32    /* longer is none of ours */
#define VALUE_MAX 256 /* longer is no valid value of ours */

enum param { PARAM_OFFSET, PARAM_LIVE, PARAM_CURSOR, PARAM_LIMIT, PARAM_COUNT };

static const struct slice names[PARAM_COUNT] = {
    [PARAM_OFFSET] = {"offset", 6},
    [PARAM_LIVE] = {"live", 4},
    [PARAM_CURSOR] = {"cursor", 6},
    [PARAM_LIMIT] = {"limit", 5},
};

struct params {
    bool given[PARAM_COUNT];
    struct slice value[PARAM_COUNT];
    char room[PARAM_COUNT][VALUE_MAX];
};

static enum param param_of(struct slice key)
{
    char room[KEY_MAX];
    size_t len = 0;
    if (key.len > sizeof room || !percent_decode(key, room, &len))
        return PARAM_COUNT;
    for (enum param p = 0; p < PARAM_COUNT; p++)
        if (slice_equal(names[p], slice_of(room, len)))
            return p;
    return PARAM_COUNT;
}

/* One key=value. A parameter of ours may come once. */
static enum error take(struct params *params, struct slice pair)
{
    const char *equals = pair.len ? memchr(pair.data, '=', pair.len) : NULL;
    struct slice key = slice_of(pair.data, equals ? (size_t)(equals - pair.data) : pair.len);
    struct slice value = slice_of(pair.data + key.len + 1, equals ? pair.len - key.len - 1 : 0);
    enum param p = param_of(key);
    size_t len = 0;
    if (p == PARAM_COUNT)
        return ERR_NONE;
    if (params->given[p] || value.len > VALUE_MAX || !percent_decode(value, params->room[p], &len))
        return ERR_INVALID_QUERY_PARAM;
    params->given[p] = true;
    params->value[p] = slice_of(params->room[p], len);
    return ERR_NONE;
}

static enum error take_all(struct params *params, struct slice text)
{
    enum error error = ERR_NONE;
    while (text.len && error == ERR_NONE) {
        const char *end = memchr(text.data, '&', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        error = take(params, slice_of(text.data, len));
        if (end)
            len++;
        text = slice_of(text.data + len, text.len - len);
    }
    return error;
}

static enum error understand_offset(struct slice value, struct query *query)
{
    if (!value.len)
        return ERR_EMPTY_QUERY_PARAM;
    if (slice_equal(value, SLICE("-1")))
        return ERR_NONE;
    query->earliest = false;
    if (slice_equal(value, SLICE("now"))) {
        query->now = true;
        return ERR_NONE;
    }
    return offset_parse(value, &query->position) ? ERR_NONE : ERR_INVALID_OFFSET;
}

static enum error understand_live(struct slice value, struct query *query)
{
    if (slice_equal(value, SLICE("long-poll")))
        query->live = QUERY_LONG_POLL;
    else if (slice_equal(value, SLICE("sse")))
        query->live = QUERY_SSE;
    else
        return ERR_INVALID_LIVE_MODE;
    return ERR_NONE;
}

static enum error understand(const struct params *params, struct query *query)
{
    enum error error = ERR_NONE;
    if (params->given[PARAM_OFFSET])
        error = understand_offset(params->value[PARAM_OFFSET], query);
    if (error == ERR_NONE && params->given[PARAM_LIVE])
        error = understand_live(params->value[PARAM_LIVE], query);
    if (error == ERR_NONE && query->live != QUERY_CATCH_UP && !params->given[PARAM_OFFSET])
        error = ERR_OFFSET_REQUIRED;
    if (error == ERR_NONE && params->given[PARAM_CURSOR] && !params->value[PARAM_CURSOR].len)
        error = ERR_EMPTY_QUERY_PARAM;
    if (error != ERR_NONE)
        return error;
    if (!rules_integer(params->value[PARAM_CURSOR], RULES_INTEGER_MAX, &query->cursor))
        query->cursor = 0; /* a cursor is a cache key: whatever it is, it does no harm */
    if (params->given[PARAM_LIMIT] &&
        (!rules_integer(params->value[PARAM_LIMIT], RULES_INTEGER_MAX, &query->limit) || !query->limit))
        return ERR_INVALID_QUERY_PARAM;
    return ERR_NONE;
}

enum error query_parse(struct slice text, struct query *query)
{
    struct params params;
    *query = (struct query){.earliest = true};
    memset(params.given, 0, sizeof params.given);
    memset(params.value, 0, sizeof params.value);
    enum error error = take_all(&params, text);
    return error != ERR_NONE ? error : understand(&params, query);
}

struct slice query_value(struct slice list, char separator, struct slice name)
{
    while (list.len) {
        const char *end = memchr(list.data, separator, list.len);
        struct slice pair = slice_of(list.data, end ? (size_t)(end - list.data) : list.len);
        list = slice_of(pair.data + pair.len + (end != NULL), list.len - pair.len - (end != NULL));
        while (pair.len && *pair.data == ' ')
            pair = slice_of(pair.data + 1, pair.len - 1);
        if (pair.len > name.len && memcmp(pair.data, name.data, name.len) == 0 && pair.data[name.len] == '=')
            return slice_of(pair.data + name.len + 1, pair.len - name.len - 1);
    }
    return (struct slice){0};
}
